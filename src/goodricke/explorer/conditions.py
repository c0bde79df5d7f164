"""Conditions on rows, as the page sends them: terms, and what joins them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from goodricke.explorer.expressions import LONGEST

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "contains", "matches", "in", "is null", "not null"]
Value = str | int | float | bool | None
Name = Annotated[str, StringConstraints(max_length=200)]
Text = Annotated[str, StringConstraints(max_length=1000)]
Vertex = tuple[float, float]

MAX_TERMS = 300  # conditions of one question


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class FilterTerm(_Model):
    """A column against a value; rows without a value are unequal to any, and neither less nor more."""

    column: Name
    op: Operator
    value: Value | Annotated[list[Value], Field(max_length=1000)] = None


class Search(_Model):
    """Rows whose object id or label contains a text, in upper or lower case."""

    search: Text


class Lasso(_Model):
    """A closed polygon in a diagram, in the coordinates of its points; its edges are straight as drawn."""

    diagram: Annotated[str, StringConstraints(max_length=2000)]
    polygon: Annotated[list[Vertex], Field(min_length=3, max_length=5000)]


class InsideLasso(_Model):
    """Rows whose points are inside a polygon in a diagram."""

    inside: Lasso


class RowNumbers(_Model):
    """Rows by their numbers."""

    rows: Annotated[list[int], Field(max_length=100_000)]


class HasLabel(_Model):
    """Rows whose object has a label of the user's, or none."""

    labelled: bool


class FormulaTerm(_Model):
    """A formula of columns against a number; see `goodricke.explorer.expressions`."""

    formula: Annotated[str, StringConstraints(max_length=LONGEST)]
    op: Literal["=", "!=", "<", "<=", ">", ">="]
    value: float


class Cone(_Model):
    """A circle on the sky.

    The position is text such as ``05 35 17.3 -05 23 28`` or ``83.8 -5.4`` [deg], or the id of an object of the catalog;
    the radius is in arcsec, or a text with a unit. Columns of positions are found by their names, or named.
    """

    position: Annotated[str, StringConstraints(max_length=200)]
    radius: float | Annotated[str, StringConstraints(max_length=50)]
    ra: Name = ""
    dec: Name = ""


class InCone(_Model):
    """Rows whose position is in a circle on the sky."""

    cone: Cone


class FilterText(_Model):
    """Conditions as a user writes them; see `goodricke.explorer.query`."""

    filter: Text


class InSubset(_Model):
    """Rows of a subset that was saved under a name."""

    subset: Name


class AllOf(_Model):
    """Conditions that all hold."""

    all: Annotated[list[Condition], Field(max_length=MAX_TERMS)]


class AnyOf(_Model):
    """Conditions of which at least one holds."""

    any: Annotated[list[Condition], Field(max_length=MAX_TERMS)]


class Not(BaseModel):
    """A condition that doesn't hold, or can't be judged for lack of a value."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)
    negated: Annotated[Condition, Field(alias="not")]


Condition = (
    FilterTerm
    | Search
    | InsideLasso
    | RowNumbers
    | HasLabel
    | FormulaTerm
    | InCone
    | FilterText
    | InSubset
    | AllOf
    | AnyOf
    | Not
)
Computed = Lasso | FormulaTerm  # what decides by going through all rows, once


class Where(_Model):
    """Conditions that all hold."""

    all: Annotated[list[Condition], Field(max_length=100)] = []


for _type in (AllOf, AnyOf, Not, Where):
    _type.model_rebuild()


class Sort(_Model):
    """A column to sort by."""

    column: Name
    descending: bool = False
