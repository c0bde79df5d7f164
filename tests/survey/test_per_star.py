"""One row per star: of one light curve it is itself, of many it doesn't depend on their order."""

import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.data.formats import Rows
from goodricke.data.predictions import Predictions
from goodricke.data.taxonomy import Taxonomy
from goodricke.survey.per_star import FLOOR, per_star
from goodricke.survey.shards import Catalog, catalog_rows
from goodricke.uncertainty.entropy import entropy
from tests.making import predictions_of
from tests.survey.prediction_tables import CLASSES, predictions, rows

P = [f"p_{c}" for c in CLASSES]
HOWS = ("best", "mean")


def merged(table: pa.Table, how: str, star: str = "object_id") -> list[dict]:
    found = per_star(Rows.from_table(table, {}), how, star).table()
    return sorted(found.to_pylist(), key=lambda row: (row[star] is None, row[star], str(row)))


@pytest.mark.parametrize("how", HOWS)
def test_a_star_of_one_light_curve_is_that_light_curve(how):
    table = predictions(50).table
    found = per_star(Rows.from_table(table, {}), how).table()
    same = [n for n in table.column_names if n in found.column_names]
    assert found.select(same).equals(table.select(same))
    ok = [status == "OK" for status in table["status"].to_pylist()]
    assert found["n_light_curves"].to_pylist() == [1] * 50
    assert found["n_classified"].to_pylist() == [int(x) for x in ok]
    assert found["agreement"].to_pylist() == [1.0 if x else None for x in ok]
    assert set(table.column_names) - set(same) == (
        {"std_EA", "std_RRAB", "std_ROT", "mutual_information", "aleatoric_entropy"} if how == "mean" else set()
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(HOWS), st.sampled_from(["object_id", "tic_id"]))
def test_the_order_of_the_rows_makes_no_difference(seed, how, star):
    table = predictions(80, stars=15, seed=seed).table
    table = pa.concat_tables([table, table.slice(0, 20)])  # and light curves that are there twice
    order = np.random.default_rng(seed).permutation(len(table))
    assert merged(table, how, star) == merged(table.take(order), how, star)


@pytest.mark.parametrize("how", HOWS)
def test_light_curves_that_tie_are_told_apart_by_what_else_is_known_of_them(how):
    table = predictions(2, stars=1, failed=0).table.take([0, 0])
    table = table.set_column(table.column_names.index("sector"), "sector", pa.array([7, 3], pa.int32()))
    for order in ([0, 1], [1, 0]):
        assert [row["sector"] for row in merged(table.take(order), how)] == [3]


def test_the_best_is_the_surest_light_curve_as_it_is():
    table = predictions(200, stars=30).table
    found = {row["object_id"]: row for row in merged(table, "best")}
    for name, group in table.to_pandas().groupby("object_id"):
        own = group[group["status"] == "OK"]
        row = found[name]
        assert row["n_light_curves"] == len(group)
        assert row["n_classified"] == len(own)
        if len(own):
            best = own.loc[own["p_max"].idxmax()]
            assert (row["p_max"], row["class"], row["sector"]) == (best["p_max"], best["class"], best["sector"])
            assert row["agreement"] == np.float32((own["class"] == best["class"]).mean())
            assert row["embedding"] == best["embedding"].tolist()


def test_the_mean_is_that_of_the_logarithms():
    table = predictions(200, stars=30).table
    found = {row["object_id"]: row for row in merged(table, "mean")}
    several = 0
    for name, group in table.to_pandas().groupby("object_id"):
        own, row = group[group["status"] == "OK"], found[name]
        if not len(own):
            continue
        several += len(own) > 1
        p = np.exp(np.log(np.maximum(own[P].to_numpy(float), FLOOR)).mean(0))
        p /= p.sum()
        assert [row[n] for n in P] == pytest.approx(p.tolist(), abs=1e-6)
        assert row["class"] == CLASSES[p.argmax()]
        assert row["p_max"] == pytest.approx(p.max(), abs=1e-6)
        assert row["entropy"] == pytest.approx(entropy(p), abs=1e-5)
        assert row["n_obs"] == own["n_obs"].sum()
        assert row["pred_period"] == pytest.approx(own["pred_period"].mean())
        assert row["agreement"] == pytest.approx((own["class"] == row["class"]).mean())
    assert several > 10


def test_one_light_curve_cannot_rule_a_class_out():
    table = predictions(5, stars=1, failed=0).table
    for name, values in zip(P, ([1, 0.1, 0.1, 0.1, 0.1], [0, 0.9, 0.9, 0.9, 0.9], [0] * 5), strict=True):
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.float32()))
    (row,) = merged(table, "mean")
    assert 0 < row["p_RRAB"] < row["p_EA"]
    assert np.isfinite(row["entropy"])


@pytest.mark.parametrize("how", HOWS)
def test_a_star_that_was_never_classified_keeps_a_row_and_its_status(how):
    table = predictions(40, stars=5, failed=1).table
    found = merged(table, how)
    assert {row["status"] for row in found} == {"TOO_FEW_POINTS"}
    assert sum(row["n_light_curves"] for row in found) == 40
    for row in found:
        own = table.filter(pc.equal(table["object_id"], row["object_id"]))
        assert row["n_obs"] == pc.max(own["n_obs"]).as_py()
        assert [row[n] for n in ("class", "p_max", "entropy", "agreement", *P)] == [None] * 7


@pytest.mark.parametrize("how", HOWS)
def test_rows_without_a_star_are_stars_of_their_own(how):
    table = predictions(100, stars=10).table
    found = merged(table, how, "tic_id")
    alone = [row for row in found if row["tic_id"] is None]
    assert len(alone) == table["tic_id"].null_count
    assert {row["n_light_curves"] for row in alone} == {1}
    assert len(found) == len(alone) + len(set(table["tic_id"].drop_null().to_pylist()))


@pytest.mark.parametrize("how", HOWS)
def test_no_light_curve_makes_no_star(how):
    found = per_star(Rows.from_table(predictions(3).table.slice(0, 0), {}), how)
    assert found.count == len(found.table()) == 0
    assert found.table().schema.equals(found.schema)
    assert {"n_light_curves", "agreement"} <= set(found.schema.names)


def test_what_was_done_is_said_and_what_cannot_be_done_too():
    assert per_star(rows(predictions()), "mean").about["per_star"].startswith("mean")
    with pytest.raises(ValueError, match=r"no column gaia .* object_id"):
        per_star(rows(predictions()), "best", "gaia")
    with pytest.raises(ValueError, match="best or mean"):
        per_star(rows(predictions()), "sum")


def test_a_hundred_thousand_rows_take_no_loop_over_stars():
    table = predictions(100_000, stars=30_000).table
    begun = time.perf_counter()
    assert per_star(Rows.from_table(table, {}), "mean").table().num_rows < 30_001
    assert time.perf_counter() - begun < 10  # under a second where nothing else runs


# ---- models with a taxonomy ------------------------------------------------------------------------------------------

LEAVES = ("EA", "EB", "EW", "RRAB", "AGN")


def of_leaves(n: int = 120, stars: int = 20) -> Predictions:
    """Return predictions of a model with a taxonomy about n light curves of some stars."""
    rng = np.random.default_rng(5)
    p, ids = rng.dirichlet(np.ones(len(LEAVES)) / 2, n), [f"S{s}" for s in rng.integers(0, stars, n)]
    tree = Taxonomy.shipped().restricted(LEAVES)
    status = np.where(rng.random(n) < 0.1, "EMPTY", "OK")
    return predictions_of(ids, status, LEAVES, p, rng.integers(5, 500, n), taxonomy=tree, model="v", model_hash="0")


@pytest.mark.parametrize("written", [False, True])
def test_nodes_and_class_of_a_star_are_those_of_its_mean(tmp_path, written):
    """All columns of the merged row are of one set of probabilities, as if these had been a model's output."""
    made = of_leaves()
    rows_in = Rows.from_table(made.table, {})
    if written:
        made.write(tmp_path / "p.parquet")
        rows_in = catalog_rows(Catalog.open(tmp_path / "p.parquet"))
    found = per_star(rows_in, "mean").table()
    ok = found.filter(pc.equal(found["status"], "OK"))
    p = np.stack([ok[f"p_{name}"].to_numpy() for name in LEAVES], 1).astype(float)
    tree = Taxonomy.shipped().restricted(LEAVES)
    again = predictions_of(["x"] * len(ok), ["OK"] * len(ok), LEAVES, p, [1] * len(ok), taxonomy=tree).table
    for name in ("class", "leaf"):
        assert ok[name].to_pylist() == again[name].to_pylist()
    numbers = ["class_probability", "p_max", *(f"node_{n}" for n in tree.nodes if n != tree.root)]
    for name in numbers:
        np.testing.assert_allclose(ok[name].to_numpy(), again[name].to_numpy(), atol=1e-6)
    assert "uncertain" in ok["class"].to_pylist()
    assert set(ok["class"].to_pylist()) - set(LEAVES) - {"uncertain"} <= set(tree.nodes)


def with_periods(period: list[float | None], error: list[float | None]) -> pa.Table:
    table = predictions(len(period), stars=1, failed=0).table
    lists = pa.array([[2 * (x or 1), None, None] for x in period], pa.list_(pa.float64(), 3))
    columns = {
        "period": pa.array(period, pa.float64()),
        "period_error": pa.array(error, pa.float64()),
        "period_probability": pa.nulls(len(period), pa.float32()),
        "period_alternatives": lists,
        "dominant_frequency": pa.array([None if x is None else 1 / x for x in period], pa.float64()),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def test_the_period_of_a_star_is_the_one_in_which_most_light_curves_agree():
    table = with_periods([1.2650, 2.5301, 1.2652, 1.2654, None], [1e-4, 1e-5, 1e-4, 1e-4, None])
    for order in ([0, 1, 2, 3, 4], [4, 3, 1, 2, 0]):
        [row] = merged(table.take(order), "mean")
        assert row["period"] == pytest.approx(1.2652, abs=1e-6)
        assert row["n_same_period"] == 3
        assert row["period_error"] == pytest.approx(2e-4 / np.sqrt(3) / np.sqrt(1), rel=0.01)
        assert row["dominant_frequency"] == pytest.approx(1 / 1.2652, rel=1e-3)


def test_a_star_without_any_period_has_none():
    [row] = merged(with_periods([None, None], [None, None]), "mean")
    assert row["period"] is None
    assert row["n_same_period"] == 0


def test_other_periods_of_a_light_curve_that_disagrees_are_left_out():
    table = with_periods([1.2650, 1.2652, 2.5301], [1e-4, 1e-4, 1e-4])
    best = int(np.argmax(table["p_max"].to_numpy()))
    [row] = merged(table, "mean")
    assert (row["period_alternatives"] is None) == (best == 2)
