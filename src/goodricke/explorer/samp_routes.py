"""Paths of SAMP, below ``/api/samp``: what others sent, and what is sent to them."""

# No deferred annotations: FastAPI reads those of functions that are defined within functions.

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from goodricke.explorer.conditions import Where
from goodricke.explorer.samp import SampLink
from goodricke.explorer.session import Explorer


class SampSelection(BaseModel):
    """Rows to send."""

    model_config = ConfigDict(extra="forbid")
    where: Where = Where()


class SampRow(BaseModel):
    """A row to point others at."""

    model_config = ConfigDict(extra="forbid")
    row: int


def samp_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api/samp", tags=["explorer"])

    def link() -> SampLink:
        if explorer.samp is None:
            raise HTTPException(404, "SAMP is off: goodricke explore CATALOG --samp")
        return explorer.samp

    @routes.get("")
    def events(after: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        return {"events": link().events(after)}

    @routes.post("/table")
    def send_table(body: SampSelection) -> dict[str, int]:
        return {"rows": link().send_table(body.where)}

    @routes.post("/rows")
    def send_rows(body: SampSelection) -> dict[str, int]:
        return {"rows": link().send_rows(body.where)}

    @routes.post("/highlight")
    def highlight(body: SampRow) -> dict[str, int]:
        link().highlight(body.row)
        return {"row": body.row}

    return routes
