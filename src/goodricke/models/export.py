"""Models as ONNX files, for use without PyTorch: in an alert broker, another language, a browser.

A model becomes one file, in which the network, the calibration, the prediction sets and the taxonomy's answer are. It
computes one deterministic pass, without Monte-Carlo dropout. The metadata are ``model``, ``hash``, ``family``,
``classes``, ``nodes`` (names of the taxonomy's nodes), ``answers`` (names that ``answer`` counts), ``threshold`` (least
probability of an answer), ``coverage`` (of the prediction sets), ``calibration``, ``preprocessing``, ``photometry``,
``unit``, ``bands``, ``targets`` and ``taxonomy`` (null without one), each as JSON. Numbers are float32 where nothing
else is stated; weights are stored in float16 where a bundle has them so. B is any number of objects, C that of classes.

Every file ends in the answer::

    logits (B, C), embedding (B, d)
    probabilities (B, C)      calibrated, in the order of classes
    nodes (B, K)              of a taxonomy's nodes
    answer (B,), int64        index of the deepest node or class that is probable enough, -1: none
    answer_probability (B,)
    prediction_set (B, C)     bool: the classes in the set, if the model's sets are calibrated
    novelty (B,)              if the model's novelty is calibrated: see `goodricke.uncertainty.novelty`

ASTRAFier takes prepared light curves of any number of points T (`goodricke.models.astrafier.Astrafier.forward`), with
memory proportional to T squared. ``context`` are the numbers of `goodricke.preprocess.dense_summary`, NaN if unknown::

    values (B, T, channels), time (B, T), mask (B, T), bool[, context (B, context)] -> the answer

A model of the family ``variables`` takes the folds at K candidate periods and the numbers of star and candidates
(`goodricke.preprocess.variables`). It also returns the logits ``pairs`` of each candidate period with each class, -1e9
for a candidate that a star doesn't have; the period that belongs to class c is that of the largest ``pairs[:, :, c]``::

    values (B, K bins, channels), context (B, star + K candidate) -> the answer, pairs (B, K, C)

Either takes ``n_points`` (B,), int64, too, if its references depend on the number of points.

A multi-band model takes observations as they are, T of each object, in order of time and then of band, with a state::

    time (B, T), float64 [d]     flux (B, T), of a model of magnitudes ``magnitude``     error (B, T)
    band (B, T), int64           index into the bands; -1 where an object has fewer than T observations
    last, bands, band_cells, central_cells   the state, zeros before an object's first observation
    -> the answer, n_obs (B,), n_steps (B,), int64,
       last_after, bands_after, band_cells_after, central_cells_after[, targets (B, k), standardised]

The whole light curve at once from zeros, and one observation after the other with the state from before, give the
same. Observations older than the state and repeated ones change nothing. ``context`` (B, columns) are the
preprocessing's columns, if it has any. The answer is NaN (-1, no class in the set) before there are enough steps.

Used without goodricke::

    import json, numpy as np, onnxruntime
    session = onnxruntime.InferenceSession("variables.onnx")
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    names = [x.name for x in session.get_outputs()]
    out = dict(zip(names, session.run(None, {"values": values, "context": context})))
    print([about["answers"][k] for k in out["answer"]], out["answer_probability"])
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np

from goodricke.data.files import atomic_path
from goodricke.data.predictions import THRESHOLD
from goodricke.models.astrafier import Astrafier
from goodricke.models.bundle import Model
from goodricke.models.multiband import Multiband
from goodricke.models.onnx.answer import answer_names, write_answer
from goodricke.models.onnx.graph import Graph, Value
from goodricke.models.onnx.networks import NetworkValues, astrafier, variables
from goodricke.models.onnx.steps import multiband, shapes
from goodricke.models.variables import Variables
from goodricke.preprocess import MultibandConfig
from goodricke.uncertainty.calibration import Mode, Scaling
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage, as_coverage


def export(model: Model, out: str | Path, coverage: Coverage | float = COVERAGE) -> Path:
    """Write a model as an ONNX file; see the module's text.

    Parameters
    ----------
    model : Model
    out : str or Path
        File that ends in ``.onnx``, or a folder for a file with the model's name.
    coverage : float or Coverage
        Of the prediction sets.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    ValueError
        If the coverage is none, or the model is an encoder without classes.
    ImportError
        If the extra ``goodricke[onnx]`` isn't installed.
    """
    out, promised = Path(out), as_coverage(coverage)
    if not model.classes:
        raise ValueError(f"{model.name} is an encoder without classes. Fix: export a classifier")
    _require_onnx()
    graph = Graph()
    if isinstance(model.network, Multiband):
        _write_steps(graph, model, promised)
    else:
        _write_light_curves(graph, model, promised)
    path = out if out.suffix == ".onnx" else out / f"{model.name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = graph.to_model(model.name, metadata(model, promised))
    with atomic_path(path) as partial:
        partial.write_bytes(content)
    return path


def _write_light_curves(graph: Graph, model: Model, coverage: Coverage) -> None:
    """Write a network of whole light curves and its answer."""
    network: Any = model.network
    out = variables(network, graph) if isinstance(network, Variables) else astrafier(cast(Astrafier, network), graph)
    references = (model.calibration.sets.get("one_pass"), model.calibration.novelty.get("one_pass"))
    if any(reference is not None and len(reference.edges) > 1 for reference in references):
        n_points = graph.input("n_points", np.int64, ("B",))
    else:  # any number: there is one stratum
        n_points = graph.op("ArgMax", out.logits, axis=1, keepdims=0, dtype=np.int64) * 0
    _outputs(graph, model, "one_pass", out, n_points, None, coverage)
    if out.pairs is not None:
        graph.output("pairs", out.pairs, ("B", *model.pairs))


def _write_steps(graph: Graph, model: Model, coverage: Coverage) -> None:
    """Write a multi-band network with its preprocessing, state and answer."""
    network, config = cast(Multiband, model.network), cast(MultibandConfig, model.preprocessing)
    out, state, n_obs, n_steps = multiband(network, config, graph)
    _outputs(graph, model, "stream", out, n_steps, n_steps >= config.fewest, coverage)
    graph.output("n_obs", n_obs, ("B",))
    graph.output("n_steps", n_steps, ("B",))
    for (name, shape), value in zip(shapes(network).items(), state, strict=True):
        graph.output(f"{name}_after", value, shape)
    if out.targets is not None:
        graph.output("targets", out.targets, ("B", network.config.targets))


def _outputs(
    graph: Graph, model: Model, mode: Mode, out: NetworkValues, n: Value, usable: Value | None, coverage: Coverage
) -> None:
    """Write the outputs that all files have; the answer is none where an object isn't ``usable`` (B,)."""
    answer = write_answer(graph, model, mode, out, n, coverage)

    def masked(value: Value, otherwise: float, axis: bool = False) -> Value:
        if usable is None:
            return value
        rows = usable.unsqueeze(1) if axis else usable
        return value & rows if value.dtype == bool else value.where(rows, otherwise)

    C = len(model.classes)
    graph.output("logits", out.logits, ("B", C))
    graph.output("embedding", out.embedding, ("B", model.embedding_size))
    graph.output("probabilities", masked(answer.probabilities, np.nan, True), ("B", C))
    if answer.nodes is not None and model.config.taxonomy is not None:
        graph.output("nodes", masked(answer.nodes, np.nan, True), ("B", len(model.config.taxonomy.nodes)))
    graph.output("answer", masked(answer.answer, -1), ("B",))
    graph.output("answer_probability", masked(answer.answer_probability, np.nan), ("B",))
    if answer.sets is not None:
        graph.output("prediction_set", masked(answer.sets, 0, True), ("B", C))
    if answer.novelty is not None:
        graph.output("novelty", masked(answer.novelty, np.nan), ("B",))


def metadata(model: Model, coverage: Coverage = COVERAGE) -> dict[str, str]:
    """Return the metadata of a file, each value as JSON."""
    content: dict[str, Any] = model.config.model_dump(
        mode="json",
        include={"family", "classes", "preprocessing", "unit", "bands", "targets", "taxonomy", "photometry"},
    )
    tree = model.config.taxonomy
    content |= {"model": model.name, "hash": model.hash, "calibration": _matrix(model.calibration.one_pass)}
    content |= {"nodes": [] if tree is None else list(tree.nodes), "answers": answer_names(model)}
    content |= {"threshold": THRESHOLD, "coverage": coverage._asdict()}
    return {name: json.dumps(value) for name, value in content.items()}


def _matrix(scaling: Scaling) -> dict[str, Any]:
    """Return a map to probabilities of any kind with its weight as a matrix."""
    weight = scaling.weight if scaling.weight.ndim == 2 else np.diag(scaling.weight)
    return scaling.to_dict() | {"weight": weight.tolist()}


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: export to ONNX needs an extra. Fix: pip install 'goodricke[onnx]'") from error
