"""The photometry of a model's training set, and which light curves state another one."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke.data.lightcurves import LightCurves

Flux = Literal["difference", "total"]
COLUMN = "photometry"  # of `LightCurves.objects`: the `Flux` of each object where its source tells


class Photometry(BaseModel):
    """The photometry that a model was trained on; part of its bundle, fixed at training.

    The unit is the bundle's ``unit``, and the least error of an epoch ``smallest_error`` of its preprocessing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flux: Flux = Field(description="of the source, or of its difference to a reference image")
    forced: bool = Field(False, description="forced photometry at every epoch, rather than detections only")


def stated_otherwise(curves: LightCurves, flux: Flux | None) -> NDArray[np.bool_]:
    """Return which light curves (n,) state another photometry; those that state none do not."""
    objects = curves.table_of_objects
    if flux is None or COLUMN not in objects.column_names:
        return np.zeros(len(curves), bool)
    stated = objects[COLUMN].cast(pa.string()).to_pylist()
    return np.array([other is not None and other != flux for other in stated], bool)


def with_photometry(curves: LightCurves, flux: Flux) -> LightCurves:
    """Return light curves that all state one photometry."""
    return curves.with_columns(**{COLUMN: pa.repeat(pa.scalar(flux, pa.string()), len(curves))})
