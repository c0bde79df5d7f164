"""`PreprocessingConfig`: what the configurations of all kinds of preprocessing have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from goodricke.data.lightcurves import LightCurves


class PreprocessingConfig(BaseModel):
    """How light curves are preprocessed; part of a model's bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: ClassVar[str] = "astrafier"  # of the networks that take light curves preprocessed like this

    def check_unit(self, curves: LightCurves) -> None:
        """Raise ValueError if light curves are in a unit that a model with this preprocessing can't take."""

    def refuse_unknown_bands(self, curves: LightCurves) -> None:
        """Raise ValueError if light curves have observations in a band that a model doesn't know."""
