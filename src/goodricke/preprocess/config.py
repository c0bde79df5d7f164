"""`PreprocessingConfig`: the base of the configurations of all kinds of preprocessing."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict

from goodricke.data.lightcurves import LightCurves


class PreprocessingConfig(BaseModel):
    """Settings of a preprocessing; part of a model's bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: ClassVar[str] = "astrafier"  # family of the networks that read its output

    def resolved(self, curves: LightCurves) -> Self:
        """Return the configuration with what it leaves to the training light curves, such as their bands."""
        return self

    def check_unit(self, curves: LightCurves) -> None:
        """Raise ValueError if light curves are in a unit that the model can't use."""

    def refuse_unknown_bands(self, curves: LightCurves) -> None:
        """Raise ValueError if light curves have observations in a band that the model lacks."""
