"""What a second model says of the objects that the first one calls variable stars, at chosen numbers of observations.

A model of transients asks first whether an alert is one at all. Where the answer is a variable star, the light curve
that the object's record keeps goes to a model of variable stars, as total magnitudes: each observation's difference
plus the flux of the star in the reference image of its band, which the packets tell. This costs a period search, so
it happens when an object reaches one of a few numbers of observations, not at every alert. The answer stays in the
record. It rests on the observations up to that number, as many of them as the record keeps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.alerts.object_record import ObjectRecord
from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import ab_magnitudes
from goodricke.inference import classify
from goodricke.models.bundle import Model, load_model
from goodricke.preprocess.multiband import AB_FLUX

LEAF = "VARIABLE"
COUNTS = (10, 30, 100, 300)
THRESHOLD = 0.5


@dataclass(frozen=True)
class Routed:
    """What a record keeps of its route.

    Parameters
    ----------
    reference : tuple of float
        Flux of the source in the reference image of each band [nJy], NaN where unknown.
    reached : int
        The number of observations at which the second model was last asked; 0: never.
    answer : dict
        Its answer, by the names of `ROUTE_COLUMNS`; empty before the first.
    """

    reference: tuple[float, ...]
    reached: int = 0
    answer: dict[str, Any] = field(default_factory=dict)

    def tobytes(self) -> bytes:
        """Return the bytes for a record."""
        reference = [None if np.isnan(x) else x for x in self.reference]
        return json.dumps([reference, self.reached, self.answer], separators=(",", ":")).encode()

    @classmethod
    def frombytes(cls, data: bytes, bands: int) -> Routed:
        """Return what `tobytes` wrote; of no bytes, an object without a reference."""
        if not data:
            return cls((np.nan,) * bands)
        reference, reached, answer = json.loads(data)
        return cls(tuple(np.nan if x is None else x for x in reference), reached, answer)


@dataclass(frozen=True)
class Route:
    """From one model to a second.

    Parameters
    ----------
    model : Model
        The second one, of total magnitudes.
    counts : tuple of int
        Numbers of observations at which it is asked.
    leaf : str
        Class of the first model whose objects it is asked about.
    threshold : float
        Least probability of that class.
    """

    model: Model
    counts: tuple[int, ...] = COUNTS
    leaf: str = LEAF
    threshold: float = THRESHOLD

    def check(self, first: Model) -> None:
        """Raise TypeError unless the first model has the class, and observations that totals can be made of."""
        if self.leaf not in first.classes:
            raise TypeError(f"route: {first.name} has no class {self.leaf}; it has {', '.join(first.classes)}")
        if first.config.flux_kind != "difference" or getattr(first.preprocessing, "unit", None) != AB_FLUX:
            raise TypeError(
                f"route: {first.name} doesn't take fluxes of differences in nJy, of which totals can be made"
            )

    def due(self, reached: int, n_obs: int) -> int:
        """Return the largest number that an object has reached since it was last asked about, 0 if there is none."""
        return max((count for count in self.counts if reached < count <= n_obs), default=0)

    def update(
        self,
        names: Sequence[str],
        records: Sequence[ObjectRecord],
        probability: NDArray[np.floating],
        bands: tuple[str, ...],
        time_scale: str,
    ) -> None:
        """Ask the second model about the records that are due, and keep its answers in them.

        Parameters
        ----------
        names : list of str (n,)
            Of the objects: dropout depends on them.
        records : sequence of ObjectRecord (n,)
            Changed in place.
        probability : (n,)
            Of the class `leaf`, NaN where there is no answer.
        bands : tuple of str
            Of the records' observations, fluxes in nJy.
        time_scale : str
        """
        likely = np.flatnonzero(np.nan_to_num(probability) >= self.threshold)
        routes = {k: Routed.frombytes(records[k].route, len(bands)) for k in likely.tolist()}
        seen = {k: route for k, route in routes.items() if not np.isnan(route.reference).all()}
        due = {k: self.due(route.reached, records[k].n_obs) for k, route in seen.items()}
        due = {k: count for k, count in due.items() if count}
        if not due:
            return
        parts = [_light_curve(records[k], routes[k].reference, count) for k, count in due.items()]
        curves = _join([names[k] for k in due], parts, bands, time_scale)
        answers = classify(curves, self.model).table.to_pylist()
        for (k, count), answer in zip(due.items(), answers, strict=True):
            period = answer.get("period")
            values = {
                "route_model": self.model.name,
                "route_class": answer["class"],
                "route_probability": answer.get("class_probability", answer["p_max"]),
                "route_period": period,
                "route_n_obs": answer["n_obs"],
            }
            records[k].route = replace(routes[k], reached=count, answer=values).tobytes()


def open_route(
    model: str,
    counts: Sequence[int] = COUNTS,
    leaf: str = LEAF,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> Route:
    """Return the route to a model by its name or folder.

    Raises
    ------
    ValueError
        If the counts aren't positive numbers.
    """
    if not counts or min(counts) < 1:
        raise ValueError("route: counts are numbers of observations, at least one of them, from 1 on")
    return Route(load_model(model, device), tuple(sorted(counts)), leaf, threshold)


def keep_references(
    records: Sequence[ObjectRecord], band: NDArray[np.integer], reference: NDArray[np.floating], bands: int
) -> None:
    """Keep the reference fluxes (n,) that packets tell, in bands (n,), in the objects' records.

    The first one that is known counts: that of other fields and quadrants differs by the noise of the images.
    """
    for record, b, flux in zip(records, band.tolist(), reference.tolist(), strict=True):
        if b < bands and flux == flux:
            route = Routed.frombytes(record.route, bands)
            if np.isnan(route.reference[b]):
                known = tuple(flux if k == b else x for k, x in enumerate(route.reference))
                record.route = replace(route, reference=known).tobytes()


def _light_curve(record: ObjectRecord, reference: tuple[float, ...], count: int) -> NDArray[np.void]:
    """Return the total fluxes of the observations up to number ``count``, those in bands with a reference."""
    earlier = record.n_obs - len(record.points)  # only in the state
    points = record.points[: max(count - earlier, 0)].copy()
    points["value"] += np.array(reference, np.float64)[points["band"]].astype(np.float32)
    return points[points["value"] > points["error"]]  # NaN without a reference


def _join(names: list[str], parts: Sequence[NDArray[np.void]], bands: tuple[str, ...], time_scale: str) -> LightCurves:
    """Return observations of total fluxes as light curves in magnitudes."""
    flat = np.concatenate(parts)
    magnitude, error = ab_magnitudes(flat["value"].astype(np.float64), flat["error"].astype(np.float64))
    offsets = ragged.offsets_from_counts(np.array([len(part) for part in parts], np.int64))
    columns = np.ascontiguousarray(flat["time"]), magnitude, error, np.ascontiguousarray(flat["band"])
    return LightCurves.from_arrays(names, offsets, *columns, bands=bands, unit="mag", time_scale=time_scale)
