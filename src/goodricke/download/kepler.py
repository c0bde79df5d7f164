"""Kepler light curves by quarter, from the plain files of the mission's archive.

``/missions/kepler/lightcurves/0007/000757076/kplr000757076-2011177032512_llc.fits``: the time stamp is that of the
quarter's last cadence, the same for all stars. Only in quarter 4 that of the detectors of module 3, which failed, is
earlier. Short cadence comes in a file per month.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from goodricke.download.archive import DataArchive, FileLocation, FileRequest, MissingTarget
from goodricke.download.http import Client

# By quarter, 0 to 17 (MAST's own script get_kepler.py).
# fmt: off
LONG = (
    ("2009131105131",), ("2009166043257",), ("2009259160929",), ("2009350155506",),
    ("2010078095331", "2010009091648"),  # all detectors, then those of module 3
    ("2010174085026",), ("2010265121752",), ("2010355172524",), ("2011073133259",), ("2011177032512",),
    ("2011271113734",), ("2012004120508",), ("2012088054726",), ("2012179063303",), ("2012277125453",),
    ("2013011073258",), ("2013098041711",), ("2013131215648",),
)
# fmt: on
SHORT = (
    ("2009131110544",),
    ("2009166044711",),
    ("2009201121230", "2009231120729", "2009259162342"),
    ("2009291181958", "2009322144938", "2009350160919"),
    ("2010009094841", "2010019161129", "2010049094358", "2010078100744"),
    ("2010111051353", "2010140023957", "2010174090439"),
    ("2010203174610", "2010234115140", "2010265121752"),
    ("2010296114515", "2010326094124", "2010355172524"),
    ("2011024051157", "2011053090032", "2011073133259"),
    ("2011116030358", "2011145075126", "2011177032512"),
    ("2011208035123", "2011240104155", "2011271113734"),
    ("2011303113607", "2011334093404", "2012004120508"),
    ("2012032013838", "2012060035710", "2012088054726"),
    ("2012121044856", "2012151031540", "2012179063303"),
    ("2012211050319", "2012242122129", "2012277125453"),
    ("2012310112549", "2012341132017", "2013011073258"),
    ("2013017113907", "2013065031647", "2013098041711"),
    ("2013121191144", "2013131215648"),
)


@dataclass(frozen=True)
class Kepler(DataArchive):
    """Light curves of one quarter.

    Parameters
    ----------
    quarter : int
        0 to 17.
    cadence : {"long", "short"}
        30 minutes, or 1 minute with a light curve per month.

    Raises
    ------
    ValueError
        If there is no such quarter or cadence.
    """

    NAME: ClassVar[str] = "kepler"
    READER: ClassVar[str] = "spoc"
    PREFIX: ClassVar[str] = "KIC "
    DIGITS: ClassVar[int] = 9
    ABSENT_REASON: ClassVar[str] = "not observed in this quarter and cadence"

    quarter: int = 9
    cadence: str = "long"

    def __post_init__(self) -> None:
        if not 0 <= self.quarter < len(LONG):
            raise ValueError(f"Kepler had the quarters 0 to {len(LONG) - 1}, no {self.quarter}")
        if self.cadence not in ("long", "short"):
            raise ValueError(f"cadence is long or short, not {self.cadence!r}")

    @property
    def settings(self) -> dict[str, Any]:
        """Quarter and cadence."""
        return {"quarter": self.quarter, "cadence": self.cadence}

    def file_requests(
        self, client: Client, targets: Sequence[str], columns: pa.Table
    ) -> tuple[list[FileRequest], list[MissingTarget]]:
        """See `DataArchive.file_requests`; the addresses follow from the number."""
        return [FileRequest((target,), self._files(target)) for target in targets], []

    def _files(self, target: str) -> tuple[tuple[FileLocation, ...], ...]:
        """Return the locations of a star's files: one file, or one per month."""
        if self.cadence == "long":
            return (tuple(self._location(target, stamp, "llc") for stamp in LONG[self.quarter]),)
        return tuple((self._location(target, stamp, "slc"),) for stamp in SHORT[self.quarter])

    def _location(self, target: str, stamp: str, kind: str) -> FileLocation:
        kic = f"{int(target):09d}"
        name = f"kplr{kic}-{stamp}_{kind}.fits"
        return FileLocation(name, f"{self.server('archive')}/missions/kepler/lightcurves/{kic[:4]}/{kic}/{name}")
