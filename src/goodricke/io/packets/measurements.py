"""From measurements in the packets of any survey to `Alerts`: a new observation of each object, and its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Flux, Photometry
from goodricke.data.units import ab_magnitudes, nanojansky
from goodricke.io.packets.skip_program import MISSING

UNREADABLE = "UNREADABLE"  # the bytes are no alert of the format
NON_FINITE = "NON_FINITE"  # there is no usable time or brightness
UNKNOWN_BAND = "UNKNOWN_BAND"
MOVING = "MOVING"  # of the solar system: not an object that stays at its place
REJECTED = "REJECTED"  # by the cut on reliability or a flag
WRONG_PHOTOMETRY = "WRONG_PHOTOMETRY"  # the packet lacks the photometry that is asked for
NOT_POSITIVE = "NOT_POSITIVE"  # the flux has no magnitude

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_BRIGHTNESS = 1e15  # in any unit
MAX_BANDS = 255
MAX_NAME = 500  # bytes of an object's name: LMDB takes keys of up to 511
MAX_ERROR = 1000  # bytes of the text of an error


@dataclass(frozen=True)
class PacketOptions:
    """Which measurements of a packet are used, and how.

    Parameters
    ----------
    photometry : {"total", "difference"}, optional
        Brightness of the source (for variables), or its difference to the reference image (for transients). ZTF's
        total is computed from the difference (`goodricke.io.packets.ztf.total_flux`); Rubin's is ``scienceFlux``, its
        difference ``psfFlux``. By default what the model was trained on (`for_model`), total where no model says.
    forced : bool, optional
        Add forced photometry (ZTF's ``fp_hists``, Rubin's ``prvDiaForcedSources``) to the history. Where there is a
        detection in the same exposure, the detection counts: the stream brought it at the time. By default as the
        model was trained.
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
    solar_system : bool
        Keep alerts of known objects of the solar system (ZTF: ``ssnamenr`` with ``ssdistnr`` of at most 1 arcsec;
        Rubin: ``ssObjectId``), which are left out with the status MOVING otherwise.
    schema : str, optional
        File with the Avro schema (or an Avro file that has it) of messages that don't name one.
    registry : str, optional
        Folder of schemas, or address of the schema registry, for messages with a Confluent header; see
        `goodricke.io.packets.schemas.Registry`.
    compiled : bool, optional
        Whether to decode with numba (True), or with fastavro (False); by default with numba if it is installed.

    Raises
    ------
    ValueError
        If a choice is none of those above.
    """

    photometry: Flux | None = None
    forced: bool | None = None
    reliability: float | None = None
    flags: tuple[str, ...] = ()
    flux: str | None = None
    unit: str | None = None
    reference_distance: float = 1.4
    solar_system: bool = False
    schema: str | None = None
    registry: str | None = field(default=None, repr=False)  # it may hold a password
    compiled: bool | None = None

    def __post_init__(self) -> None:
        if self.photometry not in (None, "total", "difference"):
            raise ValueError(f"photometry is 'total' or 'difference', not {self.photometry!r}")
        object.__setattr__(self, "flags", tuple(self.flags))

    @property
    def flux_kind(self) -> Flux:
        """The photometry that is used."""
        return self.photometry or "total"

    def for_model(self, name: str, trained_on: Photometry | None, takes_fluxes: bool) -> PacketOptions:
        """Return the options with what is not set as a model was trained.

        Parameters
        ----------
        name : str
            Of the model.
        trained_on : Photometry, optional
        takes_fluxes : bool
            The model takes fluxes of any sign, not magnitudes.

        Raises
        ------
        ValueError
            If another photometry is set.
        """
        options = replace(self, unit="nJy") if self.unit is None and takes_fluxes else self
        if trained_on is None:
            return options
        if self.photometry not in (None, trained_on.flux):
            raise ValueError(
                f"{name} was trained on {trained_on.flux} photometry, and the options ask for {self.photometry}: its "
                "answers would not hold. Fix: leave photometry out, or choose another model"
            )
        forced = trained_on.forced if self.forced is None else self.forced
        return replace(options, photometry=trained_on.flux, forced=forced)


@dataclass(frozen=True, order=True)
class Failure:
    """A message that gives no alert: its index, the reason in words, and its status.

    Only UNREADABLE messages are broken. Those with another status are sound, but can't be used: the object is of the
    solar system, the measurement failed, or a cut leaves it out.
    """

    index: int
    error: str
    status: str = UNREADABLE

    def __post_init__(self) -> None:
        object.__setattr__(self, "error", error_text(self.error))


def error_text(error: object) -> str:
    """Return the text of an error as logs and headers can hold it: at most `MAX_ERROR` bytes of sound UTF-8.

    Errors quote parts of messages, which may be of any length and hold lone surrogates.
    """
    return str(error).encode("utf-8", "replace")[:MAX_ERROR].decode("utf-8", "ignore")


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
        The message of each alert; an Avro file may hold several alerts.
    new : LightCurves
        The n new observations, light curves of one observation each. Time and value are finite; the error may be NaN
        (unknown). ``objects`` has ``ra`` and ``dec`` [deg], NaN where unknown, and where packets tell it ``reference``,
        the flux of the source in the reference image of that band [nJy].
    history : LightCurves
        n light curves: earlier observations by the packets, in order of time, each exposure once, without the new one.
    failures : list of Failure
        The other messages.
    history_id : int64 (N,)
        Identity of each observation of the history, `MISSING` where it has none.
    own_identifiers : bool
        The identifiers are the survey's own, and the same in all its packets; not those of slim records.
    """

    object_id: pa.Array
    alert_id: NDArray[np.int64]
    index: NDArray[np.int64]
    new: LightCurves
    history: LightCurves
    failures: list[Failure]
    history_id: NDArray[np.int64]
    own_identifiers: bool = True

    def __len__(self) -> int:
        return len(self.object_id)

    @staticmethod
    def concat(parts: Sequence[Alerts]) -> Alerts:
        """Join the alerts of parts of a batch, whose indices already count over all of the batch."""
        return Alerts(
            pa.concat_arrays([part.object_id for part in parts]),
            np.concatenate([part.alert_id for part in parts]),
            np.concatenate([part.index for part in parts]),
            LightCurves.concat([part.new for part in parts]),
            LightCurves.concat([part.history for part in parts]),
            [failure for part in parts for failure in part.failures],
            np.concatenate([part.history_id for part in parts]),
            parts[0].own_identifiers,
        )


class Measurements(NamedTuple):
    """Measurements of a packet's object, N in all.

    Parameters
    ----------
    owner : int64 (N,)
        Index of the packet.
    key : int64 (N,)
        Identifier, where it has one.
    time, value, error : float64 (N,)
        As in `LightCurves`; a value that isn't finite is no measurement.
    band : int64 (N,)
        Index into the bands, -1 if it is no known band.
    good : bool (N,)
        False where a cut leaves it out.
    """

    owner: NDArray[np.int64]
    key: NDArray[np.int64]
    time: Float
    value: Float
    error: Float
    band: NDArray[np.int64]
    good: Mask


@dataclass(frozen=True, eq=False)
class ParsedPackets:
    """The contents of n packets, as a survey's module returns them.

    Parameters
    ----------
    object_id : pyarrow string array (n,)
        Null where there is none.
    ra, dec : float64 (n,)
    new : Measurements
        The n new observations.
    history : list of Measurements
        Earlier measurements in order of preference: of one exposure, the first counts.
    same_exposure : float
        Times closer than this are of one exposure [d].
    time_range : tuple of float
        Possible times [d].
    moving : bool (n,)
        Whether the object is of the solar system.
    reasons : list of tuple
        Why new observations (n,) have no brightness where the survey's module knows it: which, status, and text.
    solar_system : bool
        Moving objects are used, too.
    reference : float64 (n,), optional
        Flux of the source in the reference image [nJy], NaN where there is none.
    own_identifiers : bool
        See `Alerts`.
    """

    object_id: pa.Array
    ra: Float
    dec: Float
    new: Measurements
    history: list[Measurements]
    bands: tuple[str, ...]
    unit: str
    time_scale: str
    same_exposure: float
    time_range: tuple[float, float]
    moving: Mask
    reasons: list[tuple[Mask, str, str]] = field(default_factory=list)
    solar_system: bool = False
    reference: Float | None = None
    own_identifiers: bool = True


def assemble(packets: ParsedPackets, index: NDArray[np.int64], failures: list[Failure]) -> Alerts:
    """Return the alerts of packets that could be decoded, and why others can't be used.

    Parameters
    ----------
    packets : ParsedPackets
        n packets.
    index : int64 (n,)
        Their messages.
    failures : list of Failure
        Of messages that couldn't be decoded.
    """
    reasons = _rejections(packets)
    usable = np.ones(len(index), bool)
    for wrong, status, text in reasons:
        failures += [Failure(int(index[i]), text, status) for i in np.flatnonzero(wrong & usable)]
        usable &= ~wrong
    keep = np.flatnonzero(usable)
    fields: dict[str, Any] = {"bands": packets.bands, "unit": packets.unit, "time_scale": packets.time_scale}
    ids, new = packets.object_id.take(pa.array(keep)), packets.new
    columns = {"ra": _position(packets.ra, 360.0)[keep], "dec": _position(packets.dec, 90.0)[keep]}
    columns |= {} if packets.reference is None else {"reference": packets.reference[keep]}
    about = pa.table(columns)
    points = [part[keep] for part in (new.time, new.value, _errors(new.error), new.band)]
    history, history_id = _history(packets, usable, ids, fields)
    return Alerts(
        ids,
        new.key[keep],
        index[keep],
        LightCurves.from_arrays(ids, np.arange(len(keep) + 1), *points, objects=about, **fields),
        history,
        sorted(failures),
        history_id,
        packets.own_identifiers,
    )


def _rejections(packets: ParsedPackets) -> list[tuple[Mask, str, str]]:
    """Return the packets (n,) that can't be used, by reason, in order of precedence."""
    new, (earliest, latest) = packets.new, packets.time_range
    length = pc.binary_length(packets.object_id.fill_null(""))
    nameless, long = pc.equal(length, 0), pc.greater(length, MAX_NAME)
    return [
        (packets.moving & (not packets.solar_system), MOVING, "is of an object of the solar system"),
        (nameless.to_numpy(zero_copy_only=False), UNREADABLE, "names no object"),
        (long.to_numpy(zero_copy_only=False), UNREADABLE, f"names an object in more than {MAX_NAME} bytes"),
        (new.key == MISSING, UNREADABLE, "has no identifier"),
        (~((new.time > earliest) & (new.time < latest)), NON_FINITE, "has no time, or an impossible one"),
        (new.band < 0, UNKNOWN_BAND, "is in no known band"),
        (~new.good, REJECTED, "is left out by its reliability or a flag"),
        *packets.reasons,
        (~_is_brightness(new.value), NON_FINITE, "has no brightness, or an impossible one"),
    ]


def _is_brightness(value: Float) -> Mask:
    """Tell which numbers (N,) can be a brightness; NaN can't."""
    return np.abs(value) < MAX_BRIGHTNESS


def _errors(error: Float) -> Float:
    """Return uncertainties (N,), NaN where they are impossible."""
    return np.where((error >= 0) & (error < MAX_BRIGHTNESS), error, np.nan)


def _position(angle: Float, most: float) -> Float:
    return np.where(np.abs(angle) <= most, angle, np.nan)


def _history(
    packets: ParsedPackets, usable: Mask, ids: pa.Array, fields: dict[str, Any]
) -> tuple[LightCurves, NDArray[np.int64]]:
    """Return the earlier observations of the usable packets, and their identifiers."""
    parts = [_earlier(part, packets, usable) for part in packets.history]
    joined = [np.concatenate([part[i] for part in parts]) for i in range(len(Measurements._fields))]
    rank = np.repeat(np.arange(len(parts)), [len(part.owner) for part in parts])
    before = Measurements(*joined)
    rows = np.flatnonzero(_one_per_exposure(before, rank, packets.same_exposure))
    order = rows[np.lexsort((before.band[rows], before.time[rows], before.owner[rows]))]
    counts = np.bincount(before.owner[order], minlength=len(usable))[usable]
    columns = [part[order] for part in (before.time, before.value, _errors(before.error), before.band)]
    return LightCurves.from_arrays(ids, ragged.offsets_from_counts(counts), *columns, **fields), before.key[order]


def _earlier(part: Measurements, packets: ParsedPackets, usable: Mask) -> Measurements:
    """Return the usable measurements from before the packet's new one."""
    new, owner = packets.new, part.owner
    elapsed = new.time[owner] - part.time
    is_new = (part.key == new.key[owner]) & (part.key != MISSING)
    is_new |= (np.abs(elapsed) <= packets.same_exposure) & (part.band == new.band[owner])
    keep = usable[owner] & part.good & _is_brightness(part.value) & (part.band >= 0) & ~is_new
    keep &= (elapsed >= 0) & (part.time > packets.time_range[0])
    return Measurements(*(column[keep] for column in part))


def _one_per_exposure(part: Measurements, rank: NDArray[np.int64], same_exposure: float) -> Mask:
    """Mark one measurement (N,) of each exposure, the first in rank."""
    order = np.lexsort((rank, part.time, part.band, part.owner))
    owner, band, time = part.owner[order], part.band[order], part.time[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(time) > same_exposure) | (np.diff(band) != 0) | (np.diff(owner) != 0)
    result = np.empty(len(order), bool)
    result[order] = ragged.first_of_each(np.cumsum(new), best=-rank[order])
    return result


# ---- for the surveys' modules -------------------------------------------------------------------------------------


def convert_flux(flux: Float, error: Float, unit: str) -> tuple[Float, Float]:
    """Return fluxes in nJy and their errors (N,) in nJy or as AB magnitudes, NaN where the flux isn't above 0."""
    if unit == "nJy":
        return flux, error
    with np.errstate(all="ignore"):
        return ab_magnitudes(flux, error)


def flux_from_magnitudes(magnitude: Float, error: Float) -> tuple[Float, Float]:
    """Return magnitudes and errors (N,) as fluxes in nJy; NaN where a number is no magnitude."""
    valid = np.where((magnitude > -20) & (magnitude < 50), magnitude, np.nan)
    with np.errstate(all="ignore"):
        return nanojansky(valid, np.where(error >= 0, error, np.nan))


def band_indices(names: pa.Array, bands: Sequence[str]) -> NDArray[np.int64]:
    """Return the index (N,) of each band in ``bands``, -1 where it is none of them."""
    index = pc.index_in(names, pa.array(bands, pa.string()))
    return index.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def passes_cuts(columns: dict[str, Any], prefix: str, score: Float | None, options: PacketOptions) -> Mask | None:
    """Return which measurements (N,) pass the cuts on score and flags, None if there is no cut."""
    good = None
    if options.reliability is not None and score is not None:
        good = ~(score < options.reliability)
    for name in options.flags:
        clear = ~columns[prefix + name]
        good = clear if good is None else good & clear
    return good
