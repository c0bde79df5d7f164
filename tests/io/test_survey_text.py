"""Text files of surveys: ATLAS, ASAS-3, Gaia Science Alerts, NEOWISE."""

import logging

import numpy as np
import pandas as pd
import pytest

from goodricke.io import Unreadable, read, recognise


def write(path, text):
    path.write_text(text)
    return path


ATLAS = """###MJD          m      dm   uJy   duJy F err chi/N     RA       Dec        x        y     maj  min   phi  apfit mag5sig Sky   Obs
59101.51 -21.740  1.398    -7    10 o  0   7.69  29.86  30.72  9408.51  3841.80 2.04 2.02  26.5 -0.421 19.59 20.43 a
59101.54  17.349  0.089   417    37 c  0  28.03  29.86  30.72  9463.88  3767.21 2.22 2.12 -32.3 -0.409 19.53 20.39 b
59102.54  17.349  0.089   418    37 c  1  28.03  29.86  30.72  9463.88  3767.21 2.22 2.12 -32.3 -0.409 19.53 20.39 c
59103.54  17.349  0.089   419  5000 c  0  28.03  29.86  30.72  9463.88  3767.21 2.22 2.12 -32.3 -0.409 19.53 20.39 d
59104.54  17.349  0.089   420    37 c  0 500.00  29.86  30.72  9463.88  3767.21 2.22 2.12 -32.3 -0.409 19.53 20.39 e
"""  # noqa: E501


@pytest.mark.parametrize(
    ("quality", "values"),
    [
        ("default", [-7, 417, 420]),
        ("bitmask", [-7, 417, 419, 420]),
        ("hard", [-7, 417]),
        ("none", [-7, 417, 418, 419, 420]),
    ],
)
@pytest.mark.parametrize("container", ["text", "csv", "parquet"])
def test_atlas(tmp_path, quality, values, container):
    path = write(tmp_path / "atlas.txt", ATLAS)
    if container != "text":
        frame = pd.read_csv(path, sep=r"\s+").rename(columns={"###MJD": "MJD"})
        path = tmp_path / f"atlas.{container}"
        getattr(frame, f"to_{container}")(path)
    curves = read(path, quality=quality)
    assert recognise(path).NAME == "atlas"
    assert curves.value.tolist() == values
    assert curves.error[:2].tolist() == [10, 37]
    assert [curves.bands[b] for b in curves.band][:2] == ["o", "c"]
    assert (curves.unit, curves.time_scale) == ("uJy", "MJD")
    with pytest.raises(Unreadable, match="has no flux m"):
        read(path, flux="m")


ASAS = """# The All Sky Automated Survey Data
#ndata= 3
#dataset= 1 ; 1 F1944-08_325
#desig= {}
#cra=   19.874652  19:52:28.7
#     HJD      MAG_4  MAG_0  MAG_1  MAG_2  MAG_3    MER_4 MER_0 MER_1 MER_2 MER_3 GRADE FRAME
   1921.25 11.400 11.000 11.100 11.200 11.300    0.045 0.061 0.050 0.042 0.045  A 10000
   1922.25 29.999 11.000 11.100 11.200 11.300    0.045 0.061 0.050 0.042 0.045  C 10001
   1923.25 11.400 11.000 11.100 11.200 11.300    0.045 0.061 0.050 0.042 0.045  D 10002
#ndata= 1
#dataset= 2 ; 1 F1944-08_325
#desig= {}
#     HJD      MAG_4  MAG_0  MAG_1  MAG_2  MAG_3    MER_4 MER_0 MER_1 MER_2 MER_3 GRADE FRAME
   1924.25  8.400  8.000  8.100  8.200 29.999    0.045 0.061 0.050 0.042 0.045  B 10000
"""


def test_asas3_joins_the_data_sets_of_a_star(tmp_path, caplog):
    path = write(tmp_path / "a.txt", ASAS.format("195229+0100.3", "195229+0100.3"))
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(path)
    assert curves.ids == ["ASAS 195229+0100.3"]
    assert curves.time.tolist() == [2451921.25, 2451922.25, 2451924.25]
    assert curves.value.tolist() == pytest.approx([11.1, 11.1, 8.1])  # MAG_1 between 11 and 12 mag
    assert curves.error.tolist() == pytest.approx([0.05] * 3)
    assert (curves.unit, curves.time_scale, curves.bands) == ("mag", "HJD", ("V",))
    assert "MAG_1, MER_1 are read; 0 rows not measured and 1 by their grade left out" in caplog.text
    assert read(path, quality="hard").n_obs.tolist() == [1]
    assert read(path, quality="none").n_obs.tolist() == [4]
    assert read(path, flux="MAG_4").value.tolist() == pytest.approx([11.4, 8.4])  # 29.999 is no measurement
    with pytest.raises(Unreadable, match="choose one of MAG_0"):
        read(path, flux="MAG_9")


def test_asas3_keeps_stars_apart(tmp_path):
    curves = read(write(tmp_path / "a.txt", ASAS.format("195229+0100.3", "195229+0100.4")))
    assert curves.ids == ["ASAS 195229+0100.3", "ASAS 195229+0100.4"]
    assert curves.value.tolist() == pytest.approx([11.1, 11.1, 8.4])  # the bright one in the widest aperture


@pytest.mark.parametrize("end", ["", "."])
def test_gaia_alert(tmp_path, caplog, end):
    text = f"Gaia99aaa\n#Date,JD(TCB),averagemag{end}\n2016-01-01 00:00:00,2457001.5,untrusted\n"
    text += "2016-01-02 00:00:00,2457002.5,16.5\n2016-01-03 00:00:00,2457003.5,null\n"
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(write(tmp_path / "a.csv", text))
    assert curves.ids == ["Gaia99aaa"]
    assert (curves.time.tolist(), curves.value.tolist()) == ([2457002.5], [16.5])
    assert (curves.unit, curves.time_scale, curves.bands) == ("mag", "JD", ("G",))
    assert "2 rows are untrusted or null" in caplog.text


NEOWISE = """ra,dec,mjd,w1mpro,w1sigmpro,w2mpro,w2sigmpro,qual_frame,qi_fact,saa_sep,moon_masked,cc_flags
10.0,5.0,55266.5,15.5,0.02,15.0,0.03,10,1.0,50,00,0000
10.0,5.0,55267.5,15.6,,15.1,0.03,10,1.0,50,00,0000
10.0,5.0,55268.5,15.7,0.02,15.2,0.03,0,1.0,50,00,0000
10.0,5.0,55269.5,15.8,0.02,15.3,0.03,10,0.5,50,01,0000
10.0,5.0,55270.5,15.9,0.02,15.4,0.03,10,1.0,50,00,hD00
"""


@pytest.mark.parametrize(
    ("quality", "w1", "w2"),
    [
        ("default", [15.5, 15.8, 15.9], [15.0, 15.1]),
        ("hard", [15.5], [15.0, 15.1]),
        ("none", [15.5, 15.7, 15.8, 15.9], [15.0, 15.1, 15.2, 15.3, 15.4]),
    ],
)
def test_neowise(tmp_path, quality, w1, w2):
    curves = read(write(tmp_path / "star.csv", NEOWISE), quality=quality)
    assert curves.ids == ["star"]
    assert curves.value[curves.band == curves.bands.index("W1")].tolist() == pytest.approx(w1)
    assert curves.value[curves.band == curves.bands.index("W2")].tolist() == pytest.approx(w2)
    assert (curves.unit, curves.time_scale) == ("mag", "MJD")
    assert curves.column("ra").tolist() == [10]


def test_one_band_of_neowise_by_name(tmp_path):
    curves = read(write(tmp_path / "star.csv", NEOWISE), columns={"value": "w2mpro", "error": "w2sigmpro"}, unit="mag")
    assert curves.value.tolist() == pytest.approx([15.0, 15.1, 15.2, 15.3, 15.4])
    assert np.isfinite(curves.error).all()
