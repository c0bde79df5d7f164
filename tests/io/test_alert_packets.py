import numpy as np
import pytest

from goodricke.data.units import nanojansky
from goodricke.io import Unreadable, read

pytest.importorskip("fastavro", reason="needs goodricke[alerts]")


@pytest.mark.parametrize(("name", "past"), [("2019_01_10_739260766315010006", 10), ("472263571115115000", 0)])
def test_ztf_packets_are_light_curves(shared, name, past):
    path = shared / "data/formats/ztf_alert" / f"{name}.avro"
    curves = read(path)
    assert len(curves) == 1
    assert curves.ids[0].startswith("ZTF")
    assert curves.unit == "mag"
    assert curves.n_obs[0] > past
    assert (np.diff(curves.time) >= 0).all()
    assert curves.column("source").tolist() == [str(path)]
    assert curves.column("mission").tolist() == ["ZTF"]
    assert 0 < curves.column("ra")[0] < 360


def test_total_and_difference_brightness_differ(shared):
    path = shared / "data/formats/ztf_alert/472263571115115000.avro"
    total, difference = read(path), read(path, flux="difference")
    assert (total.unit, difference.unit) == ("mag", "nJy")
    star_and_difference, _ = nanojansky(total.value[-1:], total.error[-1:])
    assert 0 < difference.value[-1] < star_and_difference[0]


def test_a_negative_difference_is_a_flux(shared):
    curves = read(shared / "data/formats/ztf_alert/2019_01_10_739260766315010006.avro", flux="difference")
    assert curves.unit == "nJy"
    assert curves.value[-1] < 0
    with pytest.raises(Unreadable, match="no flux psfFlux"):
        read(shared / "data/formats/ztf_alert/472263571115115000.avro", flux="psfFlux")


def test_a_folder_of_packets_is_searched_and_rubin_read(shared):
    found = read([shared / "data/formats/ztf_alert"])
    assert len(found) == 2
    rubin = read(shared / "data/formats/rubin_alert/fakeAlert_v10_0.avro", flux="difference")
    assert rubin.unit == "nJy"
    assert rubin.n_obs.tolist() == [3]


def test_a_broken_packet_is_told(shared, tmp_path):
    data = (shared / "data/formats/ztf_alert/472263571115115000.avro").read_bytes()
    (tmp_path / "cut.avro").write_bytes(data[:30_000])
    with pytest.raises(Unreadable, match=r"cut\.avro"):
        read(tmp_path / "cut.avro")
