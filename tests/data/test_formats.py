"""What is written is what is read back, and validators find nothing to object to."""

import io
import shutil
import subprocess
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.io.votable import ucd, validate
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.data.formats import WRITERS, Rows, check, describe, write
from goodricke.data.formats.metadata import COLUMNS, PATTERNS, SURVEY_COLUMNS, spell_unit

FORMATS = tuple(WRITERS)
ASTROPY = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}
ABOUT = {"goodricke": "1.2.3", "model": "tiny", "model_hash": "0123456789ab", "settings": '{"passes": 20}'}
ABOUT["thresholds"] = '{"classes": "' + 40 * "RRAB 0.95, " + '"}'  # longer than a card of FITS


def everything(n: int = 3) -> pa.Table:
    """Return a column of every kind that a table of predictions may hold; the second row knows nothing."""
    which = [k % 3 for k in range(n)]

    def take(values, kind=None):
        return pa.array([values[k] for k in which], kind)

    embedding, periods = (
        [[0.5, -1e-30, 0.0, 1.0], None, [np.nan, 3.0, 2.0, 1.0]],
        [[1 / 3, 0.7, 1e9], None, [2.5, np.nan, np.nan]],
    )
    return pa.table(
        {
            "object_id": pa.array([f"{k:06d}" for k in range(n)]),
            "status": take(["OK", "EMPTY", "OK"]),
            "class": take(["RRAB", None, "EA & <EB> \"'"]),
            "p_RRAB": take([0.1, None, 1 / 3], pa.float32()),
            "p_max": take([0.1, None, 1 - 1e-7], pa.float32()),
            "teff_gspphot": take([5000.123456789, None, 1e-300], pa.float64()),
            "embedding": take(embedding, pa.list_(pa.float32(), 4)),
            "period_alternatives": take(periods, pa.list_(pa.float64(), 3)),
            "n_obs": take([5, None, -(2**31)], pa.int32()),
            "tic_id": take([2**60 + 1, None, 3], pa.int64()),
            "sector": take([200, None, 0], pa.uint8()),
            "short": take([-5, None, 7], pa.int8()),
            "wide": take([2**32 - 1, None, 3], pa.uint32()),
            "flag": take([True, None, False]),
            "half": take([0.5, None, 1.5], pa.float16()),
            "category": take(["u", None, "v"]).dictionary_encode(),
            "date": take([0, None, 1], pa.timestamp("us")),
            "nothing": pa.nulls(n),
            "σ Ori": take(["β Lyr", None, "x"]),
            "ra": take([150.25, None, 0.0], pa.float64()),
        }
    )


def opened(path) -> Table:
    if path.suffix not in ASTROPY:
        return Table.from_pandas(pd.read_csv(path, dtype={"object_id": str, "tic_id": "Int64"}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of FITS's unknown truth values
        table = Table.read(path, format=ASTROPY[path.suffix])
    table.convert_bytestring_to_unicode()
    return table


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s != ".parquet"])
def test_every_kind_of_column_comes_back_with_its_values_and_its_gaps(suffix, tmp_path):
    table = everything()
    write(Rows.from_table(table, ABOUT), tmp_path / f"x{suffix}")
    found = opened(tmp_path / f"x{suffix}")
    for name in table.column_names:
        column = {".fits": name.replace("σ", "\\u03c3"), ".vot": name.replace("σ ", "__")}.get(suffix, name)
        if name == "embedding":
            assert (column in found.colnames) == (suffix in (".fits", ".vot"))
            continue
        if name == "period_alternatives":
            assert_periods_are_read_back([table[name][k].as_py() for k in (0, 2)], found[column])
            continue
        values = table[name].to_pylist()
        unknown = [bool(np.ma.is_masked(x)) or x in ("", None) or x != x for x in found[column]]
        if (name, suffix) not in {("flag", ".fits"), ("nothing", ".csv")}:  # astropy reads no unknown truth values
            assert unknown == [v is None for v in values], name
        for got, value in zip(found[column], values, strict=True):
            if value is None or name in ("date", "σ Ori"):
                continue
            if isinstance(value, float):
                assert np.float32(got) == np.float32(value) if table[name].type == pa.float32() else got == value
            else:
                assert got == value, name


def assert_periods_are_read_back(written, column) -> None:
    """Check lists of three numbers, which are text in CSV, and the gap between them."""
    for k, numbers in zip((0, 2), written, strict=True):
        got = column[k].split("|") if isinstance(column[k], str) else np.ma.filled(column[k], np.nan)
        got = np.array([*map(float, got), np.nan, np.nan])[:3]
        np.testing.assert_array_equal(got, numbers)
    gap = column[1]
    assert np.ma.is_masked(gap) or gap is None or np.isnan(np.ma.filled(np.asarray(gap, float), np.nan)).all()


def test_parquet_keeps_everything_as_it_is(tmp_path):
    table = everything(40_000)
    write(Rows.from_table(table, ABOUT), tmp_path / "x.parquet")
    found = pq.read_table(tmp_path / "x.parquet")
    assert found.schema.equals(table.schema)
    assert str(found.to_pydict()) == str(table.to_pydict())  # NaN is not equal to itself
    schema = pq.read_schema(tmp_path / "x.parquet")
    assert {k: schema.metadata[k.encode()].decode() for k in ABOUT} == ABOUT
    assert schema.field("ra").metadata[b"unit"] == b"deg"


def test_parquet_tells_units_and_ucds_as_the_ivoa_wants(tmp_path):
    write(Rows.from_table(everything(), ABOUT), tmp_path / "x.parquet")
    told = pq.read_schema(tmp_path / "x.parquet").metadata[b"IVOA.VOTable-Parquet.content"]
    found = votable.parse(io.BytesIO(told), verify="exception").get_first_table()
    fields = {f.name: (str(f.unit or ""), f.ucd or "", f.description or "") for f in found.fields}
    assert fields["ra"] == ("deg", "pos.eq.ra;meta.main", "Right ascension")
    assert fields["p_RRAB"][1:] == ("stat.probability;src.class", "Probability of class RRAB")


@pytest.mark.parametrize("suffix", ASTROPY)
def test_every_column_carries_unit_ucd_and_description(suffix, tmp_path):
    table = everything().drop_columns(["σ Ori"])
    write(Rows.from_table(table, ABOUT), tmp_path / f"x{suffix}")
    found = opened(tmp_path / f"x{suffix}")
    for name in found.colnames:
        meaning, column = describe(name), found[name]
        assert (column.info.unit or "") == meaning.unit, name
        assert (column.info.meta or {}).get("ucd", "") == meaning.ucd, name
        assert " ".join((column.info.description or "").split()) == meaning.description, name
    assert {describe(n).unit for n in table.column_names} > {"K", "deg"}


def test_what_is_said_of_the_whole_is_in_the_head(tmp_path):
    for suffix in FORMATS:
        write(Rows.from_table(everything(), ABOUT), tmp_path / f"x{suffix}")
    header = fits.getheader(tmp_path / "x.fits", 1)
    assert (header["MODEL"], header["MODHASH"], header["CREATOR"]) == ("tiny", "0123456789ab", "goodricke 1.2.3")
    assert header["THRESH"] == ABOUT["thresholds"]
    infos = votable.parse(tmp_path / "x.vot").resources[0].infos
    assert {info.name: info.value for info in infos} == ABOUT
    assert dict(opened(tmp_path / "x.ecsv").meta) == ABOUT


def test_the_votable_validates_without_a_warning(tmp_path):
    write(Rows.from_table(everything(100), ABOUT), tmp_path / "x.vot")
    told = io.StringIO()
    assert validate(tmp_path / "x.vot", told), told.getvalue()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = votable.parse(tmp_path / "x.vot", verify="exception").get_first_table()
    assert table.nrows == 100


def test_the_fits_file_passes_astropys_verification(tmp_path):
    write(Rows.from_table(everything(100), ABOUT), tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as file:
        file.verify("exception")
        assert file[1].header["NAXIS2"] == len(file[1].data) == 100
    assert (tmp_path / "x.fits").stat().st_size % 2880 == 0


def test_fitsverify_finds_no_error_and_no_warning(tmp_path):
    if not shutil.which("fitsverify"):
        pytest.skip("no fitsverify on this machine (Debian's package fitsverify)")
    table = everything(100).rename_columns([n.replace("σ Ori", "greek") for n in everything().column_names])
    write(Rows.from_table(table, ABOUT), tmp_path / "x.fits")
    told = subprocess.run(["fitsverify", tmp_path / "x.fits"], capture_output=True, text=True).stdout
    assert "0 warning(s) and 0 error(s)" in told, told


def test_stilts_reads_the_votable_without_complaint(tmp_path):
    if not shutil.which("stilts"):
        pytest.skip("no STILTS on this machine (Debian's package stilts)")
    write(Rows.from_table(everything(100), ABOUT), tmp_path / "x.vot")
    told = subprocess.run(["stilts", "votlint", tmp_path / "x.vot"], capture_output=True, text=True)
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_names_that_differ_by_case_are_told_apart_in_fits(tmp_path):
    write(Rows.from_table(pa.table({"A1": [1.0], "a1": [2.0], "a1_2": [3.0]}), {}), tmp_path / "x.fits")
    assert Table.read(tmp_path / "x.fits").colnames == ["A1", "a1_2", "a1_2_2"]


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "vot"])
@pytest.mark.parametrize("values", [[2**64 - 1, None, 5], [5, None, 2**63 - 1]])
def test_numbers_without_a_sign_are_written_whatever_their_size(tmp_path, suffix, values):
    rows = Rows.from_table(pa.table({"big": pa.array(values, pa.uint64())}), {})
    write(rows, tmp_path / f"x.{suffix}")
    if suffix == "csv":
        big = pd.read_csv(tmp_path / "x.csv", dtype=str, keep_default_na=False)["big"].tolist()
    else:
        big = Table.read(tmp_path / f"x.{suffix}")["big"].tolist()
    assert [str(x) for x in big if x not in ("", None)] == [str(x) for x in values if x is not None]


def test_a_column_that_a_format_can_t_hold_costs_no_other(tmp_path, caplog):
    huge = pa.array([b"\xff\xfe"], pa.binary(2))
    table = pa.table({"id": ["a"], "raw": huge})
    write(Rows.from_table(table, {}), tmp_path / "x.csv")
    assert pd.read_csv(tmp_path / "x.csv")["id"].tolist() == ["a"]
    assert "column raw can't be written and stays empty" in caplog.text


def test_the_integer_that_stands_for_none_is_never_one_in_use(tmp_path):
    for kind, low in ((pa.int16(), -(2**15)), (pa.int32(), -(2**31))):
        write(Rows.from_table(pa.table({"x": pa.array([low, None, 5], kind)}), {}), tmp_path / "x.fits")
        assert Table.read(tmp_path / "x.fits")["x"].tolist() == [low, None, 5]


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip).filter(bool)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, st.floats(width=32) | st.none(), st.integers(-(2**63) + 1, 2**63 - 1) | st.none())))
def test_any_text_and_number_survives_a_votable_and_ecsv(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    text, real, whole = zip(*rows, strict=True) if rows else ((), (), ())
    kinds = {"t": pa.string(), "x": pa.float32(), "i": pa.int64()}
    columns = zip(kinds, (text, real, whole), strict=True)
    table = pa.table({k: pa.array(v, kinds[k]) for k, v in columns})
    for suffix in (".vot", ".ecsv"):
        write(Rows.from_table(table, {}), folder / f"x{suffix}")
        found = opened(folder / f"x{suffix}")
        assert [str(x) for x in found["t"]] == list(text), suffix
        np.testing.assert_array_equal(np.ma.filled(found["x"].astype(float), np.nan), table["x"].to_numpy())
        assert [None if np.ma.is_masked(x) else int(x) for x in found["i"]] == list(whole)


def test_every_ucd_is_of_the_controlled_vocabulary_and_every_unit_one_of_vounits():
    for meaning in [*COLUMNS.values(), *SURVEY_COLUMNS.values(), *(m for _, m in PATTERNS)]:
        assert meaning.description
        if meaning.ucd:
            ucd.parse_ucd(meaning.ucd, check_controlled_vocabulary=True)
        for standard in ("fits", "vounit"):
            assert bool(spell_unit(meaning.unit, standard)) == bool(meaning.unit)


def test_a_columns_own_metadata_has_the_last_word():
    told = pa.field("A1", pa.float32(), metadata={"unit": "mag"})
    assert describe(told).unit == "mag"
    assert describe(told).ucd == describe("A1").ucd
    assert spell_unit("mas/yr", "fits") == "mas yr-1"
    assert describe("p_RRAB").description == "Probability of class RRAB"
    assert describe("std_RRAB").description.startswith("Standard deviation of p_RRAB")
    assert describe("p_max").description == "Probability of the most probable class"
    assert describe("of nobody's knowledge") == ("", "", "")


def test_what_can_not_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    check(tmp_path / "new" / "table.csv")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ValueError, match=r"can't write \.xlsx"):
        check(tmp_path / "table.xlsx")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        check(tmp_path / "folder.csv")
    assert caught.value.filename == str(tmp_path / "folder.csv")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # who runs tests as root may write anywhere
    with pytest.raises(PermissionError) as refused:
        check(tmp_path / "table.csv")
    assert refused.value.filename == str(tmp_path)
