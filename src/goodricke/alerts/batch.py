"""What alert packets of all surveys become: `Alerts`, a new observation of each object and what came before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.lightcurves import LightCurves

UNREADABLE = "UNREADABLE"  # the bytes are no alert of the format
NON_FINITE = "NON_FINITE"  # there is no usable time or brightness
UNKNOWN_BAND = "UNKNOWN_BAND"
MOVING = "MOVING"  # of the solar system: not an object that stays at its place
REJECTED = "REJECTED"  # by the cut on reliability or a flag


@dataclass(frozen=True)
class PacketOptions:
    """What of a packet is taken, and how.

    Parameters
    ----------
    photometry : {"total", "difference"}
        Brightness of the source (for variables), or its difference to the reference image (for transients). ZTF's
        total is computed from the difference (`goodricke.alerts.ztf.total_flux`); Rubin's is ``scienceFlux``, its
        difference ``psfFlux``.
    forced : bool
        Add forced photometry (ZTF's ``fp_hists``, Rubin's ``prvDiaForcedSources``) to the history. Where there is a
        detection in the same exposure, that counts, since it is what the stream brought at the time.
    reliability : float, optional
        Least real-bogus score: ZTF's ``drb``, or ``rb`` where there is none, Rubin's ``reliability``. An observation
        without a score stays.
    flags : tuple of str
        More fields of a source that leave it out where they are true or above 0, e.g. ``nbad`` of ZTF or
        ``pixelFlags_saturatedCenter`` of Rubin. The flag of Rubin's flux itself always does.
    flux : str, optional
        Another flux of Rubin's, e.g. ``apFlux``.
    unit : str, optional
        Of the result: ``"mag"`` or ``"nJy"``, by default magnitudes for ZTF and nJy for Rubin. A negative difference
        has no magnitude. The values of slim records are taken to be in it, whatever it is, magnitudes by default.
    reference_distance : float
        How far the nearest source of ZTF's reference image may be [arcsec] to be the same one.
    schema : str, optional
        File with the Avro schema (or an Avro file that has it) of messages that don't name one.
    registry : str, optional
        Folder of schemas, or address of the schema registry, for messages with a Confluent header; see
        `goodricke.alerts.registry.Registry`.
    compiled : bool, optional
        Whether to decode with numba (True), or with fastavro (False); by default with numba if it is installed.

    Raises
    ------
    ValueError
        If a choice is none of those above.
    """

    photometry: Literal["total", "difference"] = "total"
    forced: bool = False
    reliability: float | None = None
    flags: tuple[str, ...] = ()
    flux: str | None = None
    unit: str | None = None
    reference_distance: float = 1.4
    schema: str | None = None
    registry: str | None = None
    compiled: bool | None = None

    def __post_init__(self) -> None:
        if self.photometry not in ("total", "difference"):
            raise ValueError(f"photometry is 'total' or 'difference', not {self.photometry!r}")
        object.__setattr__(self, "flags", tuple(self.flags))


@dataclass(frozen=True, order=True)
class Failure:
    """A message that gives no alert: which, why in words, and the kind of reason.

    Only UNREADABLE messages are broken. Those with another status are as they should be, but can't be used: the
    object is of the solar system, the measurement failed, or a cut leaves it out.
    """

    index: int
    error: str
    status: str = UNREADABLE


@dataclass(frozen=True, eq=False)
class Alerts:
    """The usable alerts of a batch of messages, n of them, in the order of the messages.

    Parameters
    ----------
    object_id : pyarrow string array (n,)
        ZTF's ``objectId``, Rubin's ``diaObjectId``.
    alert_id : int64 (n,)
        ZTF's ``candid``, Rubin's ``diaSourceId``: the identity of the observation.
    index : int64 (n,)
        The message that each comes from; several where a message is an Avro file of several alerts.
    new : LightCurves
        The n new observations, light curves of one observation each. Time and value are finite; the error may be NaN
        (unknown). ``objects`` has ``ra`` and ``dec`` [deg], NaN where they aren't told.
    history : LightCurves
        n light curves: what the packets say came before, in order of time, each exposure once, without the new one.
    failures : list of Failure
        The other messages.
    """

    object_id: pa.Array
    alert_id: NDArray[np.int64]
    index: NDArray[np.int64]
    new: LightCurves
    history: LightCurves
    failures: list[Failure]

    def __len__(self) -> int:
        return len(self.object_id)

    @staticmethod
    def concat(parts: Sequence[Alerts]) -> Alerts:
        """Join the alerts of parts of a batch, whose indices already count over all of it."""
        return Alerts(
            pa.concat_arrays([part.object_id for part in parts]),
            np.concatenate([part.alert_id for part in parts]),
            np.concatenate([part.index for part in parts]),
            LightCurves.concat([part.new for part in parts]),
            LightCurves.concat([part.history for part in parts]),
            [failure for part in parts for failure in part.failures],
        )
