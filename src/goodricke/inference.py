"""Classification of light curves by a model: preprocessing, batches of similar length, Monte-Carlo passes."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import stated_otherwise
from goodricke.data.predictions import Output, Predictions, Status
from goodricke.io import Unreadable, as_light_curves, read_batches
from goodricke.io.in_memory import check_options
from goodricke.io.reading import names_files
from goodricke.models.bundle import BundleConfig, Model, load_model, read_config
from goodricke.models.dropout import row_keys
from goodricke.models.multiband import Multiband
from goodricke.models.pieces import output_of_pieces
from goodricke.models.runtime import gpu, threads
from goodricke.models.runtime.gpu import prefetch
from goodricke.preprocess import DenseConfig, Frames, Prepared, Steps, prepare
from goodricke.preprocess.dense_periods import answer_periods
from goodricke.preprocess.multiband import AB_FLUX
from goodricke.preprocess.tensors import Batch, length_buckets, rounded_up
from goodricke.uncertainty.entropy import entropy, summarise
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage, as_coverage

log = logging.getLogger("goodricke")

POINTS = 32768  # padded points in one call of the network on a CPU, which bounds memory
Tick = Callable[[int], None]


def classify(
    curves: Any = None,
    model: Model | str | Path | None = None,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    tick: Tick = lambda objects: None,
    coverage: Coverage | float = COVERAGE,
    checks: InputChecks | None = None,
    **data: Any,
) -> Predictions:
    """Classify light curves.

    Parameters
    ----------
    curves : optional
        `LightCurves`; a path or a list of paths; whatever else `as_light_curves` takes: a lightkurve ``LightCurve``, an
        astropy ``TimeSeries`` or ``Table``, a frame, an Arrow table, a list of these. Left out for arrays.
    model : Model, str or Path, optional
        A name or folder as in `goodricke.load_model`. By default `default_model` chooses one by the sampling, and a
        message says which and why.
    passes : int
        Monte-Carlo passes with dropout on (section 3.6: 20), whose mean is the probability; 0 for one pass without
        dropout. Multi-band models always have one pass.
    seed : int
        Seed of the dropout masks. The output depends on the seed, not on the batch.
    workers : int
        Processes for preprocessing.
    tick : callable
        Called with the number of objects after each batch, for a progress bar.
    coverage : float or Coverage
        Coverage of the prediction sets: 0.95 for 95 % of all objects, ``(0.95, True)`` for 95 % in each class.
    checks : InputChecks, optional
        Shared by batches of the same light curves, so that each warning appears once.
    **data
        Arrays of `as_light_curves` (``time=``, ``mag=`` or ``flux=``, ``error=``, ``band=``, ``object_id=``), or
        options of `goodricke.io.ReadOptions` (``unit=``, ``columns=``, ...).

    Returns
    -------
    Predictions
        One row per light curve, in order; with the status ``WRONG_UNIT`` if the model can't use the unit, and
        ``WRONG_PHOTOMETRY`` if the light curve states another photometry than the model's. Of paths, a row for each
        light curve in the files, then one with the status ``UNREADABLE`` for each file that can't be read.

    Raises
    ------
    TypeError
        If there are no light curves in what was given; the message says what is missing.
    Unreadable
        If a table lacks times or brightnesses, or none of the files can be read.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.sort(np.random.default_rng(1).uniform(58000, 58300, 150))
    >>> phase = time / 0.55 % 1
    >>> mag = 15 + 0.8 * np.minimum(phase / 0.85, (1 - phase) / 0.15)
    >>> predictions = classify(time=time, mag=mag, error=0.02, band="g", model="variables")
    >>> predictions["class"].tolist(), round(float(predictions["period"][0]), 2)
    (['RRAB'], 0.55)
    """
    options: dict[str, Any]
    options = {"passes": passes, "seed": seed, "workers": workers, "tick": tick, "coverage": as_coverage(coverage)}
    if names_files(curves) and "object_id" not in data:
        return _classify_paths(curves, model, data, checks=checks, **options)
    light_curves = as_light_curves(curves, **data)
    loaded = _loaded(model, light_curves)
    return replace(_classify(light_curves, loaded, checks=checks, **options), curves=(light_curves,))


def _loaded(model: Model | str | Path | None, curves: LightCurves) -> Model:
    """Return a model, loaded, by default the one for these light curves."""
    if model is None:
        model, reason = default_model(curves)
        log.warning("model %s: %s", model, reason)
    if isinstance(model, Model):
        return model
    loaded = load_model(model)
    if loaded.config.simulated:
        log.warning("%s was trained on simulations: its probabilities hold for these", loaded.name)
    return loaded


def _classify_paths(
    paths: Any, model: Model | str | Path | None, reading: dict[str, Any], checks: InputChecks | None, **options: Any
) -> Predictions:
    """Classify the light curves in files, which may be of several units and time scales."""
    check_options(reading)
    if model is not None:  # what it was trained on, unless the flux is named
        config = model.config if isinstance(model, Model) else read_config(model)
        reading = {"photometry": config.flux_kind} | reading
    failed, kept = list[Unreadable](), list[LightCurves]()

    def logged() -> Iterator[tuple[LightCurves | None, Sequence[Unreadable]]]:
        for curves, failures in read_batches(paths, **reading):
            for failure in failures:
                log.warning("%s", failure)
            failed.extend(failures)
            yield curves, failures

    first, batches = peek(logged())
    if not len(first):
        raise failed[0] if failed else Unreadable(str(paths), "holds no light curve", "check the path")
    loaded = _loaded(model, first)
    options |= {"finished": lambda curves, predictions: kept.append(curves)}
    result, _ = classify_batches(batches, loaded, checks=checks, **options)
    return replace(result, curves=tuple(kept))


def peek(
    batches: Iterable[tuple[LightCurves | None, Sequence[Unreadable]]],
) -> tuple[LightCurves, Iterator[tuple[LightCurves | None, Sequence[Unreadable]]]]:
    """Return the first light curves among batches, an empty batch if there are none, and all the batches."""
    iterator, before = iter(batches), list[tuple[LightCurves | None, Sequence[Unreadable]]]()
    for batch in iterator:
        before.append(batch)
        if batch[0] is not None:
            break
    first = before[-1][0] if before else None
    none = LightCurves.from_arrays(pa.array([], pa.string()), [0], [], [])
    return none if first is None else first, itertools.chain(before, iterator)


def _classify(
    curves: LightCurves,
    model: Model,
    passes: int = 20,
    seed: int = 0,
    workers: int = 1,
    tick: Tick = lambda objects: None,
    coverage: Coverage = COVERAGE,
    checks: InputChecks | None = None,
    pieces: float | None = None,
) -> Predictions:
    """Classify light curves by a loaded model; see `classify`.

    ``pieces`` is a length [d]: light curves much longer are cut, and the answers combined (`goodricke.models.pieces`).
    """
    checks = checks or InputChecks(model.config)
    try:
        model.preprocessing.check_unit(curves)
    except ValueError as error:
        checks.warn("%s", error)
        tick(len(curves))
        return _wrong_unit(curves, model, passes, coverage)
    checks.check(curves)
    prepared = prepare(curves, model.preprocessing, workers)
    refused = stated_otherwise(curves, model.config.flux_kind)
    if refused.any():
        prepared = replace(prepared, status=np.where(refused, str(Status.WRONG_PHOTOMETRY), prepared.status))

    def compute(part: Prepared) -> Output:
        return compute_output(model, part, passes, seed, tick if pieces is None else lambda objects: None, coverage)

    if pieces is None:
        output = compute(prepared)
    else:
        output = output_of_pieces(model, curves, pieces, compute, coverage, workers)
        tick(len(curves))
    broken = prepared.usable & ~np.isfinite(output.probabilities).all(1)
    status = np.where(broken, Status.NON_FINITE, prepared.status)
    return to_predictions(model, prepared, output, status, curves.objects)


def classify_batches(
    batches: Iterable[tuple[LightCurves | None, Sequence[Unreadable]]],
    model: Model,
    *,
    strict: bool = False,
    finished: Callable[[LightCurves, Predictions], None] = lambda curves, predictions: None,
    **options: Any,
) -> tuple[Predictions, list[Unreadable]]:
    """Classify batches of light curves from `goodricke.io.read_batches`, and join the predictions.

    Parameters
    ----------
    batches : iterable of (LightCurves or None, list of Unreadable)
    model : Model
    strict : bool
        Raise ValueError at bands that a multi-band model lacks.
    finished : callable
        Called with the light curves and predictions of each batch.
    **options
        Of `classify`.

    Returns
    -------
    Predictions
        Of all batches, then a row with status ``UNREADABLE`` for each file that couldn't be read.
    list of Unreadable
    """
    parts, failures = list[Predictions](), list[Unreadable]()
    checks = options.pop("checks", None) or InputChecks(model.config)
    for curves, refusals in batches:
        failures += refusals
        if curves is not None:
            if strict:
                model.preprocessing.refuse_unknown_bands(curves)
            parts.append(_classify(curves, model, checks=checks, **options))
            finished(curves, parts[-1])
    return _append_unreadable(parts or [_empty(model, 0, COVERAGE)], failures), failures


def to_predictions(
    model: Model, prepared: Prepared, output: Output, status: NDArray, objects: pa.Table | None = None
) -> Predictions:
    """Return a model's output for prepared light curves as a table, with the per-object columns of ``objects``."""
    columns = prepared.table_columns
    if isinstance(prepared, Frames) and isinstance(model.preprocessing, DenseConfig) and output.periods is None:
        periods = answer_periods(prepared, output.probabilities, model.classes, model.preprocessing)
        output = replace(output, periods=periods)
    return Predictions.build(output, model.id, prepared.object_id, status, prepared.n_obs, columns, objects)


def _empty(model: Model, passes: int, coverage: Coverage) -> Predictions:
    """Return predictions without rows."""
    return _classify(
        LightCurves.from_arrays(pa.array([], pa.string()), [0], [], [], unit=model.config.unit),
        model,
        passes,
        coverage=coverage,
        checks=InputChecks.silent(model.config),
    )


def _wrong_unit(curves: LightCurves, model: Model, passes: int, coverage: Coverage) -> Predictions:
    """Return a row for each light curve with the status ``WRONG_UNIT`` and its per-object columns."""
    result = Predictions.failed(curves.ids, Status.WRONG_UNIT, _empty(model, passes, coverage))
    table, objects = result.table, curves.table_of_objects
    for name in [name for name in objects.column_names if name not in table.column_names]:
        table = table.append_column(name, objects[name])
    return Predictions(table, result.classes)


def _append_unreadable(parts: Sequence[Predictions], failures: Sequence[Unreadable]) -> Predictions:
    """Join predictions, and add a row for each file that couldn't be read."""
    if not failures:
        return Predictions.concat(parts)
    failed = Predictions.failed([Path(failure.path).name for failure in failures], Status.UNREADABLE, parts[0])
    paths, table = pa.array([failure.path for failure in failures]), failed.table
    if "source" in table.column_names:
        table = table.drop_columns(["source"])
    return Predictions.concat([*parts, Predictions(table.append_column("source", paths), failed.classes)])


# ---- the model for light curves -------------------------------------------------------------------------------------


DENSE, SPARSE, TRANSIENT = "tess-sim", "variables", "ztf-bts"  # shipped models
FEWEST_DENSE = 100  # observations of dense space photometry
LONGEST_STEP = 1 / 12  # d between them; Kepler's long cadence and TESS's first full frames are every half hour
COVERED = 0.5  # of each day on which there are observations; nights on the ground cover less


def default_model(curves: LightCurves) -> tuple[str, str]:
    """Return the shipped model for light curves, by how they are sampled, and the reason.

    Returns
    -------
    str
        ``tess-sim`` if most light curves are dense space photometry, else ``variables``. A transient is never assumed:
        ask for ``ztf-bts``.
    str
        The reason, and what else could be meant.

    Examples
    --------
    >>> import numpy as np
    >>> from goodricke import as_light_curves
    >>> default_model(as_light_curves(time=np.arange(0, 27, 1 / 48), flux=np.ones(1296)))[0]
    'tess-sim'
    >>> default_model(as_light_curves(time=np.arange(0, 1000, 3.1), mag=np.ones(323)))[0]
    'variables'
    """
    dense = is_dense(curves)
    share = f"{int(dense.sum()):,} of {len(dense):,} light curves" if len(dense) > 1 else "the light curve"
    verb = "are" if len(dense) > 1 else "is"
    if len(dense) and dense.mean() > 0.5:
        reason = f"{share} {verb} dense, as space photometry is: observations cover whole days"
        return DENSE, f'{reason}. Others: model="{SPARSE}" (variable stars, sparse), or your own'
    reason = f"the light curve{'s are' if len(dense) != 1 else ' is'} sparse, and taken for variable stars"
    if dense.any():
        reason = f"most light curves are sparse ({share} {verb} dense), and taken for variable stars"
    return SPARSE, f'{reason}. Others: model="{TRANSIENT}" (supernovae and other transients), or your own'


def as_options(reason: str) -> str:
    """Return the reason of `default_model` for the command line."""
    return re.sub(r'model="([\w-]+)"', r"--model \1", reason)


def is_dense(curves: LightCurves) -> NDArray[np.bool_]:
    """Return which light curves (n,) are dense: at least 100 observations, which cover the days on which there are any.

    Space telescopes observe day and night; an hour of observations each minute, as on the ground, covers little of a
    day.
    """
    curves = curves.where(np.isfinite(curves.time)).sorted()
    steps = ragged.differences(curves.time, curves.offsets)
    positive = steps > 0
    step = ragged.median(steps[positive].astype(np.float32), ragged.select(positive, curves.offsets))
    new_day = ~(ragged.differences(np.floor(curves.time), curves.offsets) == 0)
    days = np.maximum(ragged.total(new_day, curves.offsets), 1)
    with np.errstate(invalid="ignore"):
        return (curves.n_obs >= FEWEST_DENSE) & (step <= LONGEST_STEP) & (curves.n_obs * step >= COVERED * days)


# ---- the network ----------------------------------------------------------------------------------------------------


def compute_output(
    model: Model,
    prepared: Prepared,
    passes: int = 20,
    seed: int = 0,
    tick: Tick = lambda objects: None,
    coverage: Coverage = COVERAGE,
) -> Output:
    """Return the calibrated output of a model for prepared light curves; see `classify` for the parameters.

    Raises
    ------
    ValueError
        If the model is an encoder without classes.
    """
    if not model.classes:
        raise ValueError(
            f"{model.name} is an encoder without classes. Fix: use it to start a training ([training] init)"
        )
    n, classes = len(prepared), len(model.classes)
    passes = passes if model.stochastic else 0
    mean, spread = np.full((2, n, classes), np.nan)
    information, targets = np.full(n, np.nan), np.full((n, len(model.config.targets)), np.nan)
    embedding = np.full((n, model.embedding_size), np.nan, np.float32)
    logits = np.full((n, classes), np.nan, np.float32)
    novelty = np.full(n, np.nan) if "one_pass" in model.calibration.novelty else None
    pairs = np.full((n, *model.pairs), np.nan, np.float32)
    scaling = model.calibration.scaling("monte_carlo" if passes else "one_pass")
    usable = np.flatnonzero(prepared.usable)
    lengths = rounded_up(prepared.padded[usable], gpu.frame_multiple(model.device))
    buckets = length_buckets(lengths, _points(model) // max(passes, 1), len(usable))
    batches = prefetch(lambda rows: model.batch(prepared, rows), (usable[part] for part in buckets), model.device)
    for rows, host_batch in batches:
        batch = host_batch.to(model.device)
        output = model.run_batch(batch)
        logits[rows], embedding[rows], targets[rows] = output.logits, output.embedding, output.targets
        pairs[rows] = output.pairs
        if novelty is not None:
            novelty[rows] = model.novelty("one_pass", output.features, output.logits, prepared.n_points[rows])
        samples = monte_carlo(model, prepared, rows, passes, seed, batch) if passes else logits[None, rows]
        mean[rows], spread[rows], information[rows] = summarise(scaling.probabilities(samples))
        tick(len(rows))
    tick(n - len(usable))
    return Output(
        mean,
        entropy(mean),
        logits,
        embedding,
        model.parameters(targets),
        spread if passes else None,
        information if passes else None,
        novelty,
        model.prediction_sets("monte_carlo" if passes else "one_pass", mean, prepared.n_points, coverage),
        coverage,
        model.periods(pairs, mean, getattr(prepared, "candidates", None)),
    )


def _points(model: Model) -> int:
    """Return the padded points in one call of the network."""
    return gpu.points_at_once(model.device, "inference", POINTS)


@torch.inference_mode()
def monte_carlo(
    model: Model,
    prepared: Prepared,
    rows: NDArray[np.int64],
    passes: int,
    seed: int,
    batch: Any = None,
) -> NDArray[np.float32]:
    """Return the logits (S, B, C) of ``passes`` passes with dropout on, computed as batches of repeated rows.

    Passes of long light curves are divided among several calls, with the same masks. ``batch`` is that of the
    ``rows``, built by default.
    """
    batch = cast(Batch, model.batch(prepared, rows).to(model.device) if batch is None else batch)
    chunk = int(np.clip(_points(model) // batch.time.numel(), 1, passes))
    names = prepared.object_id.take(rows).to_pylist()
    results = []
    for first in range(0, passes, chunk):
        numbers = range(first, min(first + chunk, passes))
        with model.autocast():
            output = threads.run(model.network, batch, len(numbers), row_keys(names, numbers, seed))
        logits = output.logits.float().cpu().numpy()  # (B * S', C)
        results.append(logits.reshape(len(rows), len(numbers), -1).swapaxes(0, 1))
    return np.concatenate(results)


@torch.inference_mode()
def step_probabilities(model: Model, steps: Prepared) -> NDArray[np.float32]:
    """Return the probabilities of a multi-band model after every step, from the observations up to it.

    Parameters
    ----------
    model : Model
    steps : Steps
        Of n objects, M in all.

    Returns
    -------
    float32 (M, C)
        Calibrated class probabilities, in the order of the steps; NaN for objects that can't be classified. After an
        object's last step they are those of `classify`.

    Raises
    ------
    TypeError
        If it is no multi-band model.
    """
    if not isinstance(model.network, Multiband) or not isinstance(steps, Steps):
        raise TypeError(
            f"{model.name} classifies complete light curves: only multi-band models have output at every step"
        )
    result = np.full((len(steps.window), len(model.classes)), np.nan, np.float32)
    usable = np.flatnonzero(steps.usable)
    for part in length_buckets(steps.padded[usable], POINTS, len(usable)):
        points, _ = ragged.gather(usable[part], steps.offsets)
        logits = model.network(steps.batch(usable[part]).to(model.device)).logits.double().cpu().numpy()
        result[points] = model.calibration.one_pass.probabilities(logits)
    return result


# ---- checks of the input --------------------------------------------------------------------------------------------


class InputChecks:
    """Warnings about light curves of another kind than a model's training set, each given once.

    Parameters
    ----------
    config : BundleConfig
        Of the model.
    warn : callable
        Called with a text and its parameters, as a logger's method.
    """

    def __init__(self, config: BundleConfig, warn: Callable[..., None] = log.warning) -> None:
        self.config, self._warn = config, warn
        self._messages: set[tuple[object, ...]] = set()
        self._bands: set[str] = set()

    @classmethod
    def silent(cls, config: BundleConfig) -> InputChecks:
        """Return checks without warnings, for light curves that are checked elsewhere."""
        return cls(config, lambda *message: None)

    def warn(self, *message: object) -> None:
        """Give a warning unless it has been given before."""
        if message not in self._messages:
            self._messages.add(message)
            self._warn(*message)

    def check(self, curves: LightCurves) -> None:
        """Check the photometry, the unit and the bands of light curves."""
        observed = [curves.bands[b] for b in np.unique(curves.band)]
        new = [band for band in observed if band not in self._bands]
        self.check_photometry(curves)
        self.check_unit(curves.unit)
        self.check_bands(new, bool(new) and bool(curves.has_several_bands.any()))

    def check_photometry(self, curves: LightCurves) -> None:
        """Warn if light curves state another photometry than the model's."""
        flux = self.config.flux_kind
        n = int(stated_otherwise(curves, flux).sum())
        if n:
            text = "%d light curves are not of %s photometry, which %s was trained on. Fix: take that from the source "
            self.warn(text + "(--flux), or use another model", n, flux, self.config.name)

    def check_unit(self, unit: str) -> None:
        """Warn if one of model and light curves is in magnitudes and the other is not."""
        config = self.config
        if getattr(config.preprocessing, "unit", None) == AB_FLUX and unit == "mag":
            return  # the model takes both
        if "unknown" not in (config.unit, unit) and config.unit.startswith("mag") != unit.lower().startswith("mag"):
            self.warn(
                "%s was trained on %s (%s, band %s), and these light curves are in %s: its probabilities may not hold",
                config.name,
                config.trained_on,
                config.unit,
                "/".join(config.bands),
                unit,
            )

    def check_bands(self, bands: Sequence[str], several: bool = False) -> None:
        """Warn about observations in bands that a multi-band model lacks, or that another model combines.

        Parameters
        ----------
        bands : list of str
        several : bool
            Whether a light curve has observations in more than one of them.
        """
        self._bands.update(bands)
        name, model_bands = self.config.name, getattr(self.config.preprocessing, "bands", None)
        if self.config.family == "variables":
            return  # joins whatever bands there are, as in its training
        if self.config.family != "multiband":
            if several and not model_bands:
                self.warn(
                    "light curves in %s: %s combines their bands, each less its median. To use one band: --band %s",
                    ", ".join(bands),
                    name,
                    bands[0],
                )
            return
        unknown, expected = [band for band in bands if band not in (model_bands or ())], ", ".join(model_bands or ())
        if unknown == [NO_BAND]:
            text = "observations without a band are left out: %s has %s. Fix: name the band, e.g. --band %s"
            self.warn(text, name, expected, (model_bands or ("",))[0])
        elif unknown:
            self.warn(
                "observations in %s are left out: %s has %s. If one of these is meant: --band %s=%s",
                ", ".join(unknown),
                name,
                expected,
                unknown[0],
                next(
                    (band for band in model_bands or () if band.lower() == unknown[0].lower()), expected.split(",")[0]
                ),
            )
