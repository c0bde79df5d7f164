"""Answers to ``POST /classify``: rows of `goodricke.Predictions` as JSON, with the reason where there is no class."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from goodricke.data.json import json_values
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import alternatives_of
from goodricke.data.predictions import MEANING, Status
from goodricke.inference import InputChecks
from goodricke.service import requests
from goodricke.service.model_queue import DAYS_PER_POINT, FEWEST_POINTS, ClassifyRequest, ModelQueue, points_of
from goodricke.service.requests import TooLargeError
from goodricke.service.schemas import MAX_COST, ClassifyParameters, LightCurve, answer_fields, fault_sentence

Answer = dict[str, Any]

_LIGHT_CURVE, _LIGHT_CURVES = TypeAdapter(LightCurve), TypeAdapter(list[LightCurve])


@dataclass
class Work:
    """A request that has been read: its light curves, and what answering them costs.

    Parameters
    ----------
    count : int
        Answers to give: light curves in the request, and an unreadable rest of a file.
    batches : list of (int (n,), LightCurves)
        Light curves of one unit and time scale, with their positions in the request.
    notes : list of str
        Warnings of the readers.
    unreadable : dict of (str, str)
        By position in the request, the identifier of a light curve that can't be read, and the reason; the last
        may be the name of a file with an unreadable rest.
    """

    queue: ModelQueue
    parameters: ClassifyParameters
    count: int
    batches: list[tuple[NDArray[np.int64], LightCurves]]
    notes: list[str]
    unreadable: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        curves = [batch for _, batch in self.batches]
        passes = self.queue.passes(self.parameters.passes)
        check_lengths(curves, self.queue.most_points)
        self.cost = check_cost(curves, passes, self.parameters.history)


def read_json(queue: ModelQueue, parameters: ClassifyParameters, body: bytes) -> Work:
    """Return the light curves of a body in JSON: one, or a list of them.

    Raises
    ------
    ValueError
        If the body is not as `LightCurve` describes, or not of the kind that the model takes.
    TooLargeError
        If it holds more than a request may, or would take too long.
    """
    try:
        is_list = body.lstrip()[:1] == b"["
        items = _LIGHT_CURVES.validate_json(body) if is_list else [_LIGHT_CURVE.validate_json(body)]
    except ValidationError as error:
        raise ValueError(fault_sentence(error.errors(include_url=False))) from None
    with requests.collect_warnings() as notes:
        if parameters.present:
            notes.append(f"{', '.join(parameters.present)}: ignored, these parameters are for files")
        batches, faults = requests.light_curves_from_json(items, context_columns(queue))
    unreadable = {number: (items[number].object_id, f"the light curve {fault}") for number, fault in faults.items()}
    return Work(queue, parameters, len(items), batches, notes, unreadable)


def read_file(queue: ModelQueue, parameters: ClassifyParameters, name: str, content: bytes) -> Work:
    """Return the light curves of a file.

    Raises
    ------
    TooLargeError
        If it holds more than a request may, or would take too long.
    """
    read_options = replace(parameters.read_options, photometry=queue.model.config.flux_kind)
    with requests.collect_warnings() as notes:
        batches, failure = requests.light_curves_from_file(name, content, read_options, context_columns(queue))
    starts = np.cumsum([0, *map(len, batches)])
    rows = [np.arange(len(batch)) + start for start, batch in zip(starts, batches, strict=False)]
    count, unreadable = int(starts[-1]), {} if failure is None else {int(starts[-1]): failure}
    return Work(queue, parameters, count + len(unreadable), list(zip(rows, batches, strict=True)), notes, unreadable)


def answer_request(work: Work, is_gone: Callable[[], bool] = lambda: False) -> Answer:
    """Return a model's answers about the light curves of a request, in order; an unreadable rest of a file is the last.

    Parameters
    ----------
    work : Work
    is_gone : callable
        Returns whether nobody waits for the answer any more.

    Raises
    ------
    ValueError
        If they are not of the kind that the model takes.
    ClientGoneError
        If nobody waits for the answer any more.
    """
    queue, answers = work.queue, list[Answer]([{}] * work.count)
    if work.parameters.history and not queue.is_multiband:
        fix = "ask without history, or a multi-band model (see /models)"
        raise ValueError(f"{queue.model.name} classifies whole light curves and has no history: {fix}")
    with requests.collect_warnings() as notes:
        for rows, curves in work.batches:
            for row, answer in zip(rows, _answers(queue, work.parameters, curves, is_gone), strict=True):
                answers[row] = answer
    for row, (name, reason) in work.unreadable.items():
        answers[row] = _unreadable(queue, work.parameters, name, reason)
    return _body(queue, [*work.notes, *notes], answers)


def _unreadable(queue: ModelQueue, parameters: ClassifyParameters, name: str, reason: str) -> Answer:
    """Return the answer about a light curve or file that can't be read."""
    answer: Answer = dict.fromkeys(_names(queue, parameters) + ["history"] * parameters.history)
    answer |= {"object_id": name, "status": str(Status.UNREADABLE), "reason": as_parameters(reason), "n_obs": 0}
    return answer | {"model": queue.model.name, "model_hash": queue.model.hash}


def _names(queue: ModelQueue, parameters: ClassifyParameters) -> list[str]:
    """Return the names of an answer's fields without the history."""
    return answer_fields(queue.model) + ["embedding"] * parameters.embedding


def check_lengths(batches: Sequence[LightCurves], most: int) -> None:
    """Raise TooLargeError if a light curve has more than ``most`` observations."""
    for curves in batches:
        counts = curves.n_obs
        if len(counts) and counts.max() > most:
            name, fix = curves.ids[int(counts.argmax())], "bin it, or classify it with `goodricke classify`"
            raise TooLargeError(f"{name} has {counts.max():,} observations, and the limit of one is {most:,}: {fix}")


def check_cost(batches: Sequence[LightCurves], passes: int, history: bool = False) -> int:
    """Return what a request costs: the observations of its light curves times the passes over them.

    What a light curve counts is told by `model_queue.points_of`; a history is one more pass.

    Raises
    ------
    TooLargeError
        If it costs more than `MAX_COST`.
    """
    points = sum(int(points_of(curves).sum()) for curves in batches)
    cost = points * (passes + history)
    if cost > MAX_COST:
        most = MAX_COST // max(points, 1) - history
        fix = f"ask for passes={most}" if most >= 1 else "send less at once"
        counted = f"a light curve counts as at least {FEWEST_POINTS} and one per {DAYS_PER_POINT:g} days"
        raise TooLargeError(
            f"{points:,} observations ({counted}) times {passes + history} passes are {cost:,}, and the limit is "
            f"{MAX_COST:,}: {fix}, or send the light curves in parts"
        )
    return cost


def context_columns(queue: ModelQueue) -> Sequence[str]:
    """Return the numbers per object that a model needs with the light curves."""
    return getattr(queue.model.preprocessing, "columns", ())


def _answers(
    queue: ModelQueue, parameters: ClassifyParameters, curves: LightCurves, is_gone: Callable[[], bool]
) -> list[Answer]:
    """Return an answer for each light curve: its row of the predictions, and the reason if it has no class."""
    checks = InputChecks(queue.model.config)
    try:
        queue.model.preprocessing.check_unit(curves)
        checks.check(curves)
    except ValueError as error:
        checks.warn("%s", error)
    request = ClassifyRequest(curves, parameters.passes, parameters.seed, parameters.set_coverage, is_gone)
    table = queue.classify(request).table
    names = _names(queue, parameters)
    rows = table.select([name for name in names if name in table.column_names]).to_pylist()
    answers = [{**dict.fromkeys(names), **row} for row in rows]
    if "period_relations" in names:
        answers = [answer | _listed_periods(answer) for answer in answers]
    has_steps = parameters.history and any(answer["status"] == Status.OK for answer in answers)
    steps = queue.history(curves, is_gone) if has_steps else []
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
