import numpy as np
import pytest
from astropy.io import fits

from goodricke.readers.fits import FitsFile, header_at, value_of
from goodricke.readers.options import Unreadable

from .conftest import write_fits


def open_fits(path):
    return FitsFile(str(path), path.read_bytes())


def assert_twin(path):
    """Everything that this module reads is what astropy reads."""
    ours = open_fits(path)
    with fits.open(path, memmap=False) as theirs:
        tables = [hdu for hdu in theirs if isinstance(hdu, fits.BinTableHDU)]
        assert len(tables) == len(ours.tables)
        twins = [(hdu.header, table.header) for hdu, table in zip(tables, ours.tables, strict=True)]
        for header, twin in [(theirs[0].header, ours.header), *twins]:
            for card in header.cards:
                if card.keyword in ("", "COMMENT", "HISTORY"):
                    continue
                value = None if isinstance(card.value, fits.card.Undefined) or card.value == "" else card.value
                assert value_of(twin, card.keyword.upper()) == value, card
        for hdu, table in zip(tables, ours.tables, strict=True):
            assert table.names == hdu.columns.names
            for name in table.plain_names:
                assert table[name].dtype.isnative
                np.testing.assert_array_equal(table[name], hdu.data[name])


def test_reads_what_astropy_reads(data):
    for path in sorted((data / "formats").glob("*/*.[fF][iI][tT][sS]")):
        assert_twin(path)


def test_every_column_type(tmp_path):
    columns = {
        "D": np.array([1.5, np.nan]),
        "E": np.array([2.5, np.inf], "f4"),
        "I": np.array([-1, 2], "i2"),
        "J": np.array([-3, 4], "i4"),
        "K": np.array([1 << 60, 5], "i8"),
        "A": np.array(["a b", "c"]),
    }
    path = write_fits(tmp_path / "types.fits", {"LONG": "it's", "FLAG": True, "EXPO": 1e-5}, columns)
    assert_twin(path)
    assert open_fits(path).get("LONG") == "it's"


def test_unsigned_and_null_integers(tmp_path):
    made = [
        fits.Column("u", "J", bzero=2**31, array=np.array([0, 2**32 - 1], "u4")),
        fits.Column("n", "J", null=-99, array=np.array([7, -99], "i4")),
    ]
    path = tmp_path / "u.fits"
    fits.BinTableHDU.from_columns(made).writeto(path)
    table = open_fits(path).tables[0]
    np.testing.assert_array_equal(table["u"], [0, 2**32 - 1])
    np.testing.assert_array_equal(table["n"], [7, np.nan])


def test_columns_in_any_case_and_missing_ones(tmp_path):
    table = open_fits(write_fits(tmp_path / "a.fits", {}, {"Time": np.arange(3.0)})).tables[0]
    assert table["TIME"].tolist() == [0, 1, 2]
    assert table.get("flux") is None
    with pytest.raises(Unreadable, match="no column FLUX; it has Time"):
        table["FLUX"]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.9])
def test_cut_short(tmp_path, fraction):
    path = write_fits(tmp_path / "a.fits", {}, {"TIME": np.arange(3000.0)})
    raw = path.read_bytes()
    with pytest.raises(Unreadable, match=r"cut short|broken or unfinished header"):
        FitsFile("a.fits", raw[: int(fraction * len(raw))])


def test_header_with_rubbish_values():
    cards = ["SIMPLE  =                    T", "BAD     = 1.2.3", "EMPTY   =", "D       = 1.5D3 / old Fortran", "END"]
    header, data = header_at("".join(card.ljust(80) for card in cards).encode().ljust(2880), 0)
    assert [value_of(header, key) for key in ("SIMPLE", "BAD", "EMPTY", "D", "ABSENT")] == [
        True,
        None,
        None,
        1500.0,
        None,
    ]
    assert data == 2880
