"""ALeRCE's detections: a real table, and rows as its database describes them."""

import numpy as np
import pandas as pd
import pytest

from goodricke.io import Unreadable, read, recognise

COLUMNS = (
    "oid,mjd,fid,isdiffpos,magpsf,sigmapsf,magpsf_corr,sigmapsf_corr,sigmapsf_corr_ext,ra,dec,rb,corrected,dubious"
)
STAR = "ZTF1,{mjd},{fid},{sign},18,0.1,16,100,{ext},10,-20,{rb},{corrected},{dubious}"
NOVA = "ZTF2,{mjd},{fid},{sign},19,0.2,,,,30,40,{rb},{corrected},{dubious}"


def write(path, *rows):
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return path


def star(mjd, fid=1, sign=1, ext=0.02, rb=0.9, corrected=True, dubious=False):
    return STAR.format(mjd=mjd, fid=fid, sign=sign, ext=ext, rb=rb, corrected=corrected, dubious=dubious)


def nova(mjd, fid=1, sign=1, rb=0.9, corrected=False, dubious=False):
    return NOVA.format(mjd=mjd, fid=fid, sign=sign, rb=rb, corrected=corrected, dubious=dubious)


def test_the_real_table(shared):
    path = shared / "data" / "formats" / "alerce" / "detections_sample.parquet"
    assert recognise(path).NAME == "alerce"
    curves, frame = read(path), pd.read_parquet(path).reset_index()
    assert curves.ids == frame["oid"].unique().tolist()
    assert (curves.unit, curves.time_scale, curves.bands) == ("mag", "MJD", ("g", "r"))
    assert curves.column("corrected").all()
    good = frame[~frame["dubious"]].drop_duplicates(["oid", "mjd", "fid"])  # the table lists detections twice
    assert curves.n_obs.tolist() == good.groupby("oid").size()[curves.ids].tolist()
    mine = good[good["oid"] == curves.ids[3]].sort_values("mjd")
    np.testing.assert_array_equal(curves[3].time, mine["mjd"])
    assert np.isin(curves[3].value, frame["magpsf_corr"].astype("f4")).all()
    assert curves.error.max() < 1  # not the 100 of unknown errors
    assert curves.column("ra")[0] == pytest.approx(358.7604, abs=1e-3)


def test_the_light_curves_of_a_challenge(shared):
    """Not from ALeRCE's database: SNANA's names, which any table may have."""
    curves = read(shared / "data" / "formats" / "alerce" / "lc_sample_wo_nev_comp.parquet")
    assert (len(curves), len(curves.time), curves.unit, curves.time_scale) == (400, 23860, "36.3078 nJy", "MJD")
    assert set("ugriz") < set(curves.bands)


def test_of_the_source_where_the_first_detection_is_corrected(tmp_path):
    path = write(
        tmp_path / "a.csv",
        star(59002, corrected=False, dubious=True),
        nova(59003, corrected=True),
        star(59001),
        nova(59001),
        star(59003, ext=100),
    )
    curves = read(path)
    assert curves.ids == ["ZTF1", "ZTF2"]
    assert curves.column("corrected").tolist() == [True, False]
    assert [c.value.tolist() for c in curves] == [[16, 16], [19, 19]]
    assert curves.error == pytest.approx([0.02, np.nan, 0.2, 0.2], nan_ok=True)
    assert curves.column("n_flagged").tolist() == [1, 0]
    assert read(path, flux="magpsf").value.tolist() == [18, 18, 19, 19]
    assert read(path, flux="magpsf_corr").n_obs.tolist() == [2, 0]  # the second star has none
    with pytest.raises(Unreadable, match="no magnitude magap"):
        read(path, flux="magap")


def test_negative_differences_are_brightness_only_where_corrected(tmp_path):
    path = write(tmp_path / "a.csv", star(59001, sign=-1), nova(59001), nova(59002, sign=-1), nova(59003, rb=0.3))
    assert read(path).n_obs.tolist() == [1, 2]
    assert read(path, quality="hard").n_obs.tolist() == [1, 1]
    assert read(path, quality="none").n_obs.tolist() == [1, 3]


def test_of_one_band_and_instant_the_most_real_counts(tmp_path):
    path = write(tmp_path / "a.csv", star(59001, ext=0.01, rb=0.6), star(59001, ext=0.02), star(59001, fid=2))
    curves = read(path)
    assert curves.column("n_read").tolist() == [2]
    assert sorted(curves.error.tolist()) == pytest.approx([0.02, 0.02])


def test_without_object_and_with_chosen_columns(tmp_path):
    path = write(tmp_path / "ZTF3.csv", star(59001))
    path.write_text("\n".join(line.split(",", 1)[1] for line in path.read_text().splitlines()))
    assert read(path).ids == ["ZTF3"]
    assert read(path, columns={"value": "magpsf"}).value.tolist() == [18]


def test_the_plain_error_counts_where_the_extended_one_is_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "oid,mjd,fid,isdiffpos,magpsf,sigmapsf,magpsf_corr,sigmapsf_corr,corrected\nZ,5,1,1,18,.1,16,.03,True\n"
    )
    assert read(path).error == pytest.approx([0.03])
