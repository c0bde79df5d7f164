"""`ReadOptions`: what to read, and how; `Unreadable`: the error of a file that gives no light curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from goodricke.data.photometry import Flux

Scale = Literal["MJD", "JD", "HJD", "BJD", "BTJD", "BKJD", "unknown"]
QUALITY = ("default", "bitmask", "hard", "none")
NO_BRIGHTNESS = ("length", "time", "mass", "angle", "temperature", "speed")  # physical types mistaken for one
ROLES = ("object_id", "time", "value", "error", "band", "quality")


class Unreadable(ValueError):  # noqa: N818  a status as much as an error: "unreadable" is what the catalog says
    """A file that gives no light curve: its path, the reason, and the fix.

    Parameters
    ----------
    path : path or str
        The file, folder or pattern.
    reason : str
        What is wrong with it, as the end of a sentence whose subject is the file.
    fix : str
        What the user can do.
    """

    def __init__(self, path: Path | str, reason: str, fix: str = "leave the file out") -> None:
        super().__init__(str(path), reason, fix)  # all three as args: the error is pickled between processes
        self.path, self.reason, self.fix = str(path), reason, fix

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}. Fix: {self.fix}."


@dataclass(frozen=True)
class ReadOptions:
    """Options common to all readers.

    Parameters
    ----------
    quality : {"default", "bitmask", "hard", "none"}
        Which flagged cadences are left out. ``"default"`` is what the product's makers (for QLP: the ASTRAFier paper)
        recommend, see each reader; ``"bitmask"`` leaves out cadences with a severe flag, bit by bit; ``"hard"`` those
        with any flag; ``"none"`` keeps all. The flags of a plain table have no known meaning, ZTF's catflags apart:
        there only ``"hard"`` leaves something out.
    flux : str, optional
        Flux column, e.g. ``"SAP_FLUX"``; case doesn't matter.
    photometry : {"difference", "total"}, optional
        What a model was trained on: sources that have both give this one, unless ``flux`` names another.
    columns : mapping, optional
        Columns of a table by role (object_id, time, value, error, band, quality), over the known aliases:
        ``{"time": "HJD", "value": "Vmag"}``.
    unit, time_scale : str, optional
        Of the light curves, whatever the file states; then no brightness is converted. Times always are, to days, if
        the file states another unit of time. The scale is one of MJD, JD, HJD, BJD, BTJD, BKJD.
    band : str, optional
        Of several bands in the file, the one that is read; else the name of its only band.
    rename_bands : mapping, optional
        Other names for bands, such as those that a model knows: ``{"R": "r"}``.
    light_curve : str, optional
        Of several nested columns, the one with the light curves: ``"diaObjectForcedSource"``.
    recursive : bool
        Whether folders are searched with all their subfolders.

    Raises
    ------
    ValueError
        If the quality, the time scale or a role is none of the known ones, or the unit is none of a brightness.
    """

    quality: str = "default"
    flux: str | None = None
    photometry: Flux | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    time_scale: str | None = None
    band: str | None = None
    rename_bands: Mapping[str, str] = field(default_factory=dict)
    light_curve: str | None = None
    recursive: bool = False

    @property
    def chosen(self) -> dict[str, str]:
        """The columns of a table named outright; ``flux`` is its brightness unless `columns` says otherwise."""
        return ({"value": self.flux} if self.flux else {}) | dict(self.columns)

    def __post_init__(self) -> None:
        if self.quality not in QUALITY:
            raise ValueError(f"quality is one of {', '.join(QUALITY)}, not {self.quality!r}")
        unknown = [role for role in self.columns if role not in ROLES]
        if unknown:
            raise ValueError(f"no role {', '.join(map(repr, unknown))}; columns are named for {', '.join(ROLES)}")
        if self.time_scale not in (None, *get_args(Scale)):
            raise ValueError(f"the time scale is one of {', '.join(get_args(Scale)[:-1])}, not {self.time_scale!r}")
        if self.unit and (kind := _kind_of_unit(self.unit)) in NO_BRIGHTNESS:
            known = "mag, nJy, mJy, electron / s, relative, ..."
            raise ValueError(f"{self.unit!r} is a unit of {kind}; brightness is in {known}")


def _kind_of_unit(unit: str) -> str:
    """Return astropy's physical type of a unit, "unknown" for words that it doesn't know."""
    from astropy.units import Unit

    return str(Unit(unit, parse_strict="silent").physical_type)
