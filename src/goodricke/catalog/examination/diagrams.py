"""Stacked amplitude spectra, Hertzsprung-Russell diagram and map of the embeddings: Figs. 11, 13 and 14."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.catalog.examination.figures import ACROSS, MARKERS, MOST_POINTS, UNITS, WIDTH, few, point_size
from goodricke.catalog.examination.sample import Sample
from goodricke.evaluation.style import COLOURS, GREY, canvas, say, shorten, thin

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]

STACKED = 300  # spectra of a class
OF_A_CLASS = 1500  # points in a diagram
MAPPED = 6000  # embeddings
DARK = 0.2  # amplitude above the median, as a part of the highest, up to which a stacked spectrum is black
SURE = 5.0  # parallax over its error from which on a distance is used
NO_UMAP = "umap-learn is not installed: pip install 'goodricke[umap]'"


# ---- Fig. 13 --------------------------------------------------------------------------------------------------------


def plot_stacked(name: str, spectra: NDArray[np.floating], f1: Float, edges: Float, path: Path) -> None:
    """Draw amplitude spectra of a class, one star a row, sorted by f1, against period and against frequency.

    Parameters
    ----------
    name : str
        Of the class.
    spectra : (m, bins)
        Amplitudes, NaN where a light curve has none. Shown is what is above a star's median (its noise), as a part of
        its highest peak, lest large amplitudes hide all others.
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
            say(left, "no star of this class has a spectrum")
            say(right, "")
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


# ---- Fig. 14 --------------------------------------------------------------------------------------------------------


class Hertzsprung(NamedTuple):
    """Where stars are in the Hertzsprung-Russell diagram, (n,) each, NaN where unknown."""

    x: Float
    magnitude: Float  # absolute G [mag]
    axis: str
    hot_left: bool  # colour runs from blue to red, temperature the other way round
    notes: str  # what was cut and corrected


def place_in_diagram(sample: Sample) -> Hertzsprung | None:
    """Return colour (or temperature) and absolute magnitude, None where the catalog lacks what is needed.

    M_G = G + 5 log10(parallax / mas) - 10 - A_G, of parallaxes above 5 times their error. A_G and E(BP-RP) are those of
    the table, where it has them; stars without are taken as they are.
    """
    if not (sample.has("g") and sample.has("parallax") and (sample.has("bp_rp") or sample.has("teff"))):
        return None
    parallax, error = sample.numbers("parallax"), sample.numbers("parallax_error")
    with np.errstate(invalid="ignore", divide="ignore"):
        good = (parallax > 0) & (np.isnan(error) | (parallax > SURE * error))
        distance_modulus = np.where(good, 10 - 5 * np.log10(np.where(good, parallax, 1)), np.nan)
    notes = [f"parallax above {SURE:g} times its error" if np.isfinite(error).any() else "parallaxes without errors"]
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
        return Hertzsprung(x, magnitude, axis, True, "; ".join(notes))
    return Hertzsprung(sample.numbers("teff"), magnitude, UNITS["teff"], False, "; ".join(notes))


def plot_hertzsprung(sample: Sample, path: Path) -> None:
    """Draw each class in the Hertzsprung-Russell diagram, all others in grey, hybrid candidates outlined (Fig. 14)."""
    found = place_in_diagram(sample)
    known = sample.best & np.isfinite(found.x) & np.isfinite(found.magnitude) if found else np.zeros(len(sample), bool)
    shown = [k for k in range(len(sample.classes)) if (known & sample.of_class(k, sample.cuts[0])).any()]
    if found is None or not shown:
        with canvas(path, WIDTH, 2) as figure:
            say(figure.add_subplot(), "no star that reaches the cut has a colour, a magnitude and a sure parallax")
        return
    rows, across = -(-len(shown) // ACROSS), min(ACROSS, len(shown))
    hybrid, share = sample.hybrids(), sample.shares()[2]
    with canvas(path, WIDTH, 0.6 + 2.5 * rows) as figure:
        grid = figure.subplots(rows, across, squeeze=False, sharex=True, sharey=True)
        back = few(np.flatnonzero(known), MOST_POINTS)
        image: Any = None
        for axes, k in zip(grid.flat, shown, strict=False):
            axes.scatter(found.x[back], found.magnitude[back], s=1.5, lw=0, color="#DDDDDD", rasterized=True)
            own = np.flatnonzero(known & (sample.of_class(k, sample.cuts[0]) | (hybrid & (sample.assigned == k))))
            own = few(own, OF_A_CLASS)
            image = _class_in_diagram(axes, found, own, share, hybrid)
            axes.set_title(f"{shorten(sample.classes[k], 16)}: {len(own):,}", parse_math=False, fontsize=8.5)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        _diagram_axes(figure, grid, found, known, len(shown))
        figure.colorbar(image, ax=grid, label="share of the second class", pad=0.01, aspect=25, shrink=0.6)


def _class_in_diagram(axes: Any, found: Hertzsprung, own: NDArray[np.int64], share: Float, hybrid: NDArray) -> Any:
    """Draw a class, coloured by the share of its second class; those above 0.2 with a black outline, on top."""
    thin(axes)
    size, image = point_size(len(own)), None
    for chosen, edge in ((own[~hybrid[own]], "none"), (own[hybrid[own]], "black")):
        colour = np.nan_to_num(share[chosen])
        image = axes.scatter(
            *(found.x[chosen], found.magnitude[chosen]),
            **{"c": colour, "s": size * (1.3 if edge == "black" else 1), "vmin": 0, "vmax": 0.5, "cmap": "viridis"},
            **{"edgecolors": edge, "lw": 0.7 if edge == "black" else 0, "rasterized": True},
        )
    return image


def _diagram_axes(figure: Any, grid: Any, found: Hertzsprung, known: NDArray[np.bool_], shown: int) -> None:
    """Fit the axes to nearly all stars, bright upwards and hot to the left, and label the outer ones."""
    x, y = (
        (v[known].min(), *np.quantile(v[known], (0.001, 0.999)), v[known].max()) for v in (found.x, found.magnitude)
    )
    dx, dy = 0.05 * (x[2] - x[1]) + 1e-3, 0.05 * (y[2] - y[1]) + 0.1
    first = grid.flat[0]
    first.set_xlim((x[1] - dx, x[2] + dx) if found.hot_left else (x[2] + dx, x[1] - dx))
    first.set_ylim(y[2] + dy, y[1] - dy)
    across = grid.shape[1]
    for n, axes in enumerate(grid.flat[:shown]):
        if n + across >= shown:
            axes.set_xlabel(found.axis)
            axes.tick_params(labelbottom=True)
        if n % across == 0:
            axes.set_ylabel("$M_G$ [mag]")


# ---- Fig. 11 --------------------------------------------------------------------------------------------------------


def flattened(embedding: NDArray[np.float32], seed: int = 0) -> tuple[Float, str]:
    """Return embeddings (m, d) in two dimensions (m, 2), and by what: UMAP, or principal components without it."""
    try:
        if len(embedding) < 10:
            raise ImportError("too few for UMAP")
        import warnings

        from umap import UMAP

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a seed costs it its threads
            return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(embedding), np.float64), "UMAP"
    except ImportError as error:
        few_points = "too few" in str(error)
        if not few_points:
            log.warning("principal components instead of UMAP: %s", NO_UMAP)
        centred = embedding - embedding.mean(0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        flat = np.zeros((len(embedding), 2))
        flat[:, : min(2, len(axes))] = centred @ axes[:2].T
        return flat, f"principal components ({'few stars' if few_points else NO_UMAP})"


def rows_to_map(sample: Sample) -> NDArray[np.int64]:
    """Return the light curves whose embeddings are drawn: one of each star that reaches the lowest cut, at random."""
    return few(np.flatnonzero(sample.best & (np.nan_to_num(sample.p_max) >= sample.cuts[0])), MAPPED)


def plot_embedding(sample: Sample, rows: NDArray[np.int64], embedding: NDArray[np.float32], path: Path) -> str:
    """Draw embeddings in two dimensions, coloured by class (Fig. 11); return by what they were flattened.

    Parameters
    ----------
    sample : Sample
    rows : int64 (m,)
        Of which light curves they are.
    embedding : (m, d)
        NaN where there is none.
    path : Path
    """
    known = np.isfinite(embedding).all(1)
    rows, embedding = rows[known], embedding[known]
    if len(rows) < 3:
        with canvas(path, WIDTH, 2) as figure:
            say(figure.add_subplot(), "fewer than three stars with an embedding reach the cut")
        return "nothing"
    flat, how = flattened(embedding)
    with canvas(path, WIDTH * 0.85, 6) as figure:
        axes: Any = figure.add_subplot()
        order = np.random.default_rng(0).permutation(len(rows))  # so that no class lies on top of all others
        assigned = sample.assigned[rows]
        size = 2 * point_size(len(rows))
        for part in np.array_split(order, 20):
            for k in np.unique(assigned[part]):
                own = part[assigned[part] == k]
                axes.scatter(*flat[own].T, s=size, lw=0, alpha=0.8, **_look(int(k)), rasterized=True)
        handles = [
            axes.scatter([], [], s=26, lw=0, label=f"{shorten(name, 18)} ({(assigned == k).sum():,})", **_look(k))
            for k, name in enumerate(sample.classes)
            if (assigned == k).any()
        ]
        _name_classes(axes, flat, assigned, sample.classes)
        legend = axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8.5)
        for text in legend.get_texts():
            text.set_parse_math(False)
        title = f"{how} of the embeddings of {len(rows):,} stars of probability at least {sample.cuts[0]:g}"
        axes.set(xticks=[], yticks=[], xlabel="first dimension", ylabel="second dimension", title=title)
        axes.spines[:].set_color(GREY)
    return how


def _name_classes(axes: Any, flat: Float, assigned: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Write each class's name where its median is, at the star nearest to it: colours alone don't tell twelve apart."""
    from matplotlib.patheffects import withStroke

    for k, name in enumerate(classes):
        own = flat[assigned == k]
        if len(own):
            x, y = own[np.abs(own - np.median(own, axis=0)).sum(1).argmin()]
            stroke = [withStroke(linewidth=2.5, foreground="white")]
            axes.text(
                x, y, shorten(name, 18), ha="center", va="center", fontsize=9, path_effects=stroke, parse_math=False
            )


def _look(k: int) -> dict[str, Any]:
    """Return colour and marker of a class: with more than seven, classes of one colour differ in their markers."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k // len(COLOURS) % len(MARKERS)]}
