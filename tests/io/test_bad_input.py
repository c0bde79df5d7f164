import gzip
import pickle
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from goodricke.io import READERS, Unreadable, read, recognise

from .conftest import write_fits

CSV = "mjd,mag\n59000,12\n59001,13\n"


def unreadable(path, *words, **options):
    """The message names the file, the reason and the fix."""
    with pytest.raises(Unreadable) as caught:
        read(path, **options)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "Fix: " in text
    assert text.endswith(".")
    for word in words:
        assert word in text
    return caught.value


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("zero.fits", b"", "empty (0 bytes)"),
        ("zero.parquet", b"", "empty (0 bytes)"),
        ("page.fits", b"<!DOCTYPE html><html>Not found</html>", "web page"),
        ("prose.fits", b"this is not a FITS file\nat all, really\n", "no time column"),
        ("word.fits", b"oops", "without any row"),
        ("comments.csv", b"# nothing\n# here\n", "without any row"),
        ("header.csv", b"mjd,mag\n", "without any row"),
        ("login.csv", b"<html><head><title>Sign in</title></head><form>Password</form></html>", "a login page"),
        ("error.xml", b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "archive's error message"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\x00" * 50, "HDF5 file"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 50, "workbook"),
        ("a.npy", b"\x93NUMPY\x01\x00" + b"\x00" * 50, "array of NumPy"),
        ("a.npz", b"PK\x03\x04" + b"\x00" * 26 + b"time.npy" + b"\x00" * 50, "NumPy arrays"),
        ("a.pkl", b"\x80\x04\x95" + b"\x00" * 50, "pickle"),
        ("a.pdf", b"%PDF-1.4 ...", "PDF document"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 20, "picture"),
        ("a.feather", b"ARROW1\x00\x00" + b"\x00" * 20, "Feather"),
        ("lfs.fits", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "git lfs pull"),
        ("random.fits", bytes(range(256)) * 50, "binary file of no known kind"),
        ("a.zip", b"PK\x03\x04" + b"\x00" * 50, "ZIP archive"),
        ("a.xlsx", b"PK\x03\x04" + b"\x00" * 26 + b"[Content_Types].xml" + b"\x00" * 50, "save the sheet as CSV"),
        ("wide.csv", CSV.encode("utf-16")[:-1], "damaged text in UTF-16. Fix: save it as UTF-8"),
        ("days.csv", b"mjd,mag\n01/03/2019,12\n02/03/2019,13\n", "turn dates into days"),
        ("limits.csv", b"mjd,value\n59000,>18.2\n59001,13\n", "leave limits out, or, if the column is in magnitudes"),
        ("words.csv", b"mjd,mag\n59000,bright\n59001,faint\n", "leave such rows out"),
        ("a.csv.bz2", b"BZh91AY&SY\x00", "bzip2 archive"),
        ("half.parquet", b"PAR1" + b"\x00" * 100, "damaged Parquet"),
        ("ragged.csv", b"mjd,mag\n59000,12\n59001,13,5,6\n59002,1,2,3,4,5,6\n", "no regular table"),
        ("noids.csv", b"mjd;teff\n59000;5000\n", "no brightness column"),
        ("broken.ecsv", b"# %ECSV 1.0\n# ---\n# datatype: [\n", "format ECSV, but can't be parsed"),
        ("broken.vot", b"<?xml version='1.0'?><VOTABLE><oops>", "format VOTable, but can't be parsed"),
        ("simple.fits", b"SIMPLE  =                    T".ljust(2880), "broken or unfinished header"),
    ],
)
def test_contents(tmp_path, name, content, word):
    path = tmp_path / name
    path.write_bytes(content)
    unreadable(path, word)


def test_missing_and_folder(tmp_path):
    unreadable(tmp_path / "nope.fits", "does not exist")
    with pytest.raises(Unreadable, match="is a folder"):
        recognise(tmp_path)


def test_content_counts_and_not_the_name(tmp_path):
    (tmp_path / "curve.fits").write_text(CSV)
    assert read(tmp_path / "curve.fits").unit == "mag"
    (tmp_path / "curve.parquet").write_bytes(gzip.compress(CSV.encode()))
    assert read(tmp_path / "curve.parquet").n_obs.tolist() == [2]


def test_truncated_gzip(tmp_path):
    packed = gzip.compress(CSV.encode() * 1000)
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    unreadable(tmp_path / "a.csv.gz", "damaged gzip file")


def test_truncated_mission_file(kepler_tess, tmp_path):
    raw = next(kepler_tess.glob("tess*")).read_bytes()
    for size in (100, 3000, 20_000, 500_000):
        path = tmp_path / f"{size}.fits"
        path.write_bytes(raw[:size])
        assert "download it again" in unreadable(path).fix


def test_truncated_parquet(data, tmp_path):
    raw = (data / "ztf_bts" / "lightcurves.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(raw[: len(raw) // 2])
    unreadable(tmp_path / "a.parquet", "damaged Parquet")


def test_empty_tables(tmp_path):
    pq.write_table(
        pa.table({"mjd": pa.array([], pa.float64()), "mag": pa.array([], pa.float32())}), tmp_path / "a.parquet"
    )
    unreadable(tmp_path / "a.parquet", "without rows")
    unreadable(write_fits(tmp_path / "b.fits", {}, {"time": np.array([]), "flux": np.array([])}), "without rows")
    kind = pa.list_(pa.struct({"mjd": pa.float64(), "mag": pa.float32()}))
    pq.write_table(pa.table({"id": pa.array([], pa.string()), "x": pa.array([], kind)}), tmp_path / "c.parquet")
    unreadable(tmp_path / "c.parquet", "without rows")


def test_other_fits_files(tmp_path):
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    unreadable(tmp_path / "image.fits", "without a binary table")
    path = write_fits(tmp_path / "pixels.fits", {"TELESCOP": "TESS"}, {"TIME": np.arange(3.0)}, {"EXTNAME": "PIXELS"})
    unreadable(path, "target pixel file")
    unreadable(write_fits(tmp_path / "spectrum.fits", {}, {"WAVE": np.arange(3.0)}), "no time column", "WAVE")


def test_faults_of_the_light_curve_are_not_the_readers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("mjd,flux\n59001,1\n59000,2\n59000,3\n59002,inf\n")
    kinds = {fault.kind for fault in read(path).faults()}
    assert kinds == {"times are not sorted", "duplicate time"}  # a row without a brightness is no observation
    path.write_text("mjd,flux\n59001,1\n")
    assert read(path).n_obs.tolist() == [1]
    path.write_text("mjd,flux\nnan,1\n")
    assert read(path).n_obs.tolist() == [0]


def test_no_warning_reaches_the_user(tmp_path, kepler_tess):
    """Astropy warns about odd units and headers; none of that is the user's business here."""
    odd = write_fits(
        tmp_path / "odd.fits",
        {"mission": "K2"},
        {"time": np.arange(3.0), "flux": np.ones(3), "x": np.ones(3)},
        {"TUNIT3": "e-/s!"},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(odd)
        for path in kepler_tess.iterdir():
            read(path)


def test_unreadable_travels_between_processes():
    error = pickle.loads(pickle.dumps(Unreadable("a.fits", "is empty", "delete it")))
    assert (error.path, error.reason, error.fix) == ("a.fits", "is empty", "delete it")
    assert str(error) == "a.fits: is empty. Fix: delete it."


def test_every_reader_has_the_three_things():
    assert len({reader.NAME for reader in READERS}) == len(READERS)
    assert all(callable(reader.recognises) and callable(reader.read) for reader in READERS)
