"""What is wrong with a configuration, key by key, in words for who wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def faults(error: ValidationError, *models: type[BaseModel], section: str = "") -> list[str]:
    """Return what is wrong, a text per key; never the values, which may be passwords.

    Parameters
    ----------
    error : ValidationError
    models : type of BaseModel
        Whose keys an unknown one may be a slip of.
    section : str
        What was validated, if it is a part of the file.
    """
    known = sorted({name for model in models for name in _keys(model)})
    return [_told(each, known, section) for each in error.errors(include_url=False, include_input=False)]


def _told(each: Any, known: list[str], section: str) -> str:
    place = ".".join([section] * bool(section) + [str(part) for part in each["loc"]])
    why = each["msg"].removeprefix("Value error, ")
    if each["type"] == "extra_forbidden":
        near = get_close_matches(str(each["loc"][-1]), known, 1)
        why = f"no such key{f' here; did you mean {near[0]}?' if near else ' here'}"
    elif each["type"] == "missing":
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
