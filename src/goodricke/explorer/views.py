"""Views of the table as addresses: what the page asks by JSON can be asked by a GET with the same fields.

    /api/rows?class=EA&p_max__gt=0.9&sort=-period&columns=object_id,period&limit=1000
    /api/rows?filter=class in ("EA", "EB") and not period < 1
    /api/rows?cone=05 35 17.3 -05 23 28,60
    /api/rows?where={"all":[{"column":"class","op":"=","value":"EA"}]}

`where` and `sort` are the JSON of the page. A parameter that is called as a column is a condition on it, with the
operator behind two underscores: ``eq`` (which may be left out), ``ne``, ``gt``, ``gte``, ``lt``, ``lte``, ``contains``,
``matches`` (a regular expression), ``in`` (values with commas between them), ``isnull`` and ``notnull``. `filter` is a
text as in `goodricke.explorer.query`; `cone` has a position and a radius.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar, get_type_hints

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ValidationError

from goodricke.service.schemas import fault_sentence

OPERATORS = {
    "eq": "=",
    "ne": "!=",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "contains": "contains",
    "matches": "matches",
    "in": "in",
    "isnull": "is null",
    "notnull": "not null",
}
SPECIAL = ("search", "labelled", "filter", "subset")  # conditions without a column

Body = TypeVar("Body", bound=BaseModel)


def add_view(
    routes: APIRouter, path: str, answer: Callable[..., Any], columns: Collection[str], **options: Any
) -> None:
    """Serve a function of a body, and of the path's parameters, as POST with JSON and as GET with its fields.

    Parameters
    ----------
    routes : APIRouter
    path : str
    answer : callable
        Whose parameter ``body`` is annotated as a pydantic model.
    columns : collection of str
        Names of the columns, which are conditions in a GET.
    **options
        Of the routes.
    """
    hints = get_type_hints(answer, include_extras=True)
    body_type = hints["body"]

    async def read_query(request: Request) -> Any:
        return body_of_query(body_type, request.query_params.multi_items(), columns)

    signature = inspect.signature(answer)
    parameters = [p.replace(annotation=hints[p.name]) for p in signature.parameters.values()]
    by_query = [p.replace(default=Depends(read_query)) if p.name == "body" else p for p in parameters]

    def answer_query(**arguments: Any) -> Any:
        return answer(**arguments)

    answer_query.__signature__ = signature.replace(parameters=by_query, return_annotation=hints["return"])  # type: ignore[attr-defined]
    answer_query.__doc__, name = answer.__doc__, answer.__name__
    routes.post(path, name=name, **options)(answer)
    routes.get(path, name=f"get_{name}", openapi_extra={"parameters": _described(body_type)}, **options)(answer_query)


def body_of_query(body_type: type[Body], query: Collection[tuple[str, str]], columns: Collection[str]) -> Body:
    """Return the body of a request that a query stands for.

    Parameters
    ----------
    body_type : type of BaseModel
    query : list of (str, str)
        Names and values.
    columns : collection of str

    Raises
    ------
    HTTPException
        422 at an unknown name, or a value that isn't as the body describes.
    """
    fields, conditions = dict[str, Any](), list[dict[str, Any]]()
    for name, text in query:
        if name in body_type.model_fields:
            fields[name] = _field(name, text)
        elif (condition := _condition(name, text, columns)) is not None:
            conditions.append(condition)
        else:
            known = ", ".join(body_type.model_fields)
            raise HTTPException(422, f"{name[:100]}: neither a column nor one of {known}; /api/about lists the columns")
    if conditions:
        where = fields.setdefault("where", {})
        if not isinstance(where, dict) or not isinstance(where.get("all", []), list):
            raise HTTPException(422, 'where: must be as {"all": [{"column": "class", "op": "=", "value": "EA"}]}')
        fields["where"] = where | {"all": [*where.get("all", []), *conditions]}
    try:
        return body_type.model_validate(fields)
    except ValidationError as error:
        raise HTTPException(422, fault_sentence(error.errors(include_url=False))) from None


def _field(name: str, text: str) -> Any:
    """Return the value of a field: JSON where it begins as such; a list of columns or of an order; else the text."""
    if text[:1] in ("{", "["):
        try:
            return json.loads(text, parse_constant=str)
        except (ValueError, RecursionError):
            raise HTTPException(422, f"{name}: is no JSON") from None
    if name == "columns":
        return text.split(",")
    if name == "sort":
        return [{"column": part.removeprefix("-"), "descending": part.startswith("-")} for part in text.split(",")]
    return text


def _condition(name: str, text: str, columns: Collection[str]) -> dict[str, Any] | None:
    """Return the condition that a parameter stands for; None if it is none."""
    if name in columns:
        return {"column": name, "op": "=", "value": text}
    if name in SPECIAL:
        return {name: text}
    if name == "cone":
        position, _, radius = text.rpartition(",")
        return {"cone": {"position": position, "radius": radius}}
    column, _, operator = name.rpartition("__")
    if column not in columns or operator not in OPERATORS:
        return None
    value = text.split(",") if operator == "in" else None if operator.endswith("null") else text
    return {"column": column, "op": OPERATORS[operator], "value": value}


def _described(body_type: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the OpenAPI description of the fields of a body as parameters of a query."""
    about = {
        "where": "Conditions as JSON; or one parameter each: `class=EA`, `p_max__gt=0.9`, `search=TEXT`",
        "sort": "Columns with commas between them, `-period` for the largest first; or JSON",
        "columns": "Names with commas between them; all by default",
    }
    return [
        {"name": name, "in": "query", "required": field.is_required(), "schema": {"type": "string"}}
        | ({"description": about[name]} if name in about else {})
        for name, field in body_type.model_fields.items()
    ]
