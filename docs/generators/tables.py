"""Tables of statuses, readers, column aliases, columns of predictions, shipped models, and the taxonomy."""

from __future__ import annotations

from typing import Any

from generators.markdown import code, codes, table
from goodricke.data.formats import metadata
from goodricke.data.predictions import MEANING, Status
from goodricke.data.taxonomy import Leaf, Taxonomy
from goodricke.io import READERS, roles
from goodricke.models.bundle import read_config, shipped_models

SCORES = ("accuracy", "macro_f1")

# What a user can do about a status; `tests/docs` checks that none is missing.
FIXES = {
    Status.OK: "nothing to do",
    Status.EMPTY: "`goodricke inspect FILE` tells how many observations the quality cut removed; `--quality none` "
    "keeps them all",
    Status.NON_FINITE: "look at the brightness column: is it the right one (`--column value=NAME`), in the right unit "
    "(`--unit`)?",
    Status.TOO_FEW_POINTS: "wait for more observations, or use a model that needs fewer: `goodricke models show MODEL` "
    "says what it was made for",
    Status.CONSTANT: "nothing varies here; is it the right column?",
    Status.NO_PERIOD: "a period needs observations over at least some days; are the times in days "
    "(`--column time=NAME`)?",
    Status.NOT_POSITIVE: "fluxes of differences have no magnitude: use a multi-band model, which takes any sign",
    Status.TOO_SPARSE: "use a model for sparse light curves (`variables`, or yours with "
    '`kind = "variables"`), or a multi-band one',
    Status.UNKNOWN_BAND: "call the bands as the model does, `--band R=r`, or add the band to the model "
    "([add a band](../howto/add-band.md))",
    Status.WRONG_UNIT: "give what the model was trained on (`goodricke models show MODEL`), or say the unit "
    "(`--unit`) if the file has it wrong",
    Status.WRONG_PHOTOMETRY: "give the photometry that the model was trained on, where the source has it "
    "(`--flux difference`, `--flux total`), or use a model that was trained on what you have",
    Status.OUT_OF_ORDER: "build the object's state anew from its whole history; the alert engine does so by itself "
    "wherever its packets allow",
    Status.UNREADABLE: "the log names the file, the likely cause and the fix; `goodricke inspect FILE` says more",
}


def statuses() -> str:
    """Return every status with cause and fix."""
    return table(["status", "cause", "what to do"], [[code(s), MEANING[s], FIXES[s]] for s in Status])


def readers() -> str:
    """Return the readers in the order in which they are tried."""
    rows = [[code(r.NAME), _first_paragraph(r)] for r in READERS]
    return table(["reader", "files"], rows)


def aliases() -> str:
    """Return the names by which columns are recognised."""
    rows = [
        ["object", codes(roles.OBJECT_ID)],
        ["time", ", ".join(code(n) + (f" ({scale})" if scale else "") for n, scale in roles.TIME.items())],
        ["brightness", "; ".join(codes(group) for group in roles.VALUE) + "; `Vmag`, `mag_g`, `fluxr`, ..."],
        ["uncertainty", codes((*roles.ERROR["mag"], *roles.ERROR["flux"], *roles.PLAIN_ERROR))],
        ["band", codes(roles.BAND)],
        ["quality", codes(roles.QUALITY)],
        ["right ascension", codes(roles.POSITION["ra"])],
        ["declination", codes(roles.POSITION["dec"])],
    ]
    return table(["role", "recognised names, the first that fits"], rows)


def columns() -> str:
    """Return the columns of a table of predictions, with unit and UCD."""
    described = [(code(name), m) for name, m in metadata.COLUMNS.items()]
    patterns = [
        (code(pattern.replace("(.+)", "<NAME>")), m._replace(description=m.description.format("NAME")))
        for pattern, m in metadata.PATTERNS
    ]
    rows = [[name, m.description, code(m.unit), code(m.ucd)] for name, m in described[:6] + patterns + described[6:]]
    return table(["column", "meaning", "unit", "UCD"], rows)


def shipped() -> str:
    """Return the models that come with the package, with the best score that any forest of the card reaches."""
    rows = []
    for name in shipped_models():
        config = read_config(name)
        marked = "**simulated**: " if config.simulated else ""
        scores = config.metrics.get("monte_carlo", config.metrics.get("deterministic", {}))
        forests = [score for kind, score in config.metrics.items() if "forest" in kind]
        columns = [_score(scores.get(score)) for score in SCORES]
        best = [_score(max((forest[score] for forest in forests), key=_value)) for score in SCORES if forests]
        classes = (
            ", ".join(config.classes) if config.taxonomy is None else f"{len(config.classes)} leaves of a taxonomy"
        )
        rows.append([code(name), marked + config.trained_on, classes, *columns, "; ".join(best)])
    return table(["model", "trained on", "classes", "accuracy", "macro F1", "best forest"], rows)


def taxonomy() -> str:
    """Return the tree of the classes of variable stars as a nested list."""
    return "\n".join(_branch(Taxonomy.shipped(), Taxonomy.shipped().root, 0)) + "\n"


def _branch(tree: Taxonomy, name: str, depth: int) -> list[str]:
    """Return the lines of a node or leaf and of what is below it."""
    title = tree.titles[name] if name in tree.nodes else _leaf_title(tree.leaves[name])
    line = f"{'  ' * depth}- `{name}`: {title}"
    return [line, *(below for child in tree.nodes.get(name, ()) for below in _branch(tree, child, depth + 1))]


def _leaf_title(leaf: Leaf) -> str:
    """Return a leaf's title with the plausible range of its period."""
    if leaf.period == "none":
        return f"{leaf.title}; no period"
    if leaf.longest is None:
        days = "" if leaf.shortest is None else f" above {leaf.shortest:g} d"
    else:
        days = f" {leaf.shortest:g} to {leaf.longest:g} d"
    return f"{leaf.title}; {leaf.period} period{days}"


def _value(score: dict[str, float]) -> float:
    return score["value"]


def _score(value: Any) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if isinstance(value, dict) else ""


def _first_paragraph(module: Any) -> str:
    return (module.__doc__ or "").split("\n\n")[0].replace("``", "`").replace("*", "\\*")
