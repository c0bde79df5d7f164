"""Figures of a catalog: counts, distributions, frequencies, sky, spectra, Hertzsprung-Russell diagram, embeddings.

Figs. 11 to 14 of the ASTRAFier paper are the map of the embeddings, the distributions, the stacked amplitude spectra
and the Hertzsprung-Russell diagram.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.figures.style import (
    ACCENT,
    COLOURS,
    GREY,
    PALE,
    canvas,
    count_axis,
    despine,
    shorten,
    write_note,
)
from goodricke.survey.examine.numbers import QUANTITIES, Excess
from goodricke.survey.examine.sample import CatalogSample

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]

WIDTH = 10.0  # inches: 1200 pixels
ROW = 0.95  # inches of height for a class
ACROSS = 4  # panels side by side
MOST_POINTS = 20_000  # drawn in the background
MARKERS = "osD^vPX"
FINEST = 0.015  # width of a bin in f1, in its logarithm
WIDE = 60.0  # degrees: a patch of sky larger than this is drawn on the sphere
STACKED = 300  # spectra of a class
CLASS_POINTS = 1500  # of a class in the Hertzsprung-Russell diagram
MAPPED = 6000  # embeddings
DARK = 0.2  # amplitude above the median, as a part of the highest, up to which a stacked spectrum is black
SIGNIFICANT = 5.0  # parallax over its error from which on a distance is used
NO_UMAP = "umap-learn is not installed: pip install 'goodricke[umap]'"
UNITS = {"teff": "$T_{\\mathrm{eff}}$ [K]", "f1": "$f_1$ [d$^{-1}$]", "A1": "$A_1$ [mag]"}


def plot_counts(rows: list[dict[str, Any]], cuts: tuple[float, ...], path: Path) -> None:
    """Draw the stars of each class, at each cut, and those with a label.

    Parameters
    ----------
    rows : list of dict
        Of `goodricke.survey.examine.numbers.counts`.
    cuts : tuple of float
    path : Path
    """
    keys = ["stars", *(f"stars_at_{cut:g}" for cut in cuts)]
    looks = {key: _blue(k, len(keys)) for k, key in enumerate(keys)}
    with canvas(path, WIDTH * 0.75, 1.3 + 0.34 * max(len(rows), 1)) as figure:
        axes = despine(figure.add_subplot())
        most = max([row["stars"] for row in rows], default=0)
        if not most:
            write_note(axes, "no star was classified")
            return
        place = np.arange(len(rows))
        for key, name in zip(
            keys, ["most probable class", *(f"probability at least {c:g}" for c in cuts)], strict=True
        ):
            axes.barh(place, [row[key] for row in rows], color=looks[key], height=0.8, label=name)
        labelled = np.array([row["labelled"] for row in rows], float)
        if labelled.any():
            known = labelled > 0
            axes.plot(labelled[known], place[known], "|", color="black", ms=13, mew=1.8, label="labelled")
        for k, row in enumerate(rows):
            text = " / ".join(f"{row[key]:,}" for key in keys)
            axes.annotate(text, (1.01, k), xycoords=axes.get_yaxis_transform(), va="center", fontsize=8)
        axes.set(
            xscale="log", xlim=(0.7, max(most, labelled.max()) * 1.3), ylim=(len(rows) - 0.4, -0.6), xlabel="stars"
        )
        axes.set_yticks(place, [shorten(row["class"], 20) for row in rows], parse_math=False)
        axes.tick_params(axis="y", length=0)
        count_axis(axes.xaxis)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, handlelength=1.2, borderaxespad=0.2)


def plot_distributions(sample: CatalogSample, path: Path) -> None:
    """Draw Teff, f1 and A1 of each class: labelled (outline), deployed at the lowest cut (fill) and highest (hatch).

    As Fig. 12 of the ASTRAFier paper, one star once; a row for each class that has any star, a column for each
    quantity that is known. Histograms have an area of one.
    """
    known = [q for q in QUANTITIES if sample.has(q)]
    rows = [k for k in range(len(sample.classes)) if sample.of_class(k).any() or sample.labelled(k).any()]
    if not known or not rows:
        with canvas(path, WIDTH, 2) as figure:
            write_note(figure.add_subplot(), "no class has a star with a temperature, a frequency or an amplitude")
        return
    with canvas(path, WIDTH, 1.1 + ROW * len(rows)) as figure:
        grid = figure.subplots(len(rows), len(known), squeeze=False, sharex="col")
        for j, quantity in enumerate(known):
            values = sample.numbers(quantity)
            limits = _limits(sample, values, rows, quantity)
            for i, k in enumerate(rows):
                _distribution(grid[i, j], sample, values, k, limits, quantity == "teff")
                grid[i, j].set_xscale("linear" if quantity == "teff" else "log")
            grid[-1, j].set_xlabel(UNITS[quantity])
        for i, k in enumerate(rows):
            numbers = "\n".join(f"{sample.of_class(k, cut).sum():,}" for cut in sample.cuts)
            text = f"{shorten(sample.classes[k], 16)}\n{numbers}"
            grid[i, 0].set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8, parse_math=False)
        _legend_of_distributions(figure, sample)


def _distribution(
    axes: Any, sample: CatalogSample, values: Float, k: int, limits: tuple[float, float], linear: bool
) -> None:
    """Draw one class in one quantity, in the more bins the more stars there are."""
    stars = np.isfinite(values[sample.of_class(k, sample.cuts[0])]).sum()
    n = int(np.clip(3 * np.sqrt(stars), 16, 80)) + 1
    bins = np.linspace(*limits, n) if linear else np.geomspace(*limits, n)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    low, high = sample.cuts[0], sample.cuts[-1]
    axes.stairs(_density(values[sample.of_class(k, low)], bins), bins, fill=True, color=PALE)
    if high != low:
        axes.stairs(
            _density(values[sample.of_class(k, high)], bins),
            bins,
            fill=True,
            fc="none",
            ec=ACCENT,
            hatch="////",
            lw=0.4,
        )
    axes.stairs(_density(values[sample.labelled(k)], bins), bins, color="black", lw=0.9)
    if not np.isfinite(values[sample.of_class(k, low) | sample.labelled(k)]).any():
        axes.text(0.5, 0.4, "none", transform=axes.transAxes, ha="center", color=GREY)


def _density(values: Float, bins: Float) -> Float:
    """Return a histogram over (finite) bins whose bars add up to one; those beyond are in the outermost ones."""
    values = np.clip(values[np.isfinite(values)], bins[0], bins[-1])
    return np.histogram(values, bins)[0] / max(len(values), 1)


def _limits(sample: CatalogSample, values: Float, rows: list[int], quantity: str) -> tuple[float, float]:
    """Return the range that holds nearly all stars of every class."""
    good = np.isfinite(values) & ((values > 0) | (quantity == "teff"))
    parts = [values[good & (sample.of_class(k, sample.cuts[0]) | sample.labelled(k))] for k in rows]
    edges = np.array([np.quantile(part, (0.01, 0.99)) for part in parts if len(part)])
    if not len(edges):
        return (3000, 10000) if quantity == "teff" else (0.1, 10.0)
    low, high = edges[:, 0].min(), edges[:, 1].max()
    return (low - 100, high + 100) if quantity == "teff" else (low / 1.1, high * 1.1)


def _legend_of_distributions(figure: Any, sample: CatalogSample) -> None:
    from matplotlib.patches import Patch

    low, high = sample.cuts[0], sample.cuts[-1]
    handles = [Patch(fc=PALE, label=f"deployed, probability at least {low:g}")]
    if high != low:
        handles.append(Patch(fc="none", ec=ACCENT, hatch="////", lw=0.4, label=f"at least {high:g}"))
    if (sample.label >= 0).any():
        handles.append(Patch(fc="none", ec="black", label="labelled"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8.5)


def plot_systematics(sample: CatalogSample, excesses: list[Excess], shares: list[dict[str, Any]], path: Path) -> None:
    """Draw how f1 is distributed, suspicious frequencies marked, and each sector's and camera's share near 1/d.

    Parameters
    ----------
    sample : CatalogSample
    excesses : list of Excess
        Of `goodricke.survey.examine.numbers.excesses`.
    shares : list of dict
        Of `goodricke.survey.examine.numbers.by_group`.
    path : Path
    """
    f1 = sample.numbers("f1")[sample.classified]
    f1 = f1[np.isfinite(f1) & (f1 > 0)]
    with canvas(path, WIDTH, 3.2 + 2.6 * bool(shares)) as figure:
        grid = figure.add_gridspec(1 + bool(shares), 3)
        left, right = despine(figure.add_subplot(grid[0, :2])), despine(figure.add_subplot(grid[0, 2]))
        if not len(f1):
            write_note(left, "no light curve has a frequency")
            write_note(right, "")
            return
        _frequencies(left, f1, excesses)
        _around_a_day(right, f1, excesses)
        if shares:
            _shares(despine(figure.add_subplot(grid[1, :])), shares)


def _frequencies(axes: Any, f1: Float, excesses: list[Excess]) -> None:
    n = int(np.clip(3 * np.sqrt(len(f1)), 60, max(np.log(f1.max() / f1.min()) / FINEST, 61)))
    bins = np.geomspace(0.97 * f1.min(), 1.03 * f1.max(), n + 1)
    heights = np.histogram(f1, bins)[0]
    axes.stairs(heights, bins, fill=True, color=ACCENT, lw=0)
    top = heights.max() * 1.02
    for excess in excesses:
        if bins[0] <= excess.frequency <= bins[-1]:
            colour = COLOURS[1] if excess.suspicious else GREY
            axes.plot(excess.frequency, top, "v", color=colour, ms=7 if excess.suspicious else 4, clip_on=False)
            style = {"fontsize": 7.5, "color": colour, "rotation": 35, "annotation_clip": False}
            axes.annotate(excess.short, (excess.frequency, top), (0, 7), textcoords="offset points", **style)
    axes.set(xscale="log", xlabel=UNITS["f1"], ylabel="light curves per bin", ylim=(0, top))


def _around_a_day(axes: Any, f1: Float, excesses: list[Excess]) -> None:
    width = excesses[0].half_width if excesses else 0.01
    reach = max(8 * width, 0.1)
    near = int((np.abs(f1 - 1) < reach).sum())
    bins = np.linspace(1 - reach, 1 + reach, int(np.clip(3 * np.sqrt(near), 16, 80)) + 1)
    axes.axvspan(1 - width, 1 + width, color=COLOURS[4], alpha=0.35, lw=0)
    axes.stairs(np.histogram(f1, bins)[0], bins, fill=True, color=ACCENT, lw=0)
    axes.set(xlabel=f"{UNITS['f1']}, around one per day", xlim=(bins[0], bins[-1]), ylim=(0, None))


def _shares(axes: Any, shares: list[dict[str, Any]]) -> None:
    """Draw each group's share of light curves near 1/d with its interval."""
    shown = shares if len(shares) <= 80 else sorted(shares, key=lambda row: row["p_value"])[:80]
    place = np.arange(len(shown))
    share = 100 * np.array([row["share"] for row in shown])
    low, high = (100 * np.array([row[name] for row in shown]) for name in ("low", "high"))
    colours = [COLOURS[1] if row["suspicious"] else ACCENT for row in shown]
    axes.vlines(place, low, high, color=colours, lw=1.2)
    axes.scatter(place, share, c=colours, s=14, zorder=3)
    names = [f"{row['group']} {row['value']}" for row in shown]
    axes.set_xticks(place, names, rotation=90 if len(shown) > 12 else 0, fontsize=7.5)
    axes.set(ylabel="$f_1$ within the window\naround 1 d$^{-1}$ [%]", xlim=(-0.6, len(shown) - 0.4))
    axes.set_ylim(0, None)


def plot_sky(sample: CatalogSample, path: Path) -> None:
    """Draw where the stars of each class are, all others in grey: on the whole sky, or a patch of it."""
    ra, dec = sample.numbers("ra"), sample.numbers("dec")
    known = sample.best & np.isfinite(ra) & np.isfinite(dec) & (np.abs(np.nan_to_num(dec)) <= 90)
    shown = [k for k in range(len(sample.classes)) if (known & sample.of_class(k, sample.cuts[0])).any()]
    if not shown:
        with canvas(path, WIDTH, 2) as figure:
            write_note(figure.add_subplot(), "no star with a position reaches the cut")
        return
    ra = _unwrap(ra, known)
    wide = bool(max(np.ptp(dec[known]), np.ptp(ra[known]) * np.cos(np.deg2rad(np.median(dec[known])))) > WIDE)
    rows, across = -(-len(shown) // ACROSS), min(ACROSS, len(shown))
    with canvas(path, WIDTH, 0.3 + rows * (1.5 if wide else 2.6)) as figure:
        back = draw_at_most(np.flatnonzero(known), MOST_POINTS)
        for n, k in enumerate(shown):
            axes: Any = figure.add_subplot(rows, across, n + 1, projection="mollweide" if wide else None)
            own = draw_at_most(np.flatnonzero(known & sample.of_class(k, sample.cuts[0])), MOST_POINTS // 4)
            for chosen, look in (
                (back, {"color": "#DDDDDD", "s": 1}),
                (own, {"color": ACCENT, "s": point_size(len(own)) / (2.5 if wide else 1)}),
            ):
                x, y = (np.deg2rad(-ra[chosen]), np.deg2rad(dec[chosen])) if wide else (ra[chosen], dec[chosen])
                axes.scatter(x, y, lw=0, rasterized=True, **look)
            title = f"{shorten(sample.classes[k], 16)}: {(known & sample.of_class(k, sample.cuts[0])).sum():,}"
            axes.set_title(title, parse_math=False, fontsize=8.5)
            _sky_axes(axes, wide, float(np.median(dec[known])), n % across == 0, n >= len(shown) - across)


def _unwrap(ra: Float, known: NDArray[np.bool_]) -> Float:
    """Return right ascensions within 180 degrees of most of them, so that a patch across 0 h stays in one piece."""
    angle = np.deg2rad(ra[known])
    centre = np.rad2deg(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()))
    turned = centre + (ra - centre + 180) % 360 - 180
    spread = np.ptp(turned[known])
    return turned if spread < 180 else (ra + 180) % 360 - 180


def _sky_axes(axes: Any, wide: bool, dec: float, left: bool, low: bool) -> None:
    if wide:
        axes.grid(lw=0.3, color="#CCCCCC")
        axes.set_xticks(np.deg2rad([-120, -60, 0, 60, 120]), ["8h", "4h", "0h", "20h", "16h"], fontsize=6)
        axes.set_yticks(np.deg2rad([-60, -30, 0, 30, 60]), ["-60°", "-30°", "0°", "30°", "60°"], fontsize=6)
        axes.tick_params(colors=GREY)
        return
    despine(axes)
    axes.set_aspect(1 / max(np.cos(np.deg2rad(dec)), 0.1), adjustable="datalim")
    axes.invert_xaxis()
    axes.set(xlabel="RA [deg]" if low else "", ylabel="Dec [deg]" if left else "")


def draw_at_most(rows: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Return at most so many of the rows, drawn at random with a fixed seed, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def point_size(n: int) -> float:
    """Return the area of a point [pt^2] when there are ``n``."""
    return float(np.clip(400 / np.sqrt(max(n, 1)) / 3, 2, 16))


def _blue(k: int, n: int) -> str:
    """Return the k-th of n blues, the first the palest."""
    return [PALE, "#6FA8CF", ACCENT, "#004166"][k if k < n - 1 or n > 3 else min(n - 1, 2)] if k < 4 else "#004166"


# ---- stacked amplitude spectra (Fig. 13) -----------------------------------------------------------------------------


def plot_stacked(name: str, spectra: NDArray[np.floating], f1: Float, edges: Float, path: Path) -> None:
    """Draw amplitude spectra of a class, one star a row, sorted by f1, against period and against frequency.

    Parameters
    ----------
    name : str
        Of the class.
    spectra : (m, bins)
        Amplitudes, NaN where a light curve has none. The figure shows the amplitude above a star's median (its noise),
        as a part of its highest peak, so that large amplitudes don't hide all others.
    f1 : (m,)
        Dominant frequencies [1/d].
    edges : (bins + 1,)
        Of the bins [1/d].
    path : Path
    """
    rows = np.flatnonzero(np.isfinite(f1) & (f1 > 0) & np.isfinite(spectra).any(1))
    with canvas(path, WIDTH, 3.7) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        figure.suptitle(f"{shorten(name)}: {len(rows):,} stars", parse_math=False)
        if not len(rows):
            write_note(left, "no star of this class has a spectrum")
            write_note(right, "")
            return
        rows = rows[np.argsort(f1[rows], kind="stable")]
        floor = np.nanmedian(spectra[rows], axis=1, keepdims=True)
        values = (spectra[rows] - floor) / np.maximum(np.nanmax(spectra[rows], axis=1, keepdims=True) - floor, 1e-12)
        f1 = f1[rows]
        shown = {"cmap": "magma", "vmin": DARK, "vmax": 1, "rasterized": True}
        row = np.arange(len(rows) + 1)
        longest, shortest = _period_limits(f1, edges)
        left.pcolormesh(1 / edges[::-1], row, values[:, ::-1], **shown)
        left.set(xscale="log", xlim=(shortest, longest), xlabel="period [d]", ylabel="stars, sorted by $f_1$")
        image = right.pcolormesh(edges, row, values, **shown)
        right.set(xlim=(0, _highest_shown(f1, edges)), xlabel="frequency [d$^{-1}$]")
        for axes in (left, right):
            axes.set_facecolor("#EEEEEE")
        left.plot([1], [1], "v", color=COLOURS[1], transform=left.get_xaxis_transform(), ms=6, clip_on=False)
        right.plot([1], [1], "v", color=COLOURS[1], transform=right.get_xaxis_transform(), ms=6, clip_on=False)
        figure.colorbar(
            image,
            ax=(left, right),
            label="amplitude above the median [of the highest]",
            pad=0.01,
            aspect=30,
            extend="min",
        )


def _period_limits(f1: Float, edges: Float) -> tuple[float, float]:
    """Return the longest and the shortest period to show [d]: those of most stars and three times more either way."""
    low, high = np.quantile(f1, (0.02, 0.98))
    return float(min(3 / low, 1 / edges[0])), float(max(1 / (3 * high), 1 / edges[-1]))


def _highest_shown(f1: Float, edges: Float) -> float:
    """Return the highest frequency to show [1/d]: the third harmonic of most stars, three cycles a day at least."""
    return float(min(max(3.2 * np.quantile(f1, 0.9), 1.1 * np.quantile(f1, 0.98), 3.0), edges[-1]))


# ---- Hertzsprung-Russell diagram (Fig. 14) ---------------------------------------------------------------------------


class DiagramPlace(NamedTuple):
    """Where stars are in the Hertzsprung-Russell diagram, (n,) each, NaN where unknown."""

    x: Float
    magnitude: Float  # absolute G [mag]
    axis: str
    hot_left: bool  # colour runs from blue to red, temperature the other way round
    notes: str  # cuts and corrections


def place_in_diagram(sample: CatalogSample) -> DiagramPlace | None:
    """Return colour (or temperature) and absolute magnitude, None if the catalog lacks the columns.

    M_G = G + 5 log10(parallax / mas) - 10 - A_G, of parallaxes above 5 times their error. A_G and E(BP-RP) are those of
    the table; stars without them are not corrected.
    """
    if not (sample.has("g") and sample.has("parallax") and (sample.has("bp_rp") or sample.has("teff"))):
        return None
    parallax, error = sample.numbers("parallax"), sample.numbers("parallax_error")
    with np.errstate(invalid="ignore", divide="ignore"):
        good = (parallax > 0) & (np.isnan(error) | (parallax > SIGNIFICANT * error))
        distance_modulus = np.where(good, 10 - 5 * np.log10(np.where(good, parallax, 1)), np.nan)
    notes = [
        f"parallax above {SIGNIFICANT:g} times its error" if np.isfinite(error).any() else "parallaxes without errors"
    ]
    magnitude = sample.numbers("g") - distance_modulus
    if sample.has("extinction"):
        magnitude = magnitude - np.nan_to_num(sample.numbers("extinction"))
        notes.append("less the extinction, where known")
    else:
        notes.append("extinction not corrected")
    if sample.has("bp_rp"):
        x = sample.numbers("bp_rp")
        dereddened = sample.has("reddening")
        x = x - np.nan_to_num(sample.numbers("reddening")) if dereddened else x
        axis = "$(G_{BP} - G_{RP})_0$ [mag]" if dereddened else "$G_{BP} - G_{RP}$ [mag]"
        return DiagramPlace(x, magnitude, axis, True, "; ".join(notes))
    return DiagramPlace(sample.numbers("teff"), magnitude, UNITS["teff"], False, "; ".join(notes))


def plot_hertzsprung(sample: CatalogSample, path: Path) -> None:
    """Draw each class in the Hertzsprung-Russell diagram, all others in grey, hybrid candidates outlined (Fig. 14)."""
    place = place_in_diagram(sample)
    known = np.zeros(len(sample), bool)
    if place is not None:
        known = sample.best & np.isfinite(place.x) & np.isfinite(place.magnitude)
    shown = [k for k in range(len(sample.classes)) if (known & sample.of_class(k, sample.cuts[0])).any()]
    if place is None or not shown:
        with canvas(path, WIDTH, 2) as figure:
            write_note(
                figure.add_subplot(), "no star that reaches the cut has a colour, a magnitude and a sure parallax"
            )
        return
    rows, across = -(-len(shown) // ACROSS), min(ACROSS, len(shown))
    hybrid, share = sample.hybrids(), sample.shares()[2]
    with canvas(path, WIDTH, 0.6 + 2.5 * rows) as figure:
        grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True)
        back = draw_at_most(np.flatnonzero(known), MOST_POINTS)
        image: Any = None
        for axes, k in zip(grid.flat, shown, strict=False):
            axes.scatter(place.x[back], place.magnitude[back], s=1.5, lw=0, color="#DDDDDD", rasterized=True)
            own = np.flatnonzero(known & (sample.of_class(k, sample.cuts[0]) | (hybrid & (sample.assigned == k))))
            own = draw_at_most(own, CLASS_POINTS)
            image = _class_in_diagram(axes, place, own, share, hybrid)
            axes.set_title(f"{shorten(sample.classes[k], 16)}: {len(own):,}", parse_math=False, fontsize=8.5)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        _diagram_axes(figure, grid, place, known, len(shown))
        figure.colorbar(image, ax=grid, label="share of the second class", pad=0.01, aspect=25, shrink=0.6)


def _class_in_diagram(axes: Any, place: DiagramPlace, own: NDArray[np.int64], share: Float, hybrid: NDArray) -> Any:
    """Draw a class, coloured by the share of its second class; those above 0.2 with a black outline, on top."""
    despine(axes)
    size, image = point_size(len(own)), None
    for chosen, edge in ((own[~hybrid[own]], "none"), (own[hybrid[own]], "black")):
        colour = np.nan_to_num(share[chosen])
        is_hybrid = edge == "black"
        image = axes.scatter(
            place.x[chosen],
            place.magnitude[chosen],
            c=colour,
            s=size * (1.3 if is_hybrid else 1),
            vmin=0,
            vmax=0.5,
            cmap="viridis",
            edgecolors=edge,
            lw=0.7 if is_hybrid else 0,
            rasterized=True,
        )
    return image


def _diagram_axes(figure: Any, grid: Any, place: DiagramPlace, known: NDArray[np.bool_], shown: int) -> None:
    """Fit the axes to nearly all stars, bright upwards and hot to the left, and label the outer ones."""
    x, y = (
        (v[known].min(), *np.quantile(v[known], (0.001, 0.999)), v[known].max()) for v in (place.x, place.magnitude)
    )
    dx, dy = 0.05 * (x[2] - x[1]) + 1e-3, 0.05 * (y[2] - y[1]) + 0.1
    first = grid.flat[0]
    first.set_xlim((x[1] - dx, x[2] + dx) if place.hot_left else (x[2] + dx, x[1] - dx))
    first.set_ylim(y[2] + dy, y[1] - dy)
    across = grid.shape[1]
    for n, axes in enumerate(grid.flat[:shown]):
        if n + across >= shown:
            axes.set_xlabel(place.axis)
            axes.tick_params(labelbottom=True)
        if n % across == 0:
            axes.set_ylabel("$M_G$ [mag]")


# ---- map of the embeddings (Fig. 11) ---------------------------------------------------------------------------------


def flatten_embeddings(
    embedding: NDArray[np.float32],
    seed: int = 0,
    fewest: int = 10,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Float, str]:
    """Return embeddings (m, d) in two dimensions (m, 2), and the method.

    Parameters
    ----------
    embedding : float32 (m, d)
    seed : int
    fewest : int
        Below so many, or without the package, the method is principal components instead of UMAP.
    progress : callable, optional
        Called with the number of epochs done, and of all.
    """
    try:
        if len(embedding) < fewest:
            raise ImportError("too few for UMAP")
        import warnings

        from umap import UMAP

        bar = (
            {} if progress is None else {"verbose": True, "tqdm_kwds": {"file": _Epochs(progress), "mininterval": 0.5}}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed costs it its threads
            return np.asarray(UMAP(random_state=seed, n_jobs=1, **bar).fit_transform(embedding), np.float64), "UMAP"
    except ImportError as error:
        few_points = "too few" in str(error)
        if not few_points:
            log.warning("principal components instead of UMAP: %s", NO_UMAP)
        centred = embedding - embedding.mean(0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        flat = np.zeros((len(embedding), 2))
        flat[:, : min(2, len(axes))] = centred @ axes[:2].T
        return flat, f"principal components ({'few stars' if few_points else NO_UMAP})"


class _Epochs:
    """A file that UMAP writes its progress bar to."""

    def __init__(self, progress: Callable[[int, int], object]) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        """Take the numbers of a bar such as ``35%|###  | 70/200``."""
        if match := re.search(r"(\d+)/(\d+)", text):
            self._progress(int(match[1]), int(match[2]))

    def flush(self) -> None:
        """Do nothing."""


def rows_to_map(sample: CatalogSample) -> NDArray[np.int64]:
    """Return the light curves whose embeddings are drawn: one per star that reaches the lowest cut, at random."""
    return draw_at_most(np.flatnonzero(sample.best & (np.nan_to_num(sample.p_max) >= sample.cuts[0])), MAPPED)


def plot_embedding(sample: CatalogSample, rows: NDArray[np.int64], embedding: NDArray[np.float32], path: Path) -> str:
    """Draw embeddings in two dimensions, coloured by class (Fig. 11); return the method.

    Parameters
    ----------
    sample : CatalogSample
    rows : int64 (m,)
        Light curves of the embeddings.
    embedding : (m, d)
        NaN where there is none.
    path : Path
    """
    known = np.isfinite(embedding).all(1)
    rows, embedding = rows[known], embedding[known]
    if len(rows) < 3:
        with canvas(path, WIDTH, 2) as figure:
            write_note(figure.add_subplot(), "fewer than three stars with an embedding reach the cut")
        return "nothing"
    flat, method = flatten_embeddings(embedding)
    with canvas(path, WIDTH * 0.85, 6) as figure:
        axes: Any = figure.add_subplot()
        order = np.random.default_rng(0).permutation(len(rows))  # so that no class hides the others
        assigned = sample.assigned[rows]
        size = 2 * point_size(len(rows))
        for part in np.array_split(order, 20):
            for k in np.unique(assigned[part]):
                own = part[assigned[part] == k]
                axes.scatter(*flat[own].T, s=size, lw=0, alpha=0.8, **_style(int(k)), rasterized=True)
        handles = [
            axes.scatter([], [], s=26, lw=0, label=f"{shorten(name, 18)} ({(assigned == k).sum():,})", **_style(k))
            for k, name in enumerate(sample.classes)
            if (assigned == k).any()
        ]
        _name_classes(axes, flat, assigned, sample.classes)
        legend = axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8.5)
        for text in legend.get_texts():
            text.set_parse_math(False)
        title = f"{method} of the embeddings of {len(rows):,} stars of probability at least {sample.cuts[0]:g}"
        axes.set(xticks=[], yticks=[], xlabel="first dimension", ylabel="second dimension", title=title)
        axes.spines[:].set_color(GREY)
    return method


def _name_classes(axes: Any, flat: Float, assigned: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Write each class's name where its median is, at the star nearest to it: twelve colours can't be told apart."""
    from matplotlib.patheffects import withStroke

    for k, name in enumerate(classes):
        own = flat[assigned == k]
        if len(own):
            x, y = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()]
            stroke = [withStroke(linewidth=2.5, foreground="white")]
            axes.text(
                x, y, shorten(name, 18), ha="center", va="center", fontsize=9, path_effects=stroke, parse_math=False
            )


def _style(k: int) -> dict[str, Any]:
    """Return colour and marker of a class: with more than seven, classes of one colour differ in their markers."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k // len(COLOURS) % len(MARKERS)]}
