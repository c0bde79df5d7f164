"""Requests and answers of the REST interface as Pydantic models, from which FastAPI makes the OpenAPI page.

An answer has the fields of a row of ``goodricke classify --out``, which depend on the model's classes. Its schema is
made from the model that is served, so that the page describes exactly what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from goodricke.data.formats import describe
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import MEASURED_COLUMNS, PERIOD_COLUMNS, PERIOD_MEANING
from goodricke.data.photometry import Flux
from goodricke.data.predictions import NODE, Status, taxonomy_metadata
from goodricke.data.taxonomy import UNCERTAIN
from goodricke.data.units import STANDARDISED, is_brightness
from goodricke.io import ReadOptions
from goodricke.io.options import Scale
from goodricke.models.bundle import Model
from goodricke.preprocess import DenseConfig, FoldedConfig, MultibandConfig
from goodricke.uncertainty.prediction_sets import Coverage

MAX_POINTS = 1_000_000  # observations in a request
MAX_CURVES = 1_000  # light curves in a request
MAX_COST = 10_000_000  # observations times passes in a request
MAX_FAULTS = 3  # that the detail of a refusal lists
UNNAMED = "unnamed"

_EXACT = ConfigDict(extra="forbid", protected_namespaces=())

Numbers = Annotated[list[float | None], Field(max_length=MAX_POINTS)]
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


def check_unit(unit: str) -> str:
    """Return a stated unit.

    Raises
    ------
    ValueError
        If it is none of brightness: a word that nothing recognises would else count as some flux.
    """
    if unit != STANDARDISED and not is_brightness(unit):
        raise ValueError(f"{unit!r} is no unit of brightness; give mag, mmag, nJy, uJy, electron / s, relative, ...")
    return unit


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="What is wrong, the likely cause, and the fix")


class LightCurve(BaseModel):
    """One light curve. `time`, `value` and the lists `error` and `band` have one length."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE]})

    object_id: Name = Field(
        UNNAMED, description="Repeated in the answer. Also seeds the masks of the Monte-Carlo passes"
    )
    time: Numbers = Field(description="Days. In any order; an observation whose time is null is left out")
    value: Numbers = Field(description="Brightness in `unit`; null: no measurement")
    error: Numbers | None = Field(None, description="One-sigma uncertainty of each value; null: unknown")
    band: Annotated[list[Name | None], Field(max_length=MAX_POINTS)] | Name | None = Field(
        None, description="Band of each observation, or one name for all. Multi-band models need it"
    )
    unit: str = Field(
        min_length=1,
        max_length=60,
        description="Of value and error: mag, mmag, nJy, electron / s, relative (flux over its median), ...",
        examples=["mag"],
    )
    time_scale: Scale | None = Field(None, description="Guessed from the numbers if absent")
    photometry: Flux | None = Field(
        None,
        description="Brightness of the source, or of its difference to a reference image. A model that was trained on "
        "the other refuses it; unknown if absent",
    )
    columns: dict[str, float | None] = Field(
        {},
        description="Numbers per object that a model needs with the light curve, such as a redshift: see /models",
    )

    @field_validator("unit")
    @classmethod
    def _check_unit(cls, unit: str) -> str:
        return check_unit(unit)

    @model_validator(mode="after")
    def _check_lengths(self) -> LightCurve:
        n = len(self.time)
        for name in ("value", "error", "band"):
            values = getattr(self, name)
            if isinstance(values, list) and len(values) != n:
                raise ValueError(f"{name} has {len(values)} entries and time has {n}: give one for each observation")
        return self


class ModelParameters(BaseModel):
    """Which model classifies, how, and what its answers hold."""

    model_config = ConfigDict(extra="forbid")

    model: Any
    passes: int = Field(20, ge=0, le=100, description="Monte-Carlo passes with dropout on; 0: one pass without")
    seed: int = Field(0, ge=0, lt=2**53, description="Of the dropout masks: same seed, same answer")
    coverage: float = Field(
        0.9, ge=0.01, le=0.999, description="Fraction of objects whose prediction_set contains the true class"
    )
    per_class: bool = Field(False, description="Reach the coverage in each class, rare ones included: larger sets")
    embedding: bool = Field(False, description="Whether answers have the embedding, a list of numbers")
    history: bool = Field(False, description="Multi-band models: the probabilities after every observation, too")


class FileParameters(BaseModel):
    """How a file is read, as the options of `goodricke classify`; not for light curves as JSON."""

    model_config = ConfigDict(extra="forbid")

    quality: Literal["default", "bitmask", "hard", "none"] | None = Field(
        None, description="Of a file: flagged cadences to leave out; by default those that the product's makers reject"
    )
    flux: Name | None = Field(None, description="Of a file: flux column, e.g. PDCSAP_FLUX")
    band: Name | None = Field(None, description="Of a file: name of its one band")
    unit: Name | None = Field(None, description="Of a file without a unit: mag, nJy, ...")
    time_scale: Scale | None = Field(None, description="Of a file without a time scale")
    time_column: Name | None = Field(None, description="Of a table: column of times, if it isn't recognised")
    value_column: Name | None = Field(None, description="Of a table: its brightness")
    error_column: Name | None = Field(None, description="Of a table: the uncertainty of the brightness")
    band_column: Name | None = Field(None, description="Of a table: the band")
    id_column: Name | None = Field(None, description="Of a table: the object's identifier")

    @field_validator("unit")
    @classmethod
    def _check_unit(cls, unit: str | None) -> str | None:
        return unit if unit is None else check_unit(unit)

    @property
    def read_options(self) -> ReadOptions:
        """The readers' options; absent parameters keep the readers' defaults."""
        roles = {"time": self.time_column, "value": self.value_column, "error": self.error_column}
        roles |= {"band": self.band_column, "object_id": self.id_column}
        values = {name: getattr(self, name) for name in ("quality", "flux", "band", "unit", "time_scale")}
        present = {name: value for name, value in values.items() if value}
        return ReadOptions(**present, columns={role: name for role, name in roles.items() if name})

    @property
    def present(self) -> list[str]:
        """Names of the parameters that the request has."""
        return [name for name in FileParameters.model_fields if getattr(self, name) is not None]


class ClassifyParameters(FileParameters, ModelParameters):
    """The query parameters of ``POST /classify``."""

    @property
    def model_name(self) -> str:
        """Name of the model that classifies."""
        return str(self.model.value)

    @property
    def set_coverage(self) -> Coverage:
        """The coverage of the prediction sets."""
        return Coverage(self.coverage, self.per_class)


def parameters_type(models: Sequence[str]) -> type[ClassifyParameters]:
    """Return the query parameters where these models are served; a single model is the default."""
    names = Enum("Served", {name: name for name in models}, type=str)  # type: ignore[misc]
    default: Any = next(iter(names)) if len(models) == 1 else ...
    field = Field(default, description="Which of the models that are served here", examples=[models[0]])
    return create_model("ClassifyParameters", __base__=ClassifyParameters, model=(names, field))


def answers_type(model: Model) -> type[BaseModel]:
    """Return the body that a model answers with: model, hash, notes, and a row per light curve."""
    row = create_model(f"Answer of {model.name}", __config__=_EXACT, **_answer_fields(model))
    fields: dict[str, Any] = {
        "model": (Literal[model.name], Field(description="Name of the model")),
        "model_hash": (str, Field(description=describe("model_hash").description)),
        "notes": (list[str], Field(description="Warnings of the readers and the model about these light curves")),
        "answers": (list[row], Field(description="One per light curve, in order")),
    }
    return create_model(f"Answers of {model.name}", __config__=_EXACT, **fields)


def answer_fields(model: Model) -> list[str]:
    """Return the names of the fields that every answer of a model has."""
    classes = model.classes
    numbers = [f"p_{c}" for c in classes] + ["p_max"] + [f"std_{c}" for c in classes]
    numbers += ["entropy", "mutual_information", "aleatoric_entropy", "novelty"]
    numbers += [f"pred_{target.name}" for target in model.config.targets]
    is_dense = isinstance(model.preprocessing, DenseConfig)
    answers_period = len(model.pairs) > 1 or is_dense
    numbers += ["fold_period"] * (isinstance(model.preprocessing, FoldedConfig) and not answers_period)
    counts = ["n_obs", "n_points"]
    nodes, sets = [], ["prediction_set"]
    if (tree := model.config.taxonomy) is not None:
        nodes = ["class_probability", "leaf", *(f"{NODE}{name}" for name in tree.nodes if name != tree.root)]
        sets.append("prediction_set_node")
    periods = ["period", *PERIOD_COLUMNS, "period_relations"] if answers_period else []
    periods += [*MEASURED_COLUMNS] if is_dense else []
    names = ["object_id", "status", "reason", "class", *nodes, *numbers, *sets, *periods, *counts]
    return [*names, "model", "model_hash"]


def _answer_fields(model: Model) -> dict[str, Any]:
    """Return the fields of an answer with their types; only embedding and history may be missing."""
    label: Any = Literal[model.classes]
    name = label if model.config.taxonomy is None else Literal[(*model.config.taxonomy.names, UNCERTAIN)]
    kinds: dict[str, Any] = {"object_id": str, "status": Status, "class": name | None, "n_obs": int}
    kinds |= {"n_points": int | None, "prediction_set": list[label] | None, "model": str, "model_hash": str}
    kinds |= {"leaf": label | None, "prediction_set_node": name | None, "period_note": str | None}
    kinds |= dict.fromkeys(("period_alternatives", "period_alternative_probabilities"), list[float | None] | None)
    kinds["period_relations"] = list[str] | None
    tree = model.config.taxonomy
    about = {name: facts["description"] for name, facts in ({} if tree is None else taxonomy_metadata(tree)).items()}
    about |= {"period": PERIOD_MEANING}
    fields = {
        name: (kinds.get(name, float | None), Field(description=about.get(name) or describe(name).description))
        for name in answer_fields(model)
    }
    reason = "What the status means, or why the file can't be read; null if it is OK"
    fields["reason"] = (str | None, Field(description=reason))
    if "period_relations" in fields:
        relations = "Of each of period_alternatives to period: P/2, 2P, 1-day alias, ..., empty if there is none"
        fields["period_relations"] = (list[str] | None, Field(description=relations))
    fields["embedding"] = (list[float] | None, Field(None, description=describe("embedding").description))
    fields["history"] = (_history(model) | None, Field(None, description="Multi-band models: step by step"))
    return fields


def _history(model: Model) -> Any:
    classes: dict[str, Any] = {c: (list[float], Field()) for c in model.classes}
    probabilities = create_model(f"Probabilities by {model.name}", __config__=_EXACT, **classes)
    fields: dict[str, Any] = {
        "time": (
            list[float],
            Field(description="Of each observation that gives an answer: from the third of its band on"),
        ),
        "band": (list[str], Field(description="Its band")),
        "p": (probabilities, Field(description="Probability of each class after it")),
    }
    return create_model(f"History by {model.name}", __config__=_EXACT, **fields)


class ModelCard(BaseModel):
    """A model that is served."""

    name: str
    hash: str = Field(description=describe("model_hash").description)
    family: str = Field(
        description="astrafier: whole light curves in one band; variables: in one band or several, with periods; "
        "multiband: an answer per observation"
    )
    summary: str
    classes: list[str]
    bands: list[str]
    unit: str = Field(description="Of the brightness in the training set")
    columns: list[str] = Field(description="Numbers per object that it needs: `columns` of a light curve")
    photometry: Flux | None = Field(
        description="Brightness of the source (total), or of its difference to a reference image; light curves that "
        "state the other one are refused. Null: the model doesn't say"
    )
    answers_period: bool = Field(description="Whether answers have a period, with alternatives")
    has_history: bool = Field(description="Whether it answers after every observation: `history=true`")
    has_passes: bool = Field(description="Whether Monte-Carlo passes differ; without, a request costs one pass")
    max_points: int = Field(description="Observations of one light curve")
    trained_on: str
    simulated: bool = Field(description="Whether it was trained on simulated light curves")

    @classmethod
    def from_model(cls, model: Model, max_points: int) -> ModelCard:
        """Return the card of a model that takes so many observations of one light curve."""
        config = model.config
        return cls(
            name=model.name,
            hash=model.hash,
            classes=list(model.classes),
            bands=list(config.bands),
            columns=list(getattr(model.preprocessing, "columns", ())),
            photometry=config.flux_kind,
            answers_period="period" in answer_fields(model),
            has_history=isinstance(model.preprocessing, MultibandConfig),
            has_passes=model.stochastic,
            max_points=max_points,
            **config.model_dump(include={"family", "summary", "unit", "trained_on", "simulated"}),
        )


class Health(BaseModel):
    """The server's version, models and catalog."""

    status: Literal["ok"] = "ok"
    version: str
    models: list[str]
    rows: int | None = Field(description="Of the catalog; null without one")


def as_json(curves: LightCurves) -> list[dict[str, Any]]:
    """Return light curves with the fields of `LightCurve`; missing numbers are NaN."""
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


def fault_sentence(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return the errors that Pydantic lists for a request, in words."""
    sentences = []
    for fault in faults[:MAX_FAULTS]:
        place = ".".join(str(part) for part in fault["loc"] if part not in ("query", "path", "body"))
        why = _FAULTS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        sentences.append(f"{place}: {why}" if place else why)
    more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
    return "; ".join(sentences) + more + ". /docs describes the requests"


_FAULTS = {
    "extra_forbidden": "not known here, is it misspelt?",
    "missing": "is missing",
    "float_type": "must be a number, or null where there is none",
}
