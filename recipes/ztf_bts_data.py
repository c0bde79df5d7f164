"""Make the training set of ``ztf-bts.toml``: real transients, and what else an alert stream is made of.

    python recipes/ztf_bts_data.py data data/ztf_bts_gate

reads the light curves of the Bright Transient Survey, of Catalina's periodic variables (Drake et al. 2017), of Miras of
ASAS (Richards et al. 2012) and of the RR Lyrae stars of Stripe 82 (Sesar et al. 2010) from folders of ``data``. It
writes ``lightcurves.parquet`` (fluxes of the difference, nJy) and ``labels.csv`` (label, kind, source, part).

Stars keep their own shapes: each is folded on its period (long-period variables are interpolated in time), and has
another brightness and the colours of its type. It is observed at times chained from the transients' own light curves,
with errors like theirs, as differences from a reference image. So neither cadence nor noise tells the classes apart.
Active nuclei and a part of the stars are the package's simulations at such times; BOGUS are residuals of bright stars.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from goodricke.data.units import nanojansky
from goodricke.preprocess import MultibandConfig, prepare
from goodricke.simulate.kinds import MULTIBAND, divide
from goodricke.simulate.surveys import Field, Visits, find_survey
from goodricke.training.experiment import split_objects
from goodricke.training.labels import read_labelled
from goodricke.training.recipe import DataConfig, Recipe, resolve_recipe
from goodricke.training.splits import split_by_star

Float = NDArray[np.float64]

SEED = 42
LONGEST = 160  # detections of a source
VISITS = 700
REFERENCE = 20  # exposures in a reference image
# Colour g - r and its scatter, and amplitude in g and in r over that in V, of types as Catalina names them.
COLOURS = {
    "LPV": (1.5, 0.3, 1.15, 0.85),
    "RRab": (0.25, 0.12, 1.2, 0.86),
    "RRc": (0.15, 0.12, 1.2, 0.86),
    "RRd": (0.2, 0.12, 1.2, 0.86),
    "RR_Blazhko": (0.25, 0.12, 1.2, 0.86),
    "ACEP": (0.3, 0.15, 1.2, 0.82),
    "Cep_II": (0.5, 0.2, 1.2, 0.82),
    "delta_Scuti": (0.15, 0.12, 1.2, 0.85),
    "Rotational": (0.9, 0.3, 1.12, 0.88),
}
BINARY = (0.55, 0.3, 1.04, 0.97)
MOST = 200  # stars of one type
STARS = {"crts_periodic": "Catalina star", "asas_acvs": "ASAS Mira", "s82_rrlyrae": "Stripe 82 RR Lyrae"}
SIMULATED = {"AGN": 800, "CEPHEID": 120, "CONTACT": 100, "DSCT": 100, "EB": 160, "MIRA": 260, "RRL": 120}
BOGUS = 400
CLASSES = {
    "IA": ["SN Ia", "SN Ia-91T", "SN Ia-91bg", "SN Ia-pec", "SN Iax", "SN Ia-CSM"],
    "II": ["SN II", "SN IIP", "SN II-pec"],
    "IIN": ["SN IIn"],
    "STRIPPED": ["SN Ib", "SN Ic", "SN Ib/c", "SN Ic-BL", "SN IIb", "SN Ibn", "SN Icn", "SN Ib-pec", "Ca-rich"],
    "SLSN": ["SLSN-I", "SLSN-II"],
}
TRANSIENTS = DataConfig(light_curves="", labels="", label="label", rename_bands={"R": "r"}, merge=CLASSES)


class Detections(NamedTuple):
    """Alerts of one source: times (n,) [d], bands (n,) of 0: g, 1: r, difference fluxes and errors (n,) [nJy]."""

    time: Float
    band: NDArray[np.uint8]
    flux: Float
    error: Float


class Source(NamedTuple):
    """One source and its detections."""

    label: str
    kind: str
    source: str
    id: str
    rows: Detections


class Times(NamedTuple):
    """Times [d] and bands (0: g, 1: r) of visits."""

    time: Float
    band: NDArray[np.uint8]


def transients(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return light curves (id, mjd, band, flux, flux_error) and labels of the Bright Transient Survey."""
    curves = pd.read_parquet(folder / "ztf_bts" / "lightcurves.parquet")
    flux, error = nanojansky(curves["mag"].to_numpy(float), curves["magerr"].to_numpy(float))
    band = curves["band"].replace({"R": "r"})
    curves = pd.DataFrame({"id": curves["id"], "mjd": curves["mjd"], "band": band, "flux": flux, "flux_error": error})
    return curves, pd.read_csv(folder / "ztf_bts" / "labels.csv", dtype={"id": str})


def cadences(curves: pd.DataFrame) -> list[Times]:
    """Return the times of transients with 8 observations or more, from 0."""
    result = []
    for _, rows in curves.sort_values(["id", "mjd"]).groupby("id"):
        if len(rows) >= 8:
            time = rows["mjd"].to_numpy(float)
            result.append(Times(time - time[0], (rows["band"] == "r").to_numpy(np.uint8)))
    return result


def draw_visits(pool: list[Times], rng: np.random.Generator) -> Times:
    """Return visits over years: the times of transients one after the other, with gaps between seasons."""
    time, band, now, season, n = [], [], 0.0, rng.uniform(20, 240), 0
    while n < VISITS:
        part = pool[rng.integers(len(pool))]
        time.append(now + part.time)
        band.append(part.band)
        n += len(part.time)
        now += part.time[-1] + rng.exponential(3.0) + 0.9
        if now > season:
            now += rng.uniform(90, 160)
            season = now + rng.uniform(180, 270)
    return Times(np.concatenate(time)[:VISITS], np.concatenate(band)[:VISITS])


def detect(visits: Times, flux: Float, reference: Float, longest: int, rng: np.random.Generator) -> Detections:
    """Return what alerts hold of a source of total flux (T,) and the flux (2,) of its reference image [nJy].

    Errors are those of the survey's transients of the same difference (sky, photons, 2 % of calibration), and the noise
    and the residuals of the star below.
    """
    difference = flux - reference[visits.band]
    sky = 4600.0 * np.exp(rng.normal(0, 0.3, len(flux)))
    floor = rng.uniform(0.002, 0.008)
    variance = sky**2 + 600.0 * np.abs(difference) + 250.0 * np.maximum(flux, 0)
    error = np.sqrt(variance + (0.022 * difference) ** 2 + (floor * flux) ** 2)
    value = difference + error * rng.standard_normal(len(flux))
    keep = np.flatnonzero((np.abs(value) > rng.uniform(3.6, 5.0, len(flux)) * error) & (rng.random(len(flux)) > 0.05))
    keep = keep[:longest]
    return Detections(visits.time[keep], visits.band[keep], value[keep], error[keep])


def reference_times(first: float, rng: np.random.Generator) -> Float:
    """Return the times of the exposures of a reference image, taken before the survey."""
    span = np.clip(rng.lognormal(np.log(60), 1.0), 5, 400)
    return first - rng.uniform(20, 500) - np.sort(rng.random(REFERENCE)) * span


def draw_length(rng: np.random.Generator) -> int:
    """Return how many detections there are: from the first few to years of them."""
    return round(np.exp(rng.uniform(np.log(5), np.log(LONGEST))))


class Shape:
    """Deviations in V [mag] of one real star, periodic or interpolated in time."""

    def __init__(self, time: Float, magnitude: Float, period: float | None) -> None:
        self.period, self.start = period, time[0]
        x = np.mod(time / period, 1.0) if period else time - time[0]
        order = np.argsort(x)
        x, y = x[order], magnitude[order] - np.median(magnitude)
        if period:
            grid = np.linspace(0, 1, 201)
            apart = np.abs(grid[:, None] - x)
            weight = np.exp(-0.5 * (np.minimum(apart, 1 - apart) / 0.018) ** 2)
        else:
            grid = np.linspace(0, x[-1], 400)
            weight = np.exp(-0.5 * ((grid[:, None] - x) / 15.0) ** 2)
        weight += 1e-9 * np.exp(-np.abs(grid[:, None] - x) / (1.0 if period else 60.0))
        self.grid, self.value = grid, weight @ y / weight.sum(1)

    @property
    def span(self) -> float:
        """Days that it covers without repeating itself."""
        return float(self.grid[-1])

    def __call__(self, time: Float, start: float) -> Float:
        """Return deviations at times; ``start`` is a phase or a day."""
        if self.period:
            return np.interp(np.mod(time / self.period + start, 1.0), self.grid, self.value)
        back = np.mod(time + start, 2 * self.span)  # there and back again where it is too short
        return np.interp(np.minimum(back, 2 * self.span - back), self.grid, self.value)


def by_star(curves: pd.DataFrame) -> dict[Any, tuple[Float, Float]]:
    """Return times and magnitudes in order of time, by id in its order."""
    curves = curves.sort_values(["id", "mjd"])
    ids, start = np.unique(curves["id"].to_numpy(), return_index=True)
    time, magnitude = (np.split(curves[c].to_numpy(float), start[1:]) for c in ("mjd", "mag"))
    return dict(zip(ids, zip(time, magnitude, strict=True), strict=True))


def observe(shapes: tuple[Shape, Shape], kind: str, pool: list[Times], rng: np.random.Generator) -> Detections | None:
    """Return the alerts of a star whose deviations in g and r are known, None if it gives too few."""
    colour, scatter, in_g, in_r = COLOURS.get(kind, BINARY)
    same = shapes[0] is shapes[1]
    factor = np.array([in_g, in_r] if same else [1.0, 1.0]) * rng.normal(1, 0.05, 2)
    visits, longest = draw_visits(pool, rng), draw_length(rng)
    start = rng.random() * (1.0 if shapes[0].period else shapes[0].span)
    before = reference_times(0.0, rng)
    for _ in range(6):
        red = rng.uniform(13.0, 19.3)
        base = np.array([red + rng.normal(colour, scatter), red])
        total, reference = np.empty(len(visits.time)), np.empty(2)
        for b, shape in enumerate(shapes):
            here = visits.band == b
            total[here] = base[b] + factor[b] * shape(visits.time[here] + 1000, start)
            reference[b] = nanojansky(base[b] + factor[b] * shape(before + 1000, start), before)[0].mean()
        rows = detect(visits, nanojansky(total, total)[0], reference, longest, rng)
        if len(rows.time) >= min(longest, 12):
            return rows
    return rows if len(rows.time) >= 3 else None


def single_band(folder: Path, pool: list[Times], rng: np.random.Generator) -> Iterator[Source]:
    """Yield stars of Catalina's types, `MOST` of each, and Miras of ASAS, from their light curves in V."""
    for survey, types in (("crts_periodic", None), ("asas_acvs", ["Mira"])):
        labels = pd.read_csv(folder / survey / "labels.csv", dtype={"id": str})
        labels = labels[labels["label"].isin(types) if types else labels["label"] != "Misc"]
        chosen = labels.sample(frac=1, random_state=SEED).groupby("label").head(MOST)
        curves = pd.read_parquet(folder / survey / "lightcurves.parquet")
        curves = curves.assign(id=curves["id"].astype(str)).rename(columns={"time": "mjd"}).dropna()
        measured = by_star(curves[curves["id"].isin(set(chosen["id"]))])
        for row in chosen.itertuples():
            kind = "LPV" if row.label == "Mira" else row.label
            period = None if kind == "LPV" else row.period
            shape = Shape(*measured[row.id], period)
            if (rows := observe((shape, shape), kind, pool, rng)) is not None:
                yield Source(STARS[survey], row.label, survey, f"{survey}-{row.id}", rows)


def stripe82(folder: Path, pool: list[Times], rng: np.random.Generator) -> Iterator[Source]:
    """Yield the RR Lyrae stars of Stripe 82, with their own light curves in g and r."""
    curves = pd.read_parquet(folder / "s82_rrlyrae" / "lightcurves.parquet")
    curves = curves[curves["mag"] < 50]
    in_g, in_r = (by_star(curves[curves["band"] == b]) for b in "gr")
    labels = pd.read_csv(folder / "s82_rrlyrae" / "labels.csv").set_index("id")
    for name in in_g:
        shapes = [Shape(*star[name], labels["period"][name]) for star in (in_g, in_r)]
        kind = "RR" + labels["label"][name]
        if (rows := observe((shapes[0], shapes[1]), kind, pool, rng)) is not None:
            yield Source(STARS["s82_rrlyrae"], kind, "s82_rrlyrae", f"s82-{name}", rows)


def simulated(pool: list[Times], rng: np.random.Generator) -> Iterator[Source]:
    """Yield the package's simulations of active nuclei and stars."""
    survey = find_survey("ztf")
    for label, number in SIMULATED.items():
        for kind, n in divide(number, MULTIBAND.shares[label]).items():
            for k in range(n):
                visits, before = draw_visits(pool, rng), reference_times(0.0, rng)
                time = np.concatenate([before, before, visits.time])
                band = np.concatenate([np.repeat([0, 1], REFERENCE), visits.band]).astype(np.uint8)
                order = np.argsort(time, kind="stable")
                place = np.argsort(order)
                field = Field(survey, Visits(time[order], band[order], np.full(len(time), 20.5)))
                source, longest = MULTIBAND.sources[kind], draw_length(rng)
                for flux in source.flux(source.draw(8, field, rng), field)[:, place]:
                    reference = flux[: 2 * REFERENCE].reshape(2, -1).mean(1)
                    rows = detect(visits, flux[2 * REFERENCE :], reference, longest, rng)
                    if len(rows.time) >= min(longest, 12):
                        break
                if len(rows.time) >= 3:
                    name = "simulated active nucleus" if label == "AGN" else "simulated star"
                    yield Source(name, label, "simulated", f"simulated-{kind}-{k}", rows)


def bogus(pool: list[Times], rng: np.random.Generator) -> Iterator[Source]:
    """Yield residuals of constant bright stars, of either sign and no colour."""
    for k in range(BOGUS):
        visits, longest = draw_visits(pool, rng), min(draw_length(rng), 60)
        star = nanojansky(np.array([rng.uniform(11.5, 17.5)]), np.ones(1))[0][0]
        share, often = rng.uniform(0.003, 0.04), rng.uniform(0.05, 0.7)
        sign = np.where(rng.random(len(visits.time)) < rng.choice([0.3, 0.5, 0.5, 0.7]), 1, -1)
        size = star * share * np.abs(rng.standard_normal(len(visits.time)))
        residual = np.where(rng.random(len(visits.time)) < often, sign * size, 0)
        rows = detect(visits, residual, np.zeros(2), longest, rng)
        if len(rows.time) >= 3:
            yield Source("simulated bad subtraction", "BOGUS", "simulated", f"bogus-{k}", rows)


def make(folder: Path, out: Path) -> None:
    """Write the training set."""
    rng = np.random.default_rng(SEED)
    curves, labels = transients(folder)
    pool = cadences(curves)
    parts = (single_band(folder, pool, rng), stripe82(folder, pool, rng), simulated(pool, rng), bogus(pool, rng))
    sources = [source for part in parts for source in part]
    others = pd.DataFrame([s[:4] for s in sources], columns=["label", "kind", "source", "id"])
    stratum = (others["source"] + others["kind"]).to_numpy(str)
    others["part"] = split_by_star(np.arange(len(others)), stratum, 0.2, 0.1, SEED)
    labels = labels.assign(kind=labels["label"], source="ztf_bts", part=labels["id"].map(former_split(folder)))
    out.mkdir(parents=True, exist_ok=True)
    table = pd.concat([labels[["id", "label", "kind", "source", "part", "RA", "Dec"]], others])
    table.to_csv(out / "labels.csv", index=False)
    time, band, flux, error = (np.concatenate(part) for part in zip(*(s.rows for s in sources), strict=True))
    ids = np.repeat(others["id"].to_numpy(), [len(s.rows.time) for s in sources])
    names = np.array(["g", "r"], dtype=object)[band]
    found = pd.DataFrame({"id": ids, "mjd": time, "band": names, "flux": flux, "flux_error": error})
    rows = pd.concat([curves, found])
    rows.astype({"flux": "float32", "flux_error": "float32"}).to_parquet(out / "lightcurves.parquet", index=False)
    print(table.groupby(["label", "part"]).size().unstack(), others.groupby(["label", "source"]).size())


def former_split(folder: Path) -> pd.Series:
    """Return the parts of the transients as of the model without the gate, so that both are scored on the same."""
    with tempfile.TemporaryDirectory() as run:
        recipe = Recipe(name="split", run=Path(run), data=TRANSIENTS, preprocessing=MultibandConfig(level=True))
        files = {
            "light_curves": str(folder / "ztf_bts" / "lightcurves.parquet"),
            "labels": str(folder / "ztf_bts" / "labels.csv"),
        }
        data = read_labelled(recipe.data.model_copy(update=files))
        recipe = resolve_recipe(recipe, data.curves, None)
        parts = split_objects(recipe, data, prepare(data.curves, recipe.preprocessing))
    ids = np.array(data.curves.ids)
    return pd.concat([pd.Series(name, ids[rows]) for name, rows in parts.items()])


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
