"""Other packages' features with forests and boosted trees, on the held-out stars of a recipe with a taxonomy.

::

    python -m benchmarks.peers recipes/variables.toml --survey asas --survey crts_south --out peers.json

The recipe has been trained: its run folder has the split and the scores of the network and its baselines. For each
survey the others are fitted to the same training stars (those of that survey alone, while the network has seen all
surveys) and scored on the same held-out stars, in the survey's own labels, with the same bootstrap.

- ``UPSILoN``: the sixteen features of Kim & Bailer-Jones (2016, Table 2), rebuilt from their definitions (the published
  forest was trained on other classes and comes as a pickle), with a forest.
- ``light-curve``: the features of the package light-curve (Malanchev et al. 2021) with a period, as in
  `goodricke.training.baselines.features`, with a forest, one that weighs classes, and boosted trees.
- ``dm-dt``: images of brightness and time differences (Mahabal et al. 2017), by the same package, with a forest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.timing import machine
from goodricke.data.files import atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.scores import Scores, score
from goodricke.evaluation.survey_scores import own_labels
from goodricke.preprocess.cleaning import finite_points
from goodricke.preprocess.periods import find_periods
from goodricke.training.baselines.features import MISSING, light_curve_features
from goodricke.training.labels import Labelled, LabelSets, read_labelled
from goodricke.training.recipe import read_recipe

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
TREES = 500
LARGEST = 1e30  # of a feature: forests compute in 32 bits
FEWEST = 8  # observations, for a Fourier series with seven coefficients

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Stars(NamedTuple):
    """The light curves of one survey with its own labels as classes, n in all."""

    curves: LightCurves
    label: Int  # (n,) index into classes
    classes: tuple[str, ...]
    star: Int  # (n,)
    is_test: NDArray[np.bool_]  # (n,)


def select_survey(data: Labelled, part: pd.Series, survey: str) -> Stars:
    """Return the labelled light curves of a survey; ``part`` is that of the split, by object id."""
    sets = data.label_sets
    assert isinstance(sets, LabelSets)
    rows = np.flatnonzero((sets.survey == sets.surveys.index(survey)) & np.isin(data.curves.ids, part.index))
    own = own_labels(sets.name[rows], sets.leaves[rows])
    rows, label = rows[own.place >= 0], own.place[own.place >= 0]
    curves = data.curves[rows]
    is_test = (part.loc[curves.ids] == "test").to_numpy()
    return Stars(curves, label, own.names, data.star[rows], is_test)


# ---- features -------------------------------------------------------------------------------------------------------


def upsilon_features(curves: LightCurves) -> Float:
    """Return the sixteen features of Kim & Bailer-Jones (2016) of each light curve in magnitudes, (n, 16)."""
    period = find_periods(curves).period
    features = np.full((len(curves), 16), MISSING)
    for i, one in enumerate(track(curves, "UPSILoN's features")):
        if len(one.time) >= FEWEST and np.isfinite(period[i]):
            with np.errstate(invalid="ignore", divide="ignore"):
                features[i] = _upsilon(one.time, one.value.astype(np.float64), one.error, float(period[i]))
    return np.where(np.abs(features) < LARGEST, features, MISSING)


def _upsilon(time: Float, magnitude: Float, error: NDArray[np.float32], period: float) -> Float:
    from scipy.stats import kurtosis, shapiro, skew

    mean, n = magnitude.mean(), len(magnitude)
    faint, bright = magnitude[magnitude > mean] - mean, magnitude[magnitude <= mean] - mean
    weight = 1 / np.where(np.isfinite(error) & (error > 0), error, np.inf) ** 2
    weighted = np.average(magnitude, weights=weight) if weight.any() else mean
    delta = (magnitude - weighted) / np.where(np.isfinite(error) & (error > 0), error, magnitude.std())
    stetson_k = np.abs(delta).mean() / np.sqrt((delta**2).mean())
    slopes = np.diff(magnitude) / np.diff(time)
    angle = 2 * np.pi * time / period
    terms = [f(k * angle) for k in (1, 2, 3) for f in (np.sin, np.cos)]
    coefficients = np.linalg.lstsq(np.column_stack([np.ones(n), *terms]), magnitude, rcond=None)[0][1:].reshape(3, 2)
    amplitude, phase = np.hypot(*coefficients.T), np.arctan2(-coefficients[:, 0], coefficients[:, 1])
    folded = magnitude[np.argsort(time / period % 1)]
    cumulative = np.cumsum(folded - mean) / (n * magnitude.std())
    return np.array(
        [
            amplitude[0],
            np.sqrt((faint**2).mean() / (bright**2).mean()),
            kurtosis(magnitude),
            period,
            np.ptp(cumulative),
            (np.diff(folded) ** 2).mean() / magnitude.var(),
            (phase[1] - 2 * phase[0]) % (2 * np.pi),
            (phase[2] - 3 * phase[0]) % (2 * np.pi),
            np.subtract(*np.percentile(magnitude, (75, 25))),
            amplitude[1] / amplitude[0],
            amplitude[2] / amplitude[0],
            shapiro(magnitude)[0],
            skew(magnitude),
            *np.percentile(slopes[np.isfinite(slopes)], (10, 90)),
            stetson_k,
        ]
    )


def dmdt_images(curves: LightCurves) -> Float:
    """Return images of 24 logarithmic time differences by 24 differences in magnitude, (n, 576).

    For each time difference the numbers add up to 1 or less.
    """
    import light_curve

    maker = light_curve.DmDt.from_borders(
        min_lgdt=-2, max_lgdt=3.5, max_abs_dm=2.5, lgdt_size=24, dm_size=24, norm=["dt"]
    )
    images = [maker.points(one.time, one.value.astype(np.float64), sorted=True) for one in track(curves, "dm-dt")]
    return np.reshape(images, (len(curves), -1))


# ---- classifiers ----------------------------------------------------------------------------------------------------


def classifiers(seed: int) -> dict[str, Any]:
    """Return unfitted classifiers by name."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    forest = {"n_estimators": TREES, "random_state": seed, "n_jobs": 1}
    return {
        "forest": RandomForestClassifier(**forest),
        "forest, classes weighed": RandomForestClassifier(**forest, class_weight="balanced_subsample"),
        "boosted trees": HistGradientBoostingClassifier(early_stopping=True, random_state=seed),
    }


def fit_and_score(features: Float, stars: Stars, classifier: Any) -> Scores:
    """Return the scores on held-out stars of a classifier fitted to the others."""
    train, test = ~stars.is_test, stars.is_test
    classifier.fit(features[train], stars.label[train])
    p = np.zeros((int(test.sum()), len(stars.classes)))
    p[:, classifier.classes_] = classifier.predict_proba(features[test])
    return score(stars.label[test], p, stars.classes, stars.star[test])


def compare(stars: Stars, seed: int) -> dict[str, Scores]:
    """Return the scores of every set of features with its classifiers."""
    curves = finite_points(stars.curves).sorted()
    models = classifiers(seed)
    features = light_curve_features(curves)[0]
    result = {f"light-curve, {name}": fit_and_score(features, stars, model) for name, model in models.items()}
    features = upsilon_features(curves)
    for name in ("forest", "forest, classes weighed"):
        result[f"UPSILoN's features, {name}"] = fit_and_score(features, stars, models[name])
    result["dm-dt images, forest"] = fit_and_score(dmdt_images(curves), stars, models["forest"])
    return result


def network_scores(metrics: dict[str, Any], survey: str) -> dict[str, dict[str, Any]]:
    """Return the figures of the network and its baselines on a survey, as the training recorded them."""
    own = next(x for x in metrics["by_survey"] if x["survey"] == survey)
    return {"variables": own["figures"], **{f"this package's {name}": x for name, x in own["baselines"].items()}}


def main(
    recipe: Annotated[Path, typer.Argument(help="A trained recipe with a taxonomy.")],
    survey: Annotated[list[str], typer.Option(help="A survey of the recipe; several times for several.")],
    out: Annotated[Path, typer.Option(help="The figures as JSON.")],
    seed: Annotated[int, typer.Option(help="Of forests and boosted trees.")] = 42,
) -> None:
    """Compare other packages' features with the network, on the held-out stars of single surveys."""
    settings, console = read_recipe(recipe), Console()
    data = read_labelled(settings.data)
    part = pd.read_csv(settings.run / "split.csv", dtype=str).set_index("object_id")["part"]
    metrics = json.loads((settings.run / "metrics.json").read_text())
    result: dict[str, Any] = {"machine": machine(), "seed": seed, "surveys": {}}
    for name in survey:
        stars = select_survey(data, part, name)
        own = {k: {f: getattr(s, f).to_dict() for f in FIGURES} for k, s in compare(stars, seed).items()}
        rows = {k: {f: x[f] for f in FIGURES} for k, x in network_scores(metrics, name).items()} | own
        counts = {"n_train": int((~stars.is_test).sum()), "n_test": int(stars.is_test.sum()), "labels": stars.classes}
        result["surveys"][name] = counts | {"figures": rows}
        table = Table("classifier", *FIGURES, title=f"{name}: {counts['n_test']:,} held-out light curves")
        for classifier, figures in rows.items():
            cells = [f"{x['value']:.3f} [{x['low']:.3f}, {x['high']:.3f}]" for x in figures.values()]
            table.add_row(classifier, *cells)
        console.print(table)
        atomic_write(out, json.dumps(result, indent=1))


if __name__ == "__main__":
    typer.run(main)
