"""The ASTRAFier authors' tensors of light curves and labels (``train.safetensors``, ``test.safetensors``).

Each file holds ``flux`` and ``time`` (N, T), ``mask`` (N, T), true where a point is one and not padding, and ``labels``
(N, C), a 1 in the column of the class. The names of the classes are in a JSON file of the same name beside it, as
``label_map``. The authors have cleaned, detrended and standardised the flux and counted the times from each light
curve's first point; the unit ``standardised`` keeps preprocessing from doing it again.

The tensors have no identifiers: light curves are called after the file and their row, ``test-0``, and each counts as a
star of its own, although the authors used several sectors of most stars.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import STANDARDISED
from goodricke.io.files import SourceFile
from goodricke.io.observations import object_columns
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

NAME = "astrafier"
PARTS = ("train", "validation", "test")  # what the authors' files are called
NEEDED = ("flux", "time", "mask")
HEADER = 8  # bytes of the number that says how long the header is
LONGEST_HEADER = 100_000_000  # bytes, as the format has it


def recognises(file: SourceFile) -> bool:
    """Tell whether it is a file of tensors in the format safetensors, whatever they are."""
    head = file.head
    length = int.from_bytes(head[:HEADER], "little")
    return head[HEADER : HEADER + 2] == b'{"' and 2 < length < LONGEST_HEADER and b'"dtype"' in head


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read the light curves of one file of tensors.

    Raises
    ------
    Unreadable
        If the tensors aren't those of light curves, their shapes disagree, or the file is damaged.
    """
    tensors, metadata = _load(file, NEEDED, ("labels",))
    flux, time, mask = (tensors[name] for name in NEEDED)
    shape = flux.shape
    if len(shape) != 2 or time.shape != shape or mask.shape != shape:
        shapes = ", ".join(f"{name} {tensors[name].shape}" for name in NEEDED)
        raise Unreadable(file.path, f"has tensors of different shapes ({shapes})", "all must be (N, T)")
    valid = mask.astype(bool)
    counts = valid.sum(1).astype(np.int64)
    used = ragged.total(np.isfinite(flux[valid]), ragged.offsets_from_counts(counts)).astype(np.int64)
    known = {"source": file.path, "product": NAME, "n_read": counts, "n_flagged": np.zeros_like(counts), "n_used": used}
    curves = LightCurves.from_arrays(
        _ids(file, shape[0]),
        ragged.offsets_from_counts(counts),
        time[valid],
        flux[valid],
        bands=(options.band,) if options.band else LightCurves.bands,
        unit=options.unit or STANDARDISED,
        time_scale=options.time_scale or "unknown",
        objects=object_columns(shape[0], **known),
    )
    logger.warning(
        "%s: the tensors have no identifiers. Each of the %d light curves counts as a star of its own, so sectors of "
        "one star may be in several parts of a split, and intervals are too narrow",
        file.path,
        shape[0],
    )
    own = {"part": pa.repeat(file.stem, shape[0])} if file.stem in PARTS else {}
    own |= {"label": _labels(file, tensors["labels"], metadata)} if "labels" in tensors else {}
    return curves.with_columns(**own) if own else curves


def read_labels(file: SourceFile) -> pa.Table:
    """Return the columns object_id and label of one file, and part if the file is one of the authors' split.

    Raises
    ------
    Unreadable
        If it has no labels, or is damaged.
    """
    tensors, metadata = _load(file, ("labels",), ())
    n = len(tensors["labels"])
    table = {"object_id": _ids(file, n), "label": _labels(file, tensors["labels"], metadata)}
    return pa.table(table | ({"part": pa.repeat(file.stem, n)} if file.stem in PARTS else {}))


def _ids(file: SourceFile, n: int) -> pa.Array:
    """Return an identifier for each row."""
    return pa.array([f"{file.stem}-{row}" for row in range(n)], pa.string())


def _load(
    file: SourceFile, needed: Sequence[str], optional: Sequence[str]
) -> tuple[dict[str, NDArray], Mapping[str, str]]:
    """Return tensors by name, and the header's metadata."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file.path, framework="np") as opened:
            names = list(opened.keys())
            missing = [name for name in needed if name not in names]
            if missing:
                kind = "labels" if needed == ("labels",) else "light curves"
                what = f"holds tensors ({', '.join(names[:4])}{', ...' if len(names) > 4 else ''}) and no {kind}"
                fix = "light curves are tensors flux, time and mask; for a network's weights: goodricke models import"
                raise Unreadable(file.path, f"{what}: there is no {' and no '.join(missing)}", fix)
            wanted = [name for name in (*needed, *optional) if name in names]
            file.columns_read, file.columns_ignored = wanted, [name for name in names if name not in wanted]
            return {name: opened.get_tensor(name) for name in wanted}, opened.metadata() or {}
    except (SafetensorError, TypeError) as error:  # TypeError: a dtype that NumPy lacks
        raise Unreadable(file.path, f"is a damaged file of tensors ({error})", "download it again") from error


def _labels(file: SourceFile, labels: NDArray, metadata: Mapping[str, str]) -> pa.Array:
    """Return the name of each light curve's class (N,), null where none or several are marked."""
    number = _class_numbers(file, labels)
    width = labels.shape[1] if labels.ndim == 2 else int(number.max(initial=-1)) + 1
    names = _class_names(file, metadata)
    if names is None:
        logger.warning(
            "%s: no label_map beside it (%s), so classes are called by their numbers",
            file.path,
            _names_path(file),
        )
        names = {k: str(k) for k in range(width)}
    nameless = sorted({int(k) for k in np.unique(number) if k >= 0} - set(names))
    if nameless:
        raise Unreadable(
            file.path, f"has classes {nameless} that {_names_path(file)} has no name for", "complete the JSON"
        )
    return pa.array([names.get(int(k)) for k in number], pa.string())


def _class_numbers(file: SourceFile, labels: NDArray) -> NDArray[np.int64]:
    """Return the class (N,) that labels mark, one-hot (N, C) or as numbers (N,); -1 for none or several."""
    if labels.ndim == 1:
        return labels.astype(np.int64)
    if labels.ndim != 2:
        raise Unreadable(file.path, f"has labels of shape {labels.shape}", "they must be (N, C), a 1 for the class")
    marked = labels > 0.5
    one = marked.sum(1) == 1
    if not one.all():
        logger.warning("%s: %d light curves have no class, or several: left without a label", file.path, (~one).sum())
    return np.where(one, marked.argmax(1), -1)


def _class_names(file: SourceFile, metadata: Mapping[str, str]) -> dict[int, str] | None:
    """Return the classes' names by number, from the JSON beside the file or else the header; None if neither has it."""
    path = Path(_names_path(file))
    text = path.read_text("utf-8") if path.exists() else metadata.get("label_map")
    if text is None:
        return None
    try:
        content = json.loads(text)
        return _by_number(content.get("label_map", content) if isinstance(content, dict) else content)
    except (ValueError, TypeError, AttributeError) as error:
        raise Unreadable(path, f"is no map of labels ({error})", 'write {"label_map": {"ECLIPSE": 0, ...}}') from error


def _by_number(names: Any) -> dict[int, str]:
    """Return names by number from a map either way round, or from a list."""
    if isinstance(names, list):
        return {k: str(name) for k, name in enumerate(names)}
    pairs = [(k, v) if isinstance(v, str) else (v, k) for k, v in names.items() if isinstance(v, int | str)]
    return {int(number): str(name) for number, name in pairs}


def _names_path(file: SourceFile) -> str:
    return str(Path(file.path).with_suffix(".json"))
