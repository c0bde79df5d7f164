"""The sections of the report: each draws its figures, adds its numbers and says what a reader should look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke import __version__
from goodricke.evaluation.figures.style import figure_name
from goodricke.evaluation.page import Section
from goodricke.survey.examine import figures, numbers
from goodricke.survey.examine.sample import HYBRID_SHARE, CatalogSample
from goodricke.survey.shards import Catalog
from goodricke.survey.variability import SearchLimits

NO_PERIODS = "No f1 and A1 in the catalog: run again with --light-curves and what the catalog was made from."
NO_STARS = (
    "No {what} in the catalog: run again with --gaia and a table of Gaia DR3 or the TESS Input Catalog for these stars "
    "(source_id, ra, dec, parallax, parallax_error, phot_g_mean_mag, bp_rp, teff_gspphot, ag_gspphot, "
    "ebpminrp_gspphot; from the Gaia archive, by uploading the positions)."
)


class Spectra(NamedTuple):
    """Amplitude spectra of some light curves."""

    rows: NDArray[np.int64]  # (m,) of the catalog
    values: NDArray[np.float32]  # (m, bins)
    edges: NDArray[np.float64]  # (bins + 1,) [1/d]

    @classmethod
    def from_column(cls, column: pa.ChunkedArray, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Spectra:
        """Return the spectra of catalog rows (m,), which stand at places (m,) of a column; without null ones."""
        limits = SearchLimits()
        lists = column.take(pa.array(places)).to_pylist()
        known = [k for k, values in enumerate(lists) if values is not None]
        values = np.array([lists[k] for k in known], np.float32).reshape(len(known), limits.bins)
        return cls(rows[known], values, limits.edges)


class Embeddings(NamedTuple):
    """Embeddings of some light curves."""

    rows: NDArray[np.int64]  # (m,) of the catalog
    values: NDArray[np.float32]  # (m, d)


def embeddings_of(catalog: Catalog, sample: CatalogSample) -> Embeddings | None:
    """Read the embeddings that are drawn, None if the catalog has none."""
    if "embedding" not in catalog.schema.names:
        return None
    rows = figures.rows_to_map(sample)
    column = catalog.dataset.take(pa.array(rows), columns=["embedding"])["embedding"].to_pylist() if len(rows) else []
    width = next((len(values) for values in column if values is not None), 2)
    values = [[np.nan] * width if values is None else values for values in column]
    return Embeddings(rows, np.array(values, np.float32).reshape(len(rows), width))


def facts(sample: CatalogSample, catalog: Catalog, results: dict[str, Any]) -> list[str]:
    """Return sentences about the catalog and the tables joined to it."""
    stars = len(np.unique(sample.star))
    sentences = [f"{len(sample):,} light curves of {stars:,} stars, {int(sample.classified.sum()):,} classified."]
    if "model" in sample.table.column_names:
        kinds = sample.table.select([n for n in ("model", "model_hash") if n in catalog.schema.names])
        models = {" ".join(row.values()) for row in kinds.drop_null().slice(0, 1).to_pylist()}
        sentences += [f"Model {name}." for name in models if name]
    if "crossmatch" in results:
        match = results["crossmatch"]
        sentences.append(
            f"{match['matched']:,} of {match['stars']:,} stars matched with {match['table']}, {match['how']}."
        )
    if "periods" in results:
        periods = results["periods"]
        sentences.append(
            f"{periods['with_f1']:,} of {periods['light_curves']:,} light curves have a dominant frequency."
        )
    return [*sentences, f"goodricke {__version__}. Figures count each star once, by its most confident light curve."]


def all_sections(
    sample: CatalogSample,
    spectra: Spectra | None,
    embeddings: Embeddings | None,
    folder: Path,
    results: dict[str, Any],
) -> list[Section]:
    """Draw all figures into a folder, add their numbers to ``results`` and return the report's sections."""
    return [
        _counts(sample, folder, results),
        *([_agreement(sample, results)] if (sample.label >= 0).any() else []),
        _distributions(sample, folder, results),
        _stacked(sample, spectra, folder),
        _hertzsprung(sample, folder, results),
        _hybrids(sample, results),
        _map(sample, embeddings, folder, results),
        _systematics(sample, folder, results),
        _sky(sample, folder),
    ]


def _counts(sample: CatalogSample, folder: Path, results: dict[str, Any]) -> Section:
    results["counts"], results["statuses"] = numbers.counts(sample), numbers.statuses(sample)
    figures.plot_counts(results["counts"], sample.cuts, folder / "counts.png")
    failed = {name: n for name, n in results["statuses"].items() if name != "OK"}
    return Section(
        "Counts",
        "how the share of each class compares with what the sky holds, and how fast it shrinks with the cut.",
        "a class that is rare in the training set and common in the catalog; one that vanishes at the higher cut.",
        {"stars of each class at each probability cut": folder / "counts.png"},
        results["counts"],
        [f"not classified: {', '.join(f'{name} {n:,}' for name, n in failed.items())}"] if failed else [],
    )


def _agreement(sample: CatalogSample, results: dict[str, Any]) -> Section:
    results["agreement"] = numbers.agreement(sample)
    return Section(
        "Agreement with the labels",
        "purity rising with the cut, and how much completeness that costs.",
        "figures much better than on held-out stars: then the model was trained on these.",
        table=results["agreement"],
        notes=["Labelled stars are rarely a fair sample of the catalog; these numbers hold for stars like them."],
    )


def _distributions(sample: CatalogSample, folder: Path, results: dict[str, Any]) -> Section:
    title, path = "Temperature, frequency and amplitude", folder / "distributions.png"
    lacking = [q for q in numbers.QUANTITIES if not sample.has(q)]
    results["distributions"] = numbers.distributions(sample)
    if len(lacking) == len(numbers.QUANTITIES):
        return Section(title, missing=f"{NO_PERIODS} {NO_STARS.format(what='temperature')}")
    figures.plot_distributions(sample, path)
    notes = [NO_STARS.format(what="temperature")] if "teff" in lacking else []
    notes += [NO_PERIODS] if "f1" in lacking else []
    return Section(
        title,
        "deployed stars (fill) distributed as the labelled ones (outline), and more so at the higher cut (hatch); "
        "eclipsing binaries have f1 at twice their orbital frequency. Deployed are all stars of the catalog, labelled "
        "ones too. Numbers beside the classes: stars at each cut.",
        "a second peak, a shift to low amplitudes as of RRLYR_CEPH in the paper (Fig. 12), pulsators cooler than their "
        "instability strip, or a spike at 1, 2 or 1/13.7 cycles per day. ks: distance from the labelled, 0 to 1.",
        {"distributions of temperature, frequency and amplitude by class": path},
        results["distributions"],
        notes,
    )


def _stacked(sample: CatalogSample, spectra: Spectra | None, folder: Path) -> Section:
    title = "Stacked amplitude spectra"
    if spectra is None or not len(spectra.rows):
        return Section(title, missing=NO_PERIODS if spectra is None else "No star reaches the cut and has a spectrum.")
    f1, pictures = sample.numbers("f1"), {}
    for k, name in enumerate(sample.classes):
        own = np.flatnonzero(sample.of_class(k, sample.cuts[0])[spectra.rows])
        if len(own):
            path = folder / f"stacked_{figure_name(name)}"
            figures.plot_stacked(name, spectra.values[own], f1[spectra.rows[own]], spectra.edges, path)
            pictures[f"amplitude spectra of {name}, a star a row"] = path
    return Section(
        title,
        "the ridge of f1 itself and, parallel to it, harmonics (rotation, eclipses, RR Lyrae) or second modes; up to "
        f"{figures.STACKED} stars of a class, at random (Fig. 13). The triangle marks 1 cycle per day.",
        "a vertical ridge at one frequency in all rows, such as 1 per day: an alias of the nights or scattered light, "
        "not the stars; rows with no ridge at all: noise that was taken for a class.",
        pictures,
    )


def _hertzsprung(sample: CatalogSample, folder: Path, results: dict[str, Any]) -> Section:
    title, place = "Hertzsprung-Russell diagram", figures.place_in_diagram(sample)
    if place is None:
        return Section(title, missing=NO_STARS.format(what="parallax, magnitude and colour"))
    path = folder / "hertzsprung_russell.png"
    figures.plot_hertzsprung(sample, path)
    results["hertzsprung_russell"] = {
        "stars": int((sample.best & np.isfinite(place.x) & np.isfinite(place.magnitude)).sum()),
        "cuts": place.notes,
    }
    return Section(
        title,
        "each class on its own sequence or instability strip; black outlines are hybrid candidates "
        f"(the second class has more than {HYBRID_SHARE:g} of the two probabilities, Fig. 14).",
        "main-sequence pulsators on the red giant branch (wrong temperatures, or misclassified giants), "
        "or a class spread like the grey background: then the class says nothing about the star.",
        {"Hertzsprung-Russell diagram of each class": path},
        notes=[f"{results['hertzsprung_russell']['stars']:,} stars: {place.notes}."],
    )


def _hybrids(sample: CatalogSample, results: dict[str, Any]) -> Section:
    rows = numbers.hybrid_rows(sample)
    results["hybrids"] = {"pairs": numbers.count_pairs(rows), "candidates": rows}
    between = f"{' and '.join(sample.pair)}" if sample.pair else "the two most probable classes of a star"
    return Section(
        "Hybrid candidates",
        f"pairs that physics allows, such as p and g modes in one star. Looked for between {between}, where the second "
        f"has more than {HYBRID_SHARE:g} of the two probabilities.",
        "pairs that it doesn't allow: there the model is undecided, and more data or a higher cut decides.",
        table=rows[:20],
        notes=[f"{pair}: {n:,}" for pair, n in list(results["hybrids"]["pairs"].items())[:12]] or ["none"],
    )


def _map(sample: CatalogSample, embeddings: Embeddings | None, folder: Path, results: dict[str, Any]) -> Section:
    title, path = "Map of the embeddings", folder / "embeddings.png"
    if embeddings is None:
        return Section(title, missing="No embeddings in the catalog: it was written without the column embedding.")
    results["embeddings"] = figures.plot_embedding(sample, embeddings.rows, embeddings.values, path)
    return Section(
        title,
        "classes as islands, and bridges between those that physics or the sampling makes alike (Fig. 11).",
        "islands that hold several classes, or one class in pieces: look at the sectors or cameras of each piece.",
        {"map of the embeddings": path},
        notes=["Distances between islands and their sizes mean nothing; only the neighbours of a star do."],
    )


def _systematics(sample: CatalogSample, folder: Path, results: dict[str, Any]) -> Section:
    title, path = "Systematics", folder / "systematics.png"
    if not sample.has("f1"):
        return Section(title, missing=NO_PERIODS)
    excesses, shares = numbers.excesses(sample), numbers.by_group(sample)
    results["excesses"], results["groups"] = (
        [{k: v for k, v in vars(excess).items() if k != "short"} for excess in excesses],
        shares,
    )
    figures.plot_systematics(sample, excesses, shares, path)
    notes = [
        f"{e.name}: {e.inside:,} light curves within {e.half_width:.3g} of {e.frequency:.4g} per day, "
        f"where {e.beside:,} were expected from both sides (p = {e.p_value:.1g})"
        for e in excesses
        if e.suspicious
    ]
    return Section(
        title,
        "a smooth distribution. Marked frequencies come from the Earth's turn, the Moon or the orbit of TESS; an "
        "excess is tested against the windows on both sides (binomial, times the number of tests).",
        "an orange mark, or a sector or camera whose share near 1 per day is above the others' (Fisher's exact test).",
        {"distribution of the dominant frequency": path},
        [*results["excesses"]],
        notes or ["no excess at any of these frequencies"],
    )


def _sky(sample: CatalogSample, folder: Path) -> Section:
    title, path = "Positions on the sky", folder / "sky.png"
    if not (sample.has("ra") and sample.has("dec")):
        return Section(title, missing="No positions in the catalog: light curves with columns ra and dec give them.")
    figures.plot_sky(sample, path)
    return Section(
        title,
        "young and massive stars along the Milky Way, RR Lyrae stars all over the halo; grey: all stars.",
        "a class that draws the edges of cameras or scans, or a cluster of one class on a bright star: contamination.",
        {"positions on the sky of each class": path},
    )
