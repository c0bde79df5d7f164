import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.data.identifiers import IdIndex
from goodricke.survey.crossmatch import crossmatch, is_hats, one_to_one, read_near, read_table

ARCSEC = 1 / 3600


def reference(**columns) -> pa.Table:
    return pa.table({"source_id": [11, 12, 13], "ra": [10.0, 10.01, 50.0], "dec": [-5.0, -5.0, 20.0]} | columns)


def test_by_position_every_row_stays_in_order():
    ids = pa.array(["far", "a", "a", "nowhere"])
    ra = np.array([200.0, np.nan, 10.0 + 0.5 * ARCSEC, np.nan])
    dec = np.array([0.0, np.nan, -5.0, np.nan])
    found = crossmatch(ids, ra, dec, reference(teff_gspphot=[5000.0, 6000.0, 7000.0]))
    assert found.table["gaia_teff_gspphot"].to_pylist() == [None, 5000.0, 5000.0, None]
    assert found.table["gaia_separation_arcsec"][2].as_py() == pytest.approx(0.5 * np.cos(np.deg2rad(5)), abs=1e-3)
    assert found.table["gaia_separation_arcsec"][0].as_py() is None
    assert (found.stars, found.matched) == (3, 1)
    assert "2 arcsec" in found.how


def test_radius():
    ids, ra, dec = pa.array(["a"]), np.array([10.0]), np.array([-5.0 + 3 * ARCSEC])
    assert crossmatch(ids, ra, dec, reference()).matched == 0
    assert crossmatch(ids, ra, dec, reference(), radius=4).matched == 1


def test_two_stars_do_not_share_a_row_and_the_closer_gets_it():
    ids, dec = pa.array(["off", "on"]), np.array([-5.0 + 1.5 * ARCSEC, -5.0])
    found = crossmatch(ids, np.array([10.0, 10.0]), dec, reference())
    assert found.table["gaia_source_id"].to_pylist() == [None, 11]


def test_a_star_left_out_gets_the_next_nearest():
    near = pa.table({"source_id": [1, 2], "ra": [10.0, 10.0], "dec": [0.0, 1.5 * ARCSEC]})
    ids, dec = pa.array(["first", "second"]), np.array([0.1 * ARCSEC, 0.3 * ARCSEC])
    found = crossmatch(ids, np.array([10.0, 10.0]), dec, near)
    assert found.table["gaia_source_id"].to_pylist() == [1, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=20), st.integers(0, 99))
def test_rounds_are_the_same_as_one_pair_after_the_other(pairs, seed):
    star, row = (np.array([p[k] for p in pairs], int) for k in (0, 1))
    apart = np.random.default_rng(seed).permutation(len(pairs)).astype(float)
    kept, stars, rows = np.zeros(len(pairs), bool), set(), set()
    for k in np.argsort(apart):
        if star[k] not in stars and row[k] not in rows:
            kept[k] = True
            stars.add(star[k])
            rows.add(row[k])
    np.testing.assert_array_equal(one_to_one(star, row, apart), kept)


def test_by_key_with_the_catalogue_s_name_before_the_number():
    tic = pa.table({"ID": [25155310, 7], "Tmag": [9.5, 12.0], "Teff": [6100.0, None]})
    found = crossmatch(pa.array(["TIC 7", "TIC 25155310", "TIC 9"]), *np.full((2, 3), np.nan), tic)
    assert found.table["tic_tmag"].to_pylist() == [12.0, 9.5, None]
    assert found.table.column_names == ["tic_id", "tic_tmag", "tic_teff"]
    assert "ID" in found.how


def test_ids_that_are_not_the_table_s_do_not_count():
    ids = pa.array(["a", "b", "11"])  # 11 happens to be among the source ids
    found = crossmatch(ids, np.array([10.0, 50.0, 90.0]), np.array([-5.0, 20.0, 0.0]), reference())
    assert found.table["gaia_source_id"].to_pylist() == [11, 13, None]
    assert "position" in found.how


def test_what_is_missing_is_said():
    none = np.full(1, np.nan)
    with pytest.raises(ValueError, match="no ra and dec"):
        crossmatch(pa.array(["a"]), none, none, pa.table({"x": [1]}))
    with pytest.raises(ValueError, match="no key"):
        crossmatch(pa.array(["a"]), none, none, pa.table({"ra": [1.0], "dec": [1.0]}), by="key")
    with pytest.raises(ValueError, match="'auto'"):
        crossmatch(pa.array(["a"]), none, none, reference(), by="luck")


def test_empty_on_either_side():
    nothing = np.zeros(0)
    found = crossmatch(pa.array([], pa.string()), nothing, nothing, reference())
    assert (len(found.table), found.stars) == (0, 0)
    found = crossmatch(pa.array(["a"]), np.array([1.0]), np.array([1.0]), reference().slice(0, 0))
    assert found.table["gaia_source_id"].to_pylist() == [None]


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "csv", "vot", "parquet"])
def test_any_table_is_read(tmp_path, suffix):
    path = tmp_path / f"stars.{suffix}"
    if suffix == "parquet":
        pq.write_table(reference(name=["x", "y", "z"]), path)
    else:
        table = Table({"source_id": [11, 12, 13], "ra": [10.0, 10.01, 50.0], "name": ["x", "y", "z"]})
        table["teff"] = MaskedColumn([5000.0, 0.0, 1.0], mask=[False, True, False])
        table.write(path, format={"vot": "votable", "csv": "ascii.csv", "ecsv": "ascii.ecsv"}.get(suffix))
    found = read_table(path)
    assert list(map(int, found["source_id"].to_pylist())) == [11, 12, 13]  # text files have ids as text
    assert found["name"].to_pylist() == ["x", "y", "z"]
    if suffix != "parquet":
        assert found["teff"].to_pylist() == [5000.0, None, 1.0]


def test_no_table(tmp_path):
    (tmp_path / "x.fits").write_text("nothing")
    with pytest.raises(ValueError, match=r"x\.fits"):
        read_table(tmp_path / "x.fits")


@pytest.mark.parametrize(
    ("table", "wanted", "rows"),
    [
        (["8462852", "9"], ["KIC 08462852", "kic-8462852", "8462852", "08462852"], [0, 0, 0, 0]),
        (["TIC 7", "KIC 7"], ["KIC 7", "TIC 007", "EPIC 7", "7"], [1, 0, -1, 0]),
        (["Gaia EDR3 5", "Gaia DR2 6"], ["gaia dr3 5", "GAIA DR3 6", "6"], [0, -1, 1]),
        (["CSS_J1", "V* XY Lyr"], ["css_j1", "v* xy lyr", "CSS J1", None], [0, 1, -1, -1]),
        ([None, "a", "a"], ["a", None], [1, -1]),
        ([12, 7], ["TIC 7"], [1]),
        ([], ["7"], [-1]),
    ],
)
def test_ids_are_the_same_however_they_are_written(table, wanted, rows):
    assert IdIndex(table).rows_of(pa.array(wanted)).tolist() == rows


def test_hats_by_lsdb_finds_what_the_plain_table_gives(tmp_path):
    lsdb = pytest.importorskip("lsdb")
    rng = np.random.default_rng(0)
    theirs = pa.table(
        {"source_id": np.arange(200), "ra": rng.uniform(10, 10.02, 200), "dec": rng.uniform(-5, -4.98, 200)}
    )
    lsdb.from_dataframe(theirs.to_pandas(), catalog_name="g", margin_threshold=None).write_catalog(tmp_path / "g")
    assert is_hats(tmp_path / "g")
    ra, dec = theirs["ra"].to_numpy()[:40], theirs["dec"].to_numpy()[:40] + rng.normal(0, 0.5, 40) * ARCSEC
    ra, ids = np.append(ra, np.nan), pa.array([str(k) for k in range(41)])
    dec = np.append(dec, np.nan)
    near = read_near(tmp_path / "g", ra, dec)
    assert 40 <= len(near) < 200
    found, plain = (crossmatch(ids, ra, dec, table, by="position").table for table in (near, theirs))
    assert found["gaia_source_id"].to_pylist() == plain["gaia_source_id"].to_pylist()
    with pytest.raises(ValueError, match="by position"):
        read_near(tmp_path / "g", np.full(2, np.nan), np.full(2, np.nan))
