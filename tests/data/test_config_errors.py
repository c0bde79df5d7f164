"""What is wrong with a configuration is said key by key, and a slip is told from what was meant."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from goodricke.data.config_errors import faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    epochs: int = Field(1, ge=1)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    training: Inner | None = None
    parts: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, ["name: missing"]),
        ({"name": "m", "traning": {}}, ["traning: no such key here; did you mean training?"]),
        ({"name": "m", "training": {"epoch": 3}}, ["training.epoch: no such key here; did you mean epochs?"]),
        ({"name": "m", "parts": {"a": {"epoc": 3}}}, ["parts.a.epoc: no such key here; did you mean epochs?"]),
        ({"name": "m", "zzz": 1}, ["zzz: no such key here"]),
        ({"zzz": 1}, ["name: missing", "zzz: no such key here"]),
        ({"name": "m", "training": {"epochs": 0}}, ["training.epochs: Input should be greater than or equal to 1"]),
    ],
)
def test_each_key_is_named(content, said):
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(content)
    assert faults(caught.value, Outer) == said


def test_of_a_section_and_never_with_values():
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": ["a secret"]})
    (told,) = faults(caught.value, section="kafka")
    assert told.startswith("kafka.name: ")
    assert "secret" not in told
