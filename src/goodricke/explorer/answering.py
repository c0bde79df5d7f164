"""From a request about a model to what is answered: rows of `goodricke.Predictions` as JSON, with reasons."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from goodricke.catalog.classify import warn_of_other_data, warn_of_several_bands
from goodricke.explorer import incoming
from goodricke.explorer.desk import Desk, Question
from goodricke.explorer.schemas import How, LightCurve, names_of
from goodricke.lightcurves import LightCurves
from goodricke.predictions import MEANING, Status

log = logging.getLogger("goodricke")

Answer = dict[str, Any]

_ONE, _SEVERAL = TypeAdapter(LightCurve), TypeAdapter(list[LightCurve])
SHOWN = 3  # faults of a request that are told


def answer_json(desk: Desk, how: How, body: bytes) -> Answer:
    """Return what a model says of a light curve as JSON, or of a list of them.

    Raises
    ------
    ValueError
        If they are not as `LightCurve` has them, or not of the kind that the model takes.
    """
    several = body.lstrip()[:1] == b"["
    try:
        items = _SEVERAL.validate_json(body) if several else [_ONE.validate_json(body)]
    except ValidationError as error:
        raise ValueError(sentence(error.errors(include_url=False))) from None
    answers: list[Answer] = [{}] * len(items)
    with incoming.remarks() as notes:
        if how.told:
            notes.append(f"{', '.join(how.told)}: left out, they are for files; light curves as JSON tell themselves")
        for rows, curves in incoming.of_json(items, told_columns(desk)):
            for row, answer in zip(rows, _answers(desk, how, curves), strict=True):
                answers[row] = answer
    return _reply(desk, notes, answers)


def answer_file(desk: Desk, how: How, name: str, content: bytes) -> Answer:
    """Return what a model says of the light curves in a file; what can't be read of it is one answer, the last.

    Raises
    ------
    ValueError
        If they are not of the kind that the model takes.
    """
    with incoming.remarks() as notes:
        batches, failure = incoming.of_file(name, content, how.options, told_columns(desk))
        answers = [answer for curves in batches for answer in _answers(desk, how, curves)]
    if failure is not None:
        file, reason = failure
        blank = dict.fromkeys(names_of(desk.model))
        told = {"object_id": file, "status": str(Status.UNREADABLE), "reason": in_query(reason), "n_obs": 0}
        answers.append({**blank, **told, "model": desk.model.name, "model_hash": desk.model.hash})
    return _reply(desk, notes, answers)


def told_columns(desk: Desk) -> Sequence[str]:
    """Return the numbers per object that a model is told beside light curves."""
    return getattr(desk.model.preprocessing, "columns", ())


def _answers(desk: Desk, how: How, curves: LightCurves) -> list[Answer]:
    """Return an answer for each light curve: its row of the predictions, and why if it has no class."""
    warn_of_other_data(curves.unit, desk.model.config)
    _warn_of_unknown_bands(curves, desk)
    if curves.has_several_bands.any():
        warn_of_several_bands(curves.bands, desk.model.config)
    if how.history and not desk.multiband:
        mend = "ask without history, or a multi-band model (see /models)"
        raise ValueError(f"{desk.model.name} answers about whole light curves and has no history: {mend}")
    table = desk.classify(Question(curves, how.passes, how.seed, how.promise)).table
    names = names_of(desk.model) + (["embedding"] if how.embedding else [])
    blank = dict.fromkeys(names)
    kept = table.select([name for name in names if name in table.column_names])
    answers = [{**blank, **row} for row in kept.to_pylist()]
    steps = desk.history(curves) if how.history else []
    for number, answer in enumerate(answers):
        well = answer["status"] == Status.OK
        answer["reason"] = None if well else in_query(MEANING[Status(answer["status"])])
        if how.history:
            answer["history"] = steps[number] if well else None
    return answers


def _warn_of_unknown_bands(curves: LightCurves, desk: Desk) -> None:
    known = desk.model.config.bands
    unknown = [name for b in np.unique(curves.band) if (name := curves.bands[b]) not in known]
    if unknown and desk.multiband:
        told = (", ".join(unknown), desk.model.name, ", ".join(known))
        log.warning("observations in %s are left out: %s knows %s. If one of these is meant, call it so", *told)


def _reply(desk: Desk, notes: Sequence[str], answers: Sequence[Answer]) -> Answer:
    remarks = list(dict.fromkeys(in_query(note) for note in notes))
    told = {"model": desk.model.name, "model_hash": desk.model.hash, "notes": remarks}
    return finite({**told, "answers": list(answers)})


def finite(value: Any) -> Any:
    """Return what goes into JSON: NaN and infinities as null, and anything odd as text."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def in_query(told: str) -> str:
    """Return what the package tells users of the command line with its options as this interface calls them."""
    told = re.sub(r"--column object_id=", "?id_column=", told)
    told = re.sub(r"--column (\w+)=", r"?\1_column=", told)
    told = told.replace("--time-scale", "?time_scale=")
    return re.sub(r"--(flux|unit|band|quality)\b ?", r"?\1=", told)


def sentence(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return what Pydantic finds wrong, as a sentence."""
    told = []
    for fault in faults[:SHOWN]:
        where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "path"))
        why = MENDS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        told.append(f"{where}: {why}" if where else why)
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(told) + more + ". /docs shows what a request may hold"


MENDS = {
    "extra_forbidden": "not known here, is it misspelt?",
    "missing": "is missing",
    "float_type": "must be a number, or null where there is none",
}
