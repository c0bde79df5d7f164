"""The faults of a configuration, one sentence per key."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def faults(error: ValidationError, *models: type[BaseModel], section: str = "") -> list[str]:
    """Return the faults, one sentence per key, without the values, which may be passwords.

    Parameters
    ----------
    error : ValidationError
    models : type of BaseModel
        Models with the keys that an unknown key may be a misspelling of.
    section : str
        The section that was validated, if it is a part of the file.
    """
    known = sorted({name for model in models for name in _keys(model)})
    return [_error_line(item, known, section) for item in error.errors(include_url=False, include_input=False)]


def _error_line(item: Any, known: list[str], section: str) -> str:
    place = ".".join([section] * bool(section) + [str(part) for part in item["loc"]])
    why = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        near = get_close_matches(str(item["loc"][-1]), known, 1)
        why = f"no such key{f' here; did you mean {near[0]}?' if near else ' here'}"
    elif item["type"] == "missing":
        why = "missing"
    return f"{place}: {why}" if place else why


def _keys(kind: Any) -> Iterator[str]:
    """Give the keys of a model and of all models in it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield name
            yield from _keys(field.annotation)
    for part in get_args(kind):
        yield from _keys(part)
