"""Answers to ``POST /classify``: rows of `goodricke.Predictions` as JSON, with the reason where there is no class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from goodricke.data.json import json_values
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import alternatives_of
from goodricke.data.predictions import MEANING, Status
from goodricke.inference import InputChecks
from goodricke.service import requests
from goodricke.service.model_queue import ClassifyRequest, ModelQueue
from goodricke.service.schemas import ClassifyParameters, LightCurve, answer_fields, fault_sentence

Answer = dict[str, Any]

_LIGHT_CURVE, _LIGHT_CURVES = TypeAdapter(LightCurve), TypeAdapter(list[LightCurve])


def classify_json(queue: ModelQueue, parameters: ClassifyParameters, body: bytes) -> Answer:
    """Return a model's answers about a light curve as JSON, or about a list of them.

    Raises
    ------
    ValueError
        If the body is not as `LightCurve` describes, or not of the kind that the model takes.
    """
    try:
        is_list = body.lstrip()[:1] == b"["
        items = _LIGHT_CURVES.validate_json(body) if is_list else [_LIGHT_CURVE.validate_json(body)]
    except ValidationError as error:
        raise ValueError(fault_sentence(error.errors(include_url=False))) from None
    answers: list[Answer] = [{}] * len(items)
    with requests.collect_warnings() as notes:
        if parameters.present:
            notes.append(f"{', '.join(parameters.present)}: ignored, these parameters are for files")
        for rows, curves in requests.light_curves_from_json(items, context_columns(queue)):
            for row, answer in zip(rows, _answers(queue, parameters, curves), strict=True):
                answers[row] = answer
    return _body(queue, notes, answers)


def classify_file(queue: ModelQueue, parameters: ClassifyParameters, name: str, content: bytes) -> Answer:
    """Return a model's answers about the light curves in a file; an unreadable rest is one more answer, the last.

    Raises
    ------
    ValueError
        If they are not of the kind that the model takes.
    """
    with requests.collect_warnings() as notes:
        batches, failure = requests.light_curves_from_file(
            name, content, parameters.read_options, context_columns(queue)
        )
        answers = [answer for curves in batches for answer in _answers(queue, parameters, curves)]
    if failure is not None:
        file, reason = failure
        answer: Answer = dict.fromkeys(answer_fields(queue.model))
        answer |= {"object_id": file, "status": str(Status.UNREADABLE), "reason": as_parameters(reason), "n_obs": 0}
        answers.append(answer | {"model": queue.model.name, "model_hash": queue.model.hash})
    return _body(queue, notes, answers)


def context_columns(queue: ModelQueue) -> Sequence[str]:
    """Return the numbers per object that a model needs with the light curves."""
    return getattr(queue.model.preprocessing, "columns", ())


def _answers(queue: ModelQueue, parameters: ClassifyParameters, curves: LightCurves) -> list[Answer]:
    """Return an answer for each light curve: its row of the predictions, and the reason if it has no class."""
    checks = InputChecks(queue.model.config)
    try:
        queue.model.preprocessing.check_unit(curves)
        checks.check(curves)
    except ValueError as error:
        checks.warn("%s", error)
    if parameters.history and not queue.is_multiband:
        fix = "ask without history, or a multi-band model (see /models)"
        raise ValueError(f"{queue.model.name} classifies whole light curves and has no history: {fix}")
    request = ClassifyRequest(curves, parameters.passes, parameters.seed, parameters.set_coverage)
    table = queue.classify(request).table
    names = answer_fields(queue.model) + (["embedding"] if parameters.embedding else [])
    rows = table.select([name for name in names if name in table.column_names]).to_pylist()
    answers = [{**dict.fromkeys(names), **row} for row in rows]
    if "period_relations" in names:
        answers = [answer | _listed_periods(answer) for answer in answers]
    has_steps = parameters.history and any(answer["status"] == Status.OK for answer in answers)
    steps = queue.history(curves) if has_steps else []
    for number, answer in enumerate(answers):
        is_ok = answer["status"] == Status.OK
        answer["reason"] = None if is_ok else as_parameters(MEANING[Status(answer["status"])])
        if parameters.history:
            answer["history"] = steps[number] if is_ok else None
    return answers


def _listed_periods(answer: Answer) -> Answer:
    """Return the lists of other periods as long as there are some, with their relations to the period."""
    if answer["period"] is None:
        return {"period_relations": None}
    others = alternatives_of(answer)
    return {
        "period_alternatives": [other["period"] for other in others],
        "period_alternative_probabilities": [other["probability"] for other in others],
        "period_relations": [other["relation"] for other in others],
    }


def _body(queue: ModelQueue, notes: Sequence[str], answers: Sequence[Answer]) -> Answer:
    notes = list(dict.fromkeys(as_parameters(note) for note in notes))
    return json_values(
        {"model": queue.model.name, "model_hash": queue.model.hash, "notes": notes, "answers": list(answers)}
    )


def as_parameters(text: str) -> str:
    """Return a text of the command line with its options under the names of this interface's parameters."""
    text = re.sub(r"--column object_id=", "?id_column=", text)
    text = re.sub(r"--column (\w+)=", r"?\1_column=", text)
    text = re.sub(r"say so: --band \S+=\S+", "call it so", text).replace("--time-scale", "?time_scale=")
    return re.sub(r"--(flux|unit|band|quality)\b ?", r"?\1=", text)
