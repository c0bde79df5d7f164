"""The answer after every observation of light curves, as a stream would have given it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import stated_otherwise
from goodricke.data.predictions import NODE
from goodricke.inference import InputChecks
from goodricke.models.bundle import Model
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage


def observation_history(curves: LightCurves, model: Model, coverage: Coverage = COVERAGE) -> pa.Table:
    """Return a row for each observation in the model's bands: the answer from all observations up to it.

    Parameters
    ----------
    curves : LightCurves
        Those that state another photometry than the model's have no row.
    model : Model
        A multi-band one.
    coverage : Coverage
        Of the prediction sets.

    Returns
    -------
    pyarrow.Table
        ``object_id``, ``time`` [d], ``band``, ``status``, ``class``, ``p_<CLASS>``, ``p_max``, ``novelty``,
        ``prediction_set`` and ``n_obs``, by object and time; of models with a taxonomy also ``class_probability``,
        ``leaf``, ``node_<NODE>`` and ``prediction_set_node``.

    Raises
    ------
    TypeError
        If the model has no state.
    ValueError
        If it can't use the unit.
    """
    model.init_state(0)  # raises an error if it has none
    model.preprocessing.check_unit(curves)
    InputChecks(model.config).check(curves)
    curves = _usable(curves, model).sorted()
    state, tables, order = model.init_state(len(curves)), [_answers(curves[:0], model, coverage)], [np.zeros(0, int)]
    for k in range(int(curves.n_obs.max(initial=0))):  # the k-th observation of all objects at once
        rows = np.flatnonzero(curves.n_obs > k)
        places = curves.offsets[rows] + k
        columns = [column[places] for column in (curves.time, curves.value, curves.error, curves.band)]
        about = {"bands": curves.bands, "unit": curves.unit, "time_scale": curves.time_scale}
        ids = curves.object_id.take(pa.array(rows))
        points = LightCurves.from_arrays(ids, np.arange(len(rows) + 1), *columns, **about)
        state, predictions = model.update(state, points, rows, coverage=coverage)
        tables.append(_rows(points, predictions.table, model))
        order.append(places)
    return pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(order), kind="stable")))


def _answers(curves: LightCurves, model: Model, coverage: Coverage) -> pa.Table:
    """Return the rows of no observation, which have the columns of all."""
    _, predictions = model.update(model.init_state(0), curves, coverage=coverage)
    return _rows(curves, predictions.table, model)


def _usable(curves: LightCurves, model: Model) -> LightCurves:
    """Return the light curves of the model's photometry, with the finite observations in its bands."""
    curves = curves[~stated_otherwise(curves, model.config.flux_kind)]
    known = np.array([band in getattr(model.preprocessing, "bands", ()) for band in curves.bands], bool)
    return curves.where(known[curves.band] & np.isfinite(curves.time) & np.isfinite(curves.value))


def _rows(points: LightCurves, answers: pa.Table, model: Model) -> pa.Table:
    """Return the answers after one observation of each object, with that observation's time and band."""
    nodes = () if model.config.taxonomy is None else model.config.taxonomy.nodes
    names = ["status", "class", "class_probability", "leaf", *(f"p_{name}" for name in model.classes), "p_max"]
    names += [*(f"{NODE}{name}" for name in nodes), "novelty", "prediction_set", "prediction_set_node", "n_obs"]
    bands = np.array(points.bands, object)[points.band]
    columns = {"object_id": points.object_id, "time": pa.array(points.time), "band": pa.array(bands, pa.string())}
    return pa.table(columns | {name: answers[name] for name in names if name in answers.column_names})
