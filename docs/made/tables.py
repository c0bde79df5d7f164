"""Tables of what the package knows: statuses, readers, column aliases, columns of predictions, shipped models."""

from __future__ import annotations

from typing import Any

from goodricke.data.formats import metadata
from goodricke.data.predictions import MEANING, Status
from goodricke.io import READERS
from goodricke.io import roles as known
from goodricke.models.bundle import read_config, shipped_models
from made.markdown import code, codes, table

# What a reader of the table of statuses can do about it; `tests/docs` holds it complete.
FIXES = {
    Status.OK: "nothing to do",
    Status.EMPTY: "`goodricke inspect FILE` tells how many observations the quality cut removed; `--quality none` "
    "keeps them all",
    Status.NON_FINITE: "look at the brightness column: is it the right one (`--column value=NAME`), in the right unit "
    "(`--unit`)?",
    Status.TOO_FEW_POINTS: "wait for more observations, or use a model that needs fewer: `goodricke models show MODEL` "
    "says what it was made for",
    Status.CONSTANT: "nothing varies here; is it the right column?",
    Status.NO_PERIOD: "folded models need observations over at least some days; are the times in days "
    "(`--column time=NAME`)?",
    Status.NOT_POSITIVE: "fluxes of differences have no magnitude: use a multi-band model, which takes any sign",
    Status.TOO_SPARSE: "use a model for sparse light curves (`asas-v`, `crts-v`, or yours with "
    '`kind = "folded"`), or a multi-band one',
    Status.UNKNOWN_BAND: "call the bands as the model does, `--band R=r`, or add the band to the model "
    "([add a band](../howto/add-band.md))",
    Status.WRONG_UNIT: "give what the model was trained on (`goodricke models show MODEL`), or say the unit "
    "(`--unit`) if the file has it wrong",
    Status.OUT_OF_ORDER: "build the object's state anew from its whole history; the alert engine does so by itself "
    "wherever its packets allow",
    Status.UNREADABLE: "the log names the file, the likely cause and the fix; `goodricke inspect FILE` says more",
}


def statuses() -> str:
    """Return every status with cause and fix."""
    return table(["status", "cause", "what to do"], [[code(s), MEANING[s], FIXES[s]] for s in Status])


def readers() -> str:
    """Return the readers in the order in which they are asked."""
    rows = [[code(r.NAME), _first_paragraph(r)] for r in READERS]
    return table(["reader", "what it takes"], rows)


def aliases() -> str:
    """Return the names under which columns are recognised."""
    rows = [
        ["object", codes(known.OBJECT_ID)],
        ["time", ", ".join(code(n) + (f" ({scale})" if scale else "") for n, scale in known.TIME.items())],
        ["brightness", "; ".join(codes(group) for group in known.VALUE) + "; `Vmag`, `mag_g`, `fluxr`, ..."],
        ["uncertainty", codes((*known.ERROR["mag"], *known.ERROR["flux"], *known.PLAIN_ERROR))],
        ["band", codes(known.BAND)],
        ["quality", codes(known.QUALITY)],
        ["right ascension", codes(known.POSITION["ra"])],
        ["declination", codes(known.POSITION["dec"])],
    ]
    return table(["role", "recognised names, the first that fits"], rows)


def columns() -> str:
    """Return the columns of a table of predictions, with unit and UCD."""
    described = [(code(name), m) for name, m in metadata._COLUMNS.items()]
    patterns = [
        (code(pattern.replace("(.+)", "<NAME>")), m._replace(description=m.description.format("NAME")))
        for pattern, m in metadata._PATTERNS
    ]
    rows = [[name, m.description, code(m.unit), code(m.ucd)] for name, m in described[:6] + patterns + described[6:]]
    return table(["column", "what it holds", "unit", "UCD"], rows)


def shipped() -> str:
    """Return the models that come with the package."""
    rows = []
    for name in shipped_models():
        config = read_config(name)
        kind = getattr(config.preprocessing, "kind", "")
        marked = "**simulated**: " if config.simulated else ""
        scores = config.metrics.get("monte_carlo", config.metrics.get("deterministic", {}))
        told = [_score(scores.get("accuracy")), _score(scores.get("macro_f1"))]
        rows.append([code(name), kind, marked + config.trained_on, ", ".join(config.classes), *told])
    return table(["model", "kind", "trained on", "classes", "accuracy", "macro F1"], rows)


def _score(value: Any) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if isinstance(value, dict) else ""


def _first_paragraph(module: Any) -> str:
    return (module.__doc__ or "").split("\n\n")[0].replace("``", "`").replace("*", "\\*")
