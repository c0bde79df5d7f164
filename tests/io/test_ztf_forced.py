"""ZTF forced photometry: a real file of ALeRCE's, and rows as the service's guide describes them."""

import numpy as np
import pytest

from goodricke.io import Unreadable, read, recognise

NAMES = (
    "index, field, ccdid, qid, filter, pid, infobitssci, sciinpseeing, scisigpix, diffmaglim, zpdiff, jd, "
    "forcediffimflux, forcediffimfluxunc, forcediffimfluxap, forcediffimfluxuncap, procstatus"
)
HEAD = (
    "# Requested input R.A. = 169.5 degrees\n# Requested input Dec. = -18.25 degrees\n"
    f"# forcediffimflux = Forced difference image PSF-fit flux [DN]\n# Order of columns below:\n {NAMES}\n#\n"
)


def row(i=0, band="g", flux="100", error="10", zp="26", infobits=0, seeing=2.0, noise=6.0, status="0"):
    return (
        f" {i} 574 8 1 ZTF_{band} 149{i} {infobits} {seeing} {noise} 20.4 {zp} {2459250.75 + i} "
        f"{flux} {error} {flux} {error} {status}\n"
    )


def write(path, *rows):
    path.write_text(HEAD + "".join(rows))
    return path


def test_the_real_file(shared):
    path = shared / "data" / "formats" / "alerce" / "ztf_forced_photometry.txt"
    assert recognise(path).NAME == "ztf_forced"
    curves = read(path)
    assert curves.ids == ["ztf_forced_photometry"]
    assert (curves.unit, curves.time_scale, curves.bands) == ("nJy", "MJD", ("g", "r"))
    assert curves.time[0] == pytest.approx(59250.3690856, abs=1e-7)
    scale = 3631e9 * 10 ** (-0.4 * 26.3699)
    assert curves.value[0] == pytest.approx(12.6855478 * scale)
    assert curves.error[0] == pytest.approx(29.6816667 * scale)
    assert (curves.value < 0).any()
    # two rows of 50 are flagged as cloudy, two were taken with more than 4 pixels of seeing
    assert (curves.column("n_read")[0], curves.column("n_flagged")[0]) == (50, 4)
    assert len(read(path, quality="none").time) == 50
    assert curves.column("ra")[0] == pytest.approx(169.522886)


def test_every_row_has_its_own_zero_point(tmp_path):
    curves = read(write(tmp_path / "a.txt", row(0, zp="26"), row(1, zp="23.5"), row(2, flux="-50")))
    assert curves.value == pytest.approx(np.array([100, 1000, -50]) * 3631e9 * 10**-10.4, rel=1e-6)
    assert curves.error == pytest.approx(np.array([10, 100, 10]) * 3631e9 * 10**-10.4, rel=1e-6)
    assert curves.column("dec").tolist() == [-18.25]


def test_bad_rows_go(tmp_path):
    rows = [
        row(0, status="0,57"),
        row(1, status="56"),
        row(2, status="57,61"),
        row(3, infobits=1 << 25),
        row(4, infobits=4),
        row(5, noise=30.0),
        row(6, seeing=4.5),
        row(7, flux="null", error="null"),
        row(8, flux="-99999", error="-99999"),
        row(9, zp="null"),
        row(10, status="65,62"),
    ]
    path = write(tmp_path / "a.txt", *rows)
    kept = {how: (read(path, quality=how).time - 59250.25).tolist() for how in ("default", "bitmask", "hard", "none")}
    assert kept["default"] == [0, 4, 10]
    assert kept["bitmask"] == [0, 4, 5, 6, 10]
    assert kept["hard"] == []
    assert kept["none"] == [*range(7), 10]  # three have no flux, or none in a known unit


def test_several_statuses_in_the_first_row_are_no_csv(tmp_path):
    assert recognise(write(tmp_path / "a.txt", row(0, status="56,57"), row(1))).NAME == "ztf_forced"


def test_other_fluxes_units_and_columns(tmp_path):
    path = write(tmp_path / "a.txt", row(0), row(1, band="i"))
    assert read(path, flux="forcediffimfluxap").n_obs.tolist() == [2]
    assert read(path, unit="DN").value.tolist() == [100, 100]  # nothing is converted
    assert read(path, columns={"value": "diffmaglim"}).value == pytest.approx([20.4, 20.4])
    with pytest.raises(Unreadable, match="no flux column magpsf"):
        read(path, flux="magpsf")


def test_no_rows(tmp_path):
    with pytest.raises(Unreadable, match="without rows"):
        read(write(tmp_path / "a.txt"))
