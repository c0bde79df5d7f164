import gzip
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from goodricke.io import read
from goodricke.io.fits import FitsFile
from goodricke.io.options import Unreadable

from .conftest import write_fits


def open_fits(path):
    return FitsFile(str(path), path.read_bytes())


def write_columns(path, *columns, **header):
    """Write a table of astropy columns; keywords of the header are set after that, so that nothing is converted."""
    table = fits.BinTableHDU.from_columns(columns)
    table.writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[1].header.update(header)
    return path


def test_every_column_type(tmp_path):
    columns = {
        "D": np.array([1.5, np.nan]),
        "E": np.array([2.5, np.inf], "f4"),
        "I": np.array([-1, 2], "i2"),
        "J": np.array([-3, 4], "i4"),
        "K": np.array([1 << 60, 5], "i8"),
        "A": np.array(["a b", "c"]),
    }
    table = open_fits(write_fits(tmp_path / "types.fits", {}, columns)).tables[0]
    assert table.plain_names == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(table[name], column)
        assert table[name].dtype.isnative
        assert table[name].dtype == column.dtype
    assert set(table.columns_read) == set(columns)


def test_header_values(tmp_path):
    primary = {"LONG": "it's", "FLAG": True, "EXPO": 1e-5, "EMPTY": "", "NOTHING": None, "WORDS": "long " * 20}
    file = open_fits(write_fits(tmp_path / "a.fits", primary, {"TIME": np.arange(3.0)}, {"BJDREFI": 2457000}))
    assert [file.get(key) for key in ("LONG", "FLAG", "EXPO", "EMPTY", "NOTHING", "ABSENT")] == [
        *("it's", True, 1e-5),
        *(None, None, None),
    ]
    assert file.text("WORDS") == ("long " * 20).strip()  # spread over two cards
    assert file.get("ABSENT", "BJDREFI") == 2457000  # in the table's header
    assert (file.number("BJDREFI"), file.number("FLAG"), file.text("ABSENT")) == (2457000, None, "")


def test_malformed_value_is_none(tmp_path):
    path = write_fits(tmp_path / "a.fits", {"SECTOR": 12345}, {"TIME": np.arange(3.0)})
    path.write_bytes(path.read_bytes().replace(b"12345", b"1.2.3"))
    assert open_fits(path).get("SECTOR") is None


def test_unsigned_and_null_integers(tmp_path):
    unsigned = fits.Column("u", "J", bzero=2**31, array=np.array([0, 2**32 - 1], "u4"))
    large = fits.Column("k", "K", bzero=2**63, array=np.array([0, 2**64 - 1], "u8"))
    null = fits.Column("n", "J", null=-99, array=np.array([7, -99], "i4"))
    table = open_fits(write_columns(tmp_path / "u.fits", unsigned, large, null)).tables[0]
    assert table["u"].tolist() == [0, 2**32 - 1]
    assert table["k"].tolist() == [0, 2**64 - 1]
    np.testing.assert_array_equal(table["n"], [7, np.nan])


def test_scaled_columns(tmp_path):
    """TSCAL and TZERO make physical values of the numbers; TNULL is one of the numbers."""
    made = [
        fits.Column("mag", "I", null=-1, array=np.array([4000, -1, 6000], "i2")),
        fits.Column("time", "E", array=np.array([0, 1, 2], "f4")),
    ]
    scaling = {"TSCAL1": 0.001, "TZERO1": 10.0, "TZERO2": 59000.0}
    path = write_columns(tmp_path / "s.fits", *made, **scaling)
    np.testing.assert_allclose(open_fits(path).tables[0]["mag"], [14, np.nan, 16])
    curves = read(path)
    assert curves.time.tolist() == [59000, 59002]
    np.testing.assert_allclose(curves.value, [14, 16], rtol=1e-6)
    assert (curves.column("n_read").tolist(), curves.column("n_used").tolist()) == ([3], [2])


def test_columns_of_vectors_lists_bits_and_truth(tmp_path):
    """They do no harm beside a light curve, and are refused as one."""
    n = 3
    made = [
        fits.Column("bits", "5X", array=np.ones((n, 5), bool)),
        fits.Column("pixels", "6E", dim="(3,2)", array=np.ones((n, 2, 3))),
        fits.Column("lists", "PE()", array=np.array([np.ones(i) for i in range(n)], object)),
        fits.Column("wave", "C", array=np.ones(n, "c8")),
        fits.Column("mjd", "D", array=59000.0 + np.arange(n)),
        fits.Column("good", "L", array=np.array([True, False, True])),
        fits.Column("mag", "E", array=np.arange(n)),
    ]
    path = write_columns(tmp_path / "v.fits", *made)
    table = open_fits(path).tables[0]
    assert table.plain_names == ["mjd", "good", "mag"]
    assert table["good"].tolist() == [True, False, True]
    with pytest.raises(Unreadable, match="column pixels is not one number per row"):
        table["PIXELS"]
    curves = read(path)
    assert curves.time.tolist() == [59000, 59001, 59002]
    assert curves.value.tolist() == [0, 1, 2]


def test_columns_in_any_case_and_missing_ones(tmp_path):
    table = open_fits(write_fits(tmp_path / "a.fits", {}, {"Time": np.arange(3.0)}, {"TUNIT1": "odd, unit"})).tables[0]
    assert table["TIME"].tolist() == [0, 1, 2]
    assert table.unit("TIME") == "odd, unit"
    assert table.get("flux") is None
    with pytest.raises(Unreadable, match="no column FLUX; it has Time"):
        table["FLUX"]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.9])
def test_cut_short(tmp_path, fraction):
    raw = write_fits(tmp_path / "a.fits", {}, {"TIME": np.arange(3000.0)}).read_bytes()
    with pytest.raises(Unreadable, match=r"cut short|broken or unfinished header"):
        FitsFile("a.fits", raw[: int(fraction * len(raw))])


def test_only_the_last_padding_may_be_missing(tmp_path):
    raw = write_fits(tmp_path / "a.fits", {}, {"TIME": np.arange(1.0, 4.0)}).read_bytes()
    end = len(raw) - 2880 + 24
    assert FitsFile("a.fits", raw[:end]).tables[0]["TIME"].tolist() == [1, 2, 3]
    with pytest.raises(Unreadable, match="cut short"):
        FitsFile("a.fits", raw[: end - 1])
    for rubbish in (b"\0" * 2880, b" " * 100, b"hello"):
        assert FitsFile("a.fits", raw + rubbish).tables[0].length == 3


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"BITPIX  =                    8", b"BITPIX  =                    x", r"header \(the primary header\)"),
        (b"NAXIS2  =                 1234", b"NAXIS2  =                 12x4", r"header \(extension 1\)"),
        (b"NAXIS2  =                 1234", b"NAXIS2  =  9223372036854775807", r"header \(extension 1\)"),
        (b"NAXIS2  =                 1234", b"NAXIS2  =                -1234", r"header \(extension 1\)"),
        (b"NAXIS1  =                    8", b"NAXIS1  =                    7", r"columns of 8 bytes in rows of 7"),
        (b"TFORM1  = 'D ", b"TFORM1  = 'W ", "has a broken table"),
        (b"TFIELDS =                    1", b"TFIELDS =                    x", "has a broken table"),
    ],
)
def test_broken_headers(tmp_path, old, new, reason):
    path = write_fits(tmp_path / "a.fits", {}, {"TIME": np.arange(1234.0)})
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))
    with pytest.raises(Unreadable, match=reason):
        read(path)


def test_gzip(tmp_path):
    path = write_fits(tmp_path / "a.fits", {}, {"mjd": np.arange(3.0), "mag": np.ones(3)})
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert read(path).value.tolist() == [1, 1, 1]
    path.write_bytes(packed[:-20])
    with pytest.raises(Unreadable, match="damaged gzip file"):
        read(path)


def test_threads_leave_the_filters_of_warnings_alone(qlp_file):
    path = qlp_file()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            assert len(list(pool.map(read, [path] * 100))) == 100
        assert warnings.filters == before
