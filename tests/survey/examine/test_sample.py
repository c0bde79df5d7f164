import numpy as np
import pyarrow as pa
import pytest

from goodricke.survey.examine.sample import HYBRID_SHARE, CatalogSample, join_columns, match_light_curves

from .catalogs import CLASSES, catalog, degenerate, sample, with_stars


def of_probabilities(*rows, **about) -> CatalogSample:
    columns = {f"p_{name}": [row[k] for row in rows] for k, name in enumerate(CLASSES)}
    table = pa.table({"object_id": [str(k) for k in range(len(rows))]} | columns)
    return CatalogSample(table, CLASSES, np.full(len(rows), -1), **about)


def test_one_light_curve_of_each_star_the_most_confident():
    found = sample(catalog(200))
    for star in np.unique(found.star[found.classified]):
        rows = np.flatnonzero((found.star == star) & found.classified)
        assert found.best[rows].sum() == 1
        assert found.p_max[rows[found.best[rows]]] == found.p_max[rows].max()
    assert not (found.best & ~found.classified).any()


def test_classes_and_cuts():
    found = of_probabilities((0.6, 0.3, 0.1), (0.1, 0.85, 0.05), (0.4, 0.3, 0.3), (None, None, None))
    assert found.assigned.tolist() == [0, 1, 0, -1]
    assert found.of_class(0).tolist() == [True, False, True, False]
    assert found.of_class(0, 0.5).tolist() == [True, False, False, False]
    assert np.isnan(found.p_max[3])


def test_hybrids_by_the_two_most_probable_classes():
    found = of_probabilities((0.7, 0.2, 0.1), (0.8, 0.15, 0.05), (0.4, 0.35, 0.25), (0.5, 0.0, 0.5))
    first, second, share = found.shares()
    assert share.tolist() == pytest.approx([0.2 / 0.9, 0.15 / 0.95, 0.35 / 0.75, 0.5])
    assert (first[3], second[3]) == (0, 2)
    assert found.hybrids().tolist() == [True, False, False, True]  # the third is below the cut
    assert share[0] > HYBRID_SHARE > share[1]


def test_hybrids_of_a_pair():
    found = of_probabilities((0.4, 0.35, 0.25), (0.35, 0.05, 0.6), (0.1, 0.8, 0.1), pair=CLASSES[:2])
    share = found.shares()[2]
    assert share[0] == pytest.approx(0.35 / 0.75)
    assert np.isnan(share[1])  # of another class
    assert share[2] == pytest.approx(0.1 / 0.9)
    assert found.hybrids().tolist() == [True, False, False]  # 0.4 + 0.35 together reach 0.5


def test_quantities_under_many_names():
    table = catalog(4).append_column("gaia_teff_gspphot", pa.array([1.0, None, 3.0, 4.0]))
    table = table.append_column("tic_GAIAbp", pa.array([5.0] * 4)).append_column("tic_gaiarp", pa.array([4.0] * 4))
    found = sample(table)
    np.testing.assert_array_equal(found.numbers("teff"), [1, np.nan, 3, 4])
    assert not found.has("bp_rp")
    named = sample(
        table.append_column("gaia_phot_bp_mean_mag", pa.array([5.0] * 4)).append_column("rp", table["tic_gaiarp"])
    )
    np.testing.assert_array_equal(named.numbers("bp_rp"), 1)
    assert not found.has("parallax")


def test_the_catalog_s_own_column_comes_before_a_joined_one():
    table = catalog(2).append_column("gaia_ra", pa.array([1.0, 2.0]))
    assert sample(table).column_of("ra") == "ra"


def test_light_curves_of_one_star_stay_apart():
    table = catalog(10)
    other = table.select(["object_id", "sector"]).append_column("f1", pa.array(np.arange(10.0)))
    order = np.array([3, 1, 0, 2, 9, 8, 7, 6, 5, 4])
    rows = match_light_curves(table, other.take(order))
    assert order[rows].tolist() == list(range(10))
    assert join_columns(table, other.take(order), rows)["f1"].to_pylist() == list(range(10))


def test_light_curves_that_only_their_order_tells_apart():
    table = pa.table({"object_id": ["a", "a", "b", "a"]})
    assert match_light_curves(table, table).tolist() == [0, 1, 2, 3]
    assert match_light_curves(table, table.slice(1)).tolist() == [0, 2, 1, -1]


def test_sources_that_were_moved_do_not_matter():
    table = pa.table({"object_id": ["a", "a"], "source": ["old/1", "old/2"], "sector": [1, 2]})
    other = pa.table({"object_id": ["a", "a"], "source": ["pack", "pack"], "sector": [2, 1]})
    assert match_light_curves(table, other).tolist() == [1, 0]


@pytest.mark.parametrize("name", degenerate())
def test_nothing_fails_on(name):
    found = degenerate()[name]
    assert found.p_max.shape == found.best.shape == found.hybrids().shape == (len(found),)
    assert found.has("f1") == (name not in ("no row", "nothing classified", "nothing joined"))


def test_with_stars_is_a_catalog():
    assert with_stars(catalog(10)).num_rows == 10
