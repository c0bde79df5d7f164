"""What goes over the wire: a light curve in, an answer out, as Pydantic models that make the OpenAPI page.

The fields of an answer are those of a row of ``goodricke classify --out`` and depend on the model's classes; those of
an object are the columns of the catalog. Both are made of the model and the catalog at hand, so that the page tells
exactly what comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from goodricke.data.formats import describe
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Status
from goodricke.explorer.store import Column
from goodricke.io import ReadOptions
from goodricke.io.options import Scale
from goodricke.models.bundle import Model
from goodricke.preprocess import FoldedConfig
from goodricke.uncertainty.prediction_sets import Coverage

MOST_POINTS = 1_000_000  # observations in a request
MOST_CURVES = 1_000  # light curves in a request
UNNAMED = "unnamed"

Numbers = Annotated[list[float | None], Field(max_length=MOST_POINTS)]
Name = Annotated[str, Field(max_length=200)]

EXAMPLE: dict[str, Any] = {
    "object_id": "ZTF18abcdefg",
    "time": [58300.2, 58300.3, 58303.2, 58303.3, 58306.2, 58306.3, 58309.2, 58309.3],
    "value": [19.1, 18.9, 18.4, 18.3, 18.1, 18.0, 18.2, 18.0],
    "error": [0.1, 0.1, 0.06, 0.06, 0.05, 0.05, 0.05, 0.05],
    "band": ["g", "r", "g", "r", "g", "r", "g", "r"],
    "unit": "mag",
    "time_scale": "MJD",
}


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="What is wrong, the likely cause, and the fix")


class LightCurve(BaseModel):
    """One light curve; `time`, `value` and, if given, `error` and `band` (as a list) are of one length."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE]})

    object_id: Name = Field(UNNAMED, description="Comes back in the answer. Draws the masks of Monte-Carlo passes, too")
    time: Numbers = Field(description="Days. In any order; an observation whose time is null is left out")
    value: Numbers = Field(description="Brightness in `unit`; null: no measurement")
    error: Numbers | None = Field(None, description="One-sigma uncertainty of each value; null: unknown")
    band: Annotated[list[Name | None], Field(max_length=MOST_POINTS)] | Name | None = Field(
        None, description="Band of each observation, or one name for all. Multi-band models need it"
    )
    unit: str = Field(
        min_length=1,
        max_length=60,
        description="Of value and error: mag, mmag, nJy, electron / s, relative (flux over its median), ...",
        examples=["mag"],
    )
    time_scale: Scale | None = Field(None, description="Guessed from the numbers where it isn't said")
    columns: dict[str, float | None] = Field(
        {},
        description="Numbers per object that a model is told beside its light curve, like a redshift: see /models",
    )

    @model_validator(mode="after")
    def _alike(self) -> LightCurve:
        n = len(self.time)
        for name in ("value", "error", "band"):
            given = getattr(self, name)
            if isinstance(given, list) and len(given) != n:
                raise ValueError(f"{name} has {len(given)} entries and time has {n}: give one for each observation")
        return self


class Asked(BaseModel):
    """What is asked, of which model."""

    model_config = ConfigDict(extra="forbid")

    model: Any
    passes: int = Field(20, ge=0, le=100, description="Monte-Carlo passes with dropout on; 0: one pass without")
    seed: int = Field(0, ge=0, lt=2**53, description="Of the dropout masks: same seed, same answer")
    coverage: float = Field(
        0.9, ge=0.01, le=0.999, description="Fraction of objects whose prediction_set is to hold the true class"
    )
    per_class: bool = Field(False, description="Keep that promise in each class, rare ones too: larger sets")
    embedding: bool = Field(False, description="Whether answers have the embedding, a list of numbers")
    history: bool = Field(False, description="Multi-band models: the probabilities after every observation, too")


class Reading(BaseModel):
    """How a file is read: as the options of `goodricke classify`. Light curves as JSON say it themselves."""

    model_config = ConfigDict(extra="forbid")

    quality: Literal["default", "bitmask", "hard", "none"] | None = Field(
        None, description="Of a file: flagged cadences to leave out; the product's makers' cut by default"
    )
    flux: Name | None = Field(None, description="Of a file: flux column, e.g. PDCSAP_FLUX")
    band: Name | None = Field(None, description="Of a file: name of its one band")
    unit: Name | None = Field(None, description="Of a file that doesn't tell: mag, nJy, ...")
    time_scale: Scale | None = Field(None, description="Of a file that doesn't tell")
    time_column: Name | None = Field(None, description="Of a table: column that isn't recognised by itself")
    value_column: Name | None = Field(None, description="Of a table: its brightness")
    error_column: Name | None = Field(None, description="Of a table: the uncertainty of the brightness")
    band_column: Name | None = Field(None, description="Of a table: the band")
    id_column: Name | None = Field(None, description="Of a table: the object's identifier")

    @property
    def options(self) -> ReadOptions:
        """The readers' options; what isn't said keeps their defaults."""
        roles = {"time": self.time_column, "value": self.value_column, "error": self.error_column}
        roles |= {"band": self.band_column, "object_id": self.id_column}
        told = {name: getattr(self, name) for name in ("quality", "flux", "band", "unit", "time_scale")}
        kept = {name: value for name, value in told.items() if value}
        return ReadOptions(**kept, columns={role: name for role, name in roles.items() if name})

    @property
    def told(self) -> list[str]:
        """The parameters that were given."""
        return [name for name in Reading.model_fields if getattr(self, name) is not None]


class How(Reading, Asked):
    """What is asked, of which model, and how its file is read."""

    @property
    def name(self) -> str:
        """Of the model."""
        return str(self.model.value)

    @property
    def promise(self) -> Coverage:
        """What is promised of the prediction sets."""
        return Coverage(self.coverage, self.per_class)


def how_of(models: Sequence[str]) -> type[How]:
    """Return the parameters of a request to one of some models; the first of them is the default if it is the only."""
    names = Enum("Served", {name: name for name in models}, type=str)  # type: ignore[misc]
    default: Any = next(iter(names)) if len(models) == 1 else ...
    field = Field(default, description="Which of the models that are served here", examples=[models[0]])
    return create_model("How", __base__=How, model=(names, field))


def answers_of(model: Model) -> type[BaseModel]:
    """Return what an answer of a model looks like: model, hash, notes, and a row per light curve."""
    row = create_model(f"Answer of {model.name}", __config__=_EXACT, **_columns(model))
    fields: dict[str, Any] = {
        "model": (Literal[model.name], Field(description="Which model answers")),
        "model_hash": (str, Field(description=describe("model_hash").description)),
        "notes": (list[str], Field(description="What the model or the readers remark about these light curves")),
        "answers": (list[row], Field(description="One per light curve, in order")),
    }
    return create_model(f"Answers of {model.name}", __config__=_EXACT, **fields)


def names_of(model: Model) -> list[str]:
    """Return the fields that every answer of a model has."""
    classes = model.classes
    numbers = [f"p_{c}" for c in classes] + ["p_max"] + [f"std_{c}" for c in classes]
    numbers += ["entropy", "mutual_information", "aleatoric_entropy", "novelty"]
    numbers += [f"pred_{target.name}" for target in model.config.targets]
    numbers += ["fold_period"] * isinstance(model.preprocessing, FoldedConfig)
    counts = ["n_obs", "n_points"]
    return ["object_id", "status", "reason", "class", *numbers, "prediction_set", *counts, "model", "model_hash"]


def _columns(model: Model) -> dict[str, Any]:
    """Return the fields of an answer: columns of `goodricke.Predictions`; only embedding and history may be missing."""
    label: Any = Literal[model.classes]
    reason = Field(description="What the status means, or why the file can't be read; null if it is OK")
    kinds: dict[str, Any] = {"object_id": str, "status": Status, "class": label | None, "n_obs": int}
    kinds |= {"n_points": int | None, "prediction_set": list[label] | None, "model": str, "model_hash": str}
    fields = {name: (kinds.get(name, float | None), _about(name)) for name in names_of(model)}
    fields["reason"] = (str | None, reason)
    fields["embedding"] = (list[float] | None, Field(None, description=describe("embedding").description))
    fields["history"] = (_history(model) | None, Field(None, description="Multi-band models: step by step"))
    return fields


def _history(model: Model) -> Any:
    classes: dict[str, Any] = {c: (list[float], Field()) for c in model.classes}
    of_class = create_model(f"Probabilities by {model.name}", __config__=_EXACT, **classes)
    fields: dict[str, Any] = {
        "time": (list[float], Field(description="Of each observation that made a step, the third of its band on")),
        "band": (list[str], Field(description="Its band")),
        "p": (of_class, Field(description="Probability of each class after it")),
    }
    return create_model(f"History by {model.name}", __config__=_EXACT, **fields)


def row_of(columns: Sequence[Column]) -> type[BaseModel]:
    """Return what a row of a catalog looks like."""
    fields: dict[str, Any] = {"row": (int, Field(description="Number of the row in the catalog, from 0"))}
    fields |= {each.name: (_kind(each) | None, Field(description=each.about)) for each in columns}
    return create_model("Row of the catalog", __config__=_EXACT, **fields)


def _kind(column: Column) -> Any:
    """Return the Python type of a column's values."""
    number = int if column.whole else float
    return {"text": str, "number": number, "boolean": bool, "list": list[str | None]}[column.kind]


def _about(name: str) -> Any:
    return Field(description=describe(name).description)


class ModelCard(BaseModel):
    """A model that is served."""

    name: str
    hash: str = Field(description=describe("model_hash").description)
    family: str = Field(description="astrafier: whole light curves in one band; multiband: an answer per observation")
    summary: str
    classes: list[str]
    bands: list[str]
    unit: str = Field(description="Of the brightness that it was trained on")
    columns: list[str] = Field(description="Numbers per object that it must be told: `columns` of a light curve")
    trained_on: str
    simulated: bool = Field(description="Whether it was trained on simulated light curves")

    @classmethod
    def of(cls, model: Model) -> ModelCard:
        """Return what there is to say of a model."""
        told = model.config.model_dump(include={"family", "summary", "unit", "trained_on", "simulated"})
        columns = list(getattr(model.preprocessing, "columns", ()))
        classes, bands = list(model.classes), list(model.config.bands)
        return cls(name=model.name, hash=model.hash, classes=classes, bands=bands, columns=columns, **told)


def as_json(curves: LightCurves) -> list[dict[str, Any]]:
    """Return light curves as `LightCurve` has them; what isn't a number is NaN still."""
    bands = np.array(curves.bands, dtype=object)[curves.band]
    scale = curves.time_scale if curves.time_scale in get_args(Scale) else None
    pieces = (slice(*ends) for ends in zip(curves.offsets[:-1], curves.offsets[1:], strict=True))
    return [
        {
            "object_id": name,
            **{field: getattr(curves, field)[piece].tolist() for field in ("time", "value", "error")},
            "band": bands[piece].tolist(),
            "unit": curves.unit,
            "time_scale": scale,
            "columns": {},
        }
        for name, piece in zip(curves.ids, pieces, strict=True)
    ]


class Health(BaseModel):
    """That the server is there, and what it has."""

    status: Literal["ok"] = "ok"
    version: str
    models: list[str]
    rows: int | None = Field(description="Of the catalog; null without one")


_EXACT = ConfigDict(extra="forbid", protected_namespaces=())
