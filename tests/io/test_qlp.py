import numpy as np
import pytest
from astropy.io import fits

from goodricke.io import Unreadable, read, recognise

from .conftest import write_fits

FLAGS = np.array([0, 64, 256, 1024, 2048, 8192, 64 + 256, 1, 4096, 32, 16384, 131072], "i4")


@pytest.mark.parametrize(("generation", "detrended"), [(1, "KSPSAP_FLUX"), (2, "DET_FLUX")])
def test_both_generations(qlp_file, generation, detrended):
    path = qlp_file(generation=generation)
    assert recognise(path).NAME == "qlp"
    curves = read(path)
    assert curves.ids == ["TIC 1234567"]
    assert (curves.unit, curves.time_scale, curves.bands) == ("relative", "BTJD", ("TESS",))
    assert curves.value[0] == 1
    np.testing.assert_allclose(curves.error, 2e-4)
    row = curves.objects.to_pylist()[0]
    assert [row[k] for k in ("mission", "product", "sector", "camera", "ccd", "ra", "dec", "n_read")] == [
        "TESS", "QLP", 14, 2, 4, 290.5, 44.25, 100,
    ]  # fmt: skip
    assert read(path, flux=detrended).value[0] == 0.5


@pytest.mark.parametrize(
    ("quality", "kept"),
    [
        ("default", [0, 64, 256, 1024, 2048, 8192]),
        ("bitmask", [0, 64, 256, 1024, 2048, 8192, 320, 131072]),
        ("hard", [0]),
        ("none", FLAGS.tolist()),
    ],
)
def test_quality(qlp_file, quality, kept):
    time = 1700.0 + np.arange(len(FLAGS))
    curves = read(qlp_file(n=len(FLAGS), QUALITY=FLAGS, TIME=time), quality=quality)
    assert FLAGS[(curves.time - 1700).astype(int)].tolist() == kept
    assert curves.column("n_flagged").tolist() == [len(FLAGS) - len(kept)]


@pytest.mark.parametrize(("generation", "sector", "flag"), [(1, 55, 4096), (2, 56, 1 << 30), (2, 60, 1 << 30)])
def test_low_precision_flag_moved_with_sector_56(qlp_file, generation, sector, flag):
    """4096 is QLP's flag of low precision to sector 55; from 56 on it is scattered light, and 2^30 took its place."""
    flags = np.array([0, 4096, 1 << 30], "i4")
    path = qlp_file(n=3, generation=generation, QUALITY=flags, TIME=np.arange(3.0))
    fits.setval(path, "SECTOR", value=sector)
    kept = read(path, quality="bitmask").time.astype(int)
    assert flags[kept].tolist() == [value for value in flags.tolist() if value != flag]


def test_wrong_generation_named(qlp_file):
    with pytest.raises(Unreadable, match="no flux column DET_FLUX"):
        read(qlp_file(), flux="DET_FLUX")


def test_no_tic(tmp_path):
    columns = {"TIME": np.arange(3.0), "SAP_FLUX": np.ones(3, "f4"), "QUALITY": np.zeros(3, "i4")}
    with pytest.raises(Unreadable, match="names no target"):
        read(write_fits(tmp_path / "q.fits", {"ORIGIN": "MIT/QLP"}, columns))


def test_all_nan_flux_one_point_and_unsorted_times(qlp_file):
    """Faults of the light curve are not the reader's: it keeps them, the status comes later."""
    curves = read(qlp_file(n=4, SAP_FLUX=np.full(4, np.nan, "f4"), TIME=np.array([3.0, 1.0, 1.0, np.inf])))
    assert curves.time.tolist() == [3, 1, 1]
    assert np.isnan(curves.value).all()
    assert len(read(qlp_file(n=1)).time) == 1
    assert len(read(qlp_file(n=2, QUALITY=np.array([1, 1], "i4"))).time) == 0


def test_gzip(qlp_file, tmp_path):
    import gzip

    packed = tmp_path / "q.fits.gz"
    packed.write_bytes(gzip.compress(qlp_file().read_bytes()))
    assert read(packed).ids == ["TIC 1234567"]
    packed.write_bytes(packed.read_bytes()[:-200])
    with pytest.raises(Unreadable, match="damaged gzip"):
        read(packed)
