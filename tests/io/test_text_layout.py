"""Text tables as catalogues, observers and programs write them."""

import logging

import numpy as np
import pandas as pd
import pytest

from goodricke.io import Unreadable, read, table_files
from goodricke.io.text_layout import TextLayout


def write(path, text):
    path.write_text(text)
    return path


VIZIER = """#
#   VizieR Astronomical Server vizier.cds.unistra.fr
#Column	HJD	(F13.5)	Date	[ucd=time.epoch]

Star{0}HJD{0}Vmag{0}e_Vmag
 {0}{1}{0}mag{0}{2}
----{0}-----{0}------{0}-----
V1{0}2457001.5{0}16.714{0}10
V2{0}2457002.5{0}16.800{0}20
V1{0}2457003.5{0}      {0}10
"""


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_rows_of_units_and_dashes(tmp_path, separator):
    curves = read(write(tmp_path / "a.tsv", VIZIER.format(separator, "d", "mmag")))
    assert curves.ids == ["V1", "V2"]
    assert curves.value.tolist() == pytest.approx([16.714, 16.8])
    assert curves.error.tolist() == pytest.approx([0.01, 0.02])
    assert curves.column("n_read").tolist() == [2, 1]
    assert (curves.unit, curves.time_scale) == ("mag", "HJD")
    assert curves.column("product")[0] == "VizieR table"


def test_units_below_the_names_are_applied(tmp_path):
    curves = read(write(tmp_path / "a.csv", "time,mag,magerr\ns,mag,mmag\n86400,12.5,20\n172800,13,30\n"))
    assert curves.time.tolist() == [1, 2]
    assert curves.error.tolist() == pytest.approx([0.02, 0.03])


def test_two_tables_in_one_file(tmp_path):
    text = VIZIER.format("\t", "d", "mag")
    with pytest.raises(Unreadable, match="several tables"):
        read(write(tmp_path / "a.tsv", text + "\n" + text))


MRT = """Title: Photometry
Authors: Nobody A.
Table: Photometry
================================================================================
Byte-by-byte Description of file: a.txt
--------------------------------------------------------------------------------
   Bytes Format Units Label  Explanations
--------------------------------------------------------------------------------
   1-  3 A3     ---   Name   Star
   5- 13 F9.1   d     HJD    Date
  15- 20 F6.3   mag   Vmag   ? V magnitude
  22- 23 I2     mmag  e_Vmag Uncertainty
--------------------------------------------------------------------------------
007 2457001.5 16.714 10
V02 2457002.5        20
"""


def test_machine_readable_table(tmp_path):
    curves = read(write(tmp_path / "a.txt", MRT))
    assert curves.ids == ["007", "V02"]
    assert (curves.value.tolist(), curves.n_obs.tolist()) == (pytest.approx([16.714]), [1, 0])
    assert curves.error.tolist() == pytest.approx([0.01])
    assert (curves.unit, curves.time_scale) == ("mag", "HJD")


@pytest.mark.parametrize("word", ["INDEF", "indef", "null", "--", "nan"])
def test_words_for_no_number(tmp_path, word):
    for separator in " ,\t":
        rows = [("#HJD", "MAG", "MERR"), ("2457000.5", word, word), ("2457001.5", "17.5", "0.01")]
        curves = read(write(tmp_path / "a.txt", "\n".join(separator.join(row) for row in rows)))
        assert (curves.time.tolist(), curves.value.tolist()) == ([2457001.5], [17.5])


@pytest.mark.parametrize("separator", [";", "\t", " ", " | "])
@pytest.mark.parametrize("names", [True, False])
def test_decimal_commas(tmp_path, separator, names):
    rows = [("JD", "mag", "err")] * names + [("2455266,25", "15,5", "0,125"), ("2455267,5", "15,25", "0,25")]
    curves = read(write(tmp_path / "a.csv", "\n".join(separator.join(row) for row in rows)), unit="mag")
    assert curves.time.tolist() == [2455266.25, 2455267.5]
    assert curves.value.tolist() == [15.5, 15.25]
    assert curves.error.tolist() == [0.125, 0.25]


def test_plain_columns_without_names(tmp_path, caplog):
    rows = "2455266.5 15.822 0.010 5.00 700.0\n2455275.9 15.555 0.020 5.00 700.0\n"
    path = write(tmp_path / "phot.dat", rows)
    curves = read(path)
    assert curves.value.tolist() == pytest.approx([15.822, 15.555])
    assert (curves.unit, curves.time_scale) == ("mag", "JD")
    assert "no names of its 5 columns" in caplog.text
    other = read(path, columns={"time": "1", "value": "4"}, unit="flux")
    assert other.value.tolist() == [5, 5]


def test_three_columns_without_names(tmp_path):
    rows = "2455266.5 15.822 0.010\n2455275.9 15.555 0.020\n"
    assert read(write(tmp_path / "a.dat", rows)).unit == "mag"
    assert read(write(tmp_path / "b.dat", rows.replace("15.", "1."))).unit == "unknown"  # a relative flux, perhaps


@pytest.mark.parametrize(
    "row", ["2455266.5 1.0 0.010 5.0", "2455266.5 700.0 0.010 5.0", "17 15.8 0.01 5.0", "2455266.5 15.8 15.9 5.0"]
)
def test_columns_without_names_that_could_be_anything(tmp_path, row):
    with pytest.raises(Unreadable, match=r"--column time=1 --column value=2") as caught:
        read(write(tmp_path / "a.dat", f"{row}\n{row}\n"))
    assert "without names of its columns" in str(caught.value)


def test_empty_cells_of_fixed_width_text(tmp_path, caplog):
    lines = [
        "HJD       mag    err   flag",
        "2457000.5 12.5   0.1   A",
        "2457001.5        0.2   B",
        "2457002.5 13.5         C",
    ]
    with caplog.at_level(logging.INFO, logger="goodricke"):
        curves = read(write(tmp_path / "a.txt", "\n".join(lines) + "\n"))
    assert curves.value.tolist() == [12.5, 13.5]
    assert curves.error.tolist() == pytest.approx([0.1, np.nan], nan_ok=True)
    assert "2 rows have empty cells" in caplog.text


def test_missing_cells_that_cant_be_placed(tmp_path):
    text = "HJD mag err\n2457000.5 12.5 0.1\n2457001.5 0.2\n2457002.55 13 0.1\n"
    with pytest.raises(Unreadable, match=r"has 2 cells under 3 names in line 3"):
        read(write(tmp_path / "a.txt", text))


def test_remarks_at_the_end_of_some_lines(tmp_path):
    text = "HJD mag err note\n2457000.5 12.5 0.1 clouds\n2457001.5 12.6 0.2\n"
    assert read(write(tmp_path / "a.txt", text)).value.tolist() == pytest.approx([12.5, 12.6])


@pytest.mark.parametrize("separator", [" ", ","])
def test_last_line_cut_in_the_middle(tmp_path, caplog, separator):
    text = "mjd mag err\n59000.5 12.5 0.1\n59001.5 12.6 0.1\n59002.5 1".replace(" ", separator)
    assert read(write(tmp_path / "a.txt", text)).value.tolist() == pytest.approx([12.5, 12.6])
    assert "the last line has 2 of 3 cells and is left out" in caplog.text


EXTENDED = """#TYPE=Extended
#OBSCODE=AAA
#DELIM={delim}
#DATE={date}
{names}SS CYG,2457001.5,11.8,0.1,V,NO,STD,111,11.2,112,12.1,1.3,na,X1,na
SS CYG,2457002.5,<12.5,na,V,NO,STD,111,11.2,112,12.1,1.3,na,X1,na
"""
AAVSO_NAMES = "#NAME,DATE,MAG,MERR,FILT,TRANS,MTYPE,CNAME,CMAG,KNAME,KMAG,AMASS,GROUP,CHART,NOTES\n"


@pytest.mark.parametrize("names", ["", AAVSO_NAMES, AAVSO_NAMES[1:]])
@pytest.mark.parametrize("date", ["JD", "HJD"])
def test_extended_format_of_aavso(tmp_path, names, date):
    curves = read(write(tmp_path / "a.txt", EXTENDED.format(delim=",", date=date, names=names)))
    assert curves.ids == ["SS CYG"]
    assert curves.time_scale == date
    assert curves.value[0] == pytest.approx(11.8)
    assert not np.isfinite(curves.value[1:]).any()
    text = EXTENDED.format(delim="COMMA", date="EXCEL", names=names)
    with pytest.raises(Unreadable, match="dates of the kind EXCEL"):
        read(write(tmp_path / "b.txt", text))


def test_aavso_download_without_names(tmp_path):
    row = "2457002.5,11.80,0.01,,V,AAA,,000-BBB-111,,X1234,,No,,Z,,,{},SS CYG,AAVSO,STD,,,,\n"
    curves = read(
        write(tmp_path / "a.csv", row.format("") + row.format("2457002.503").replace("2.5,11.80", "3.5,11.9"))
    )
    assert curves.ids == ["SS CYG"]
    assert curves.value.tolist() == pytest.approx([11.8, 11.9])


def test_readme_of_a_catalogue(tmp_path):
    text = "J/MNRAS/456/1/1    Variable stars   (Nobody+, 2016)\n" + "=" * 80 + "\nByte-by-byte Description\n"
    with pytest.raises(Unreadable, match="ReadMe of a catalogue"):
        read(write(tmp_path / "ReadMe", text))


# ---- text without names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zero", "more"), [(0, "0"), (2450000, "12.5 3"), (0, "1 G")])
def test_ogle_files_with_more_columns_are_read_by_the_first_three(tmp_path, caplog, zero, more):
    path = tmp_path / "OGLE-BLG-RRLYR-00002.dat"
    path.write_text("".join(f"{zero + 5000.5 + i:.5f} {15 + i / 10:.3f} 0.005 {more}\n" for i in range(9)))
    curves = read(path)
    assert curves.time[:2].tolist() == [2455000.5, 2455001.5]
    assert (curves.unit, curves.time_scale, curves.ids) == ("mag", "HJD", ["OGLE-BLG-RRLYR-00002"])
    assert curves.value[:2] == pytest.approx([15, 15.1])
    assert f"has no names of its {3 + len(more.split())} columns" in caplog.text
    assert curves.bands == (("G",) if "G" in more else ("none",))


def test_other_short_dates_without_names_are_refused_with_the_columns_to_name(tmp_path):
    path = tmp_path / "star.dat"
    path.write_text("".join(f"{5000.5 + i:.5f} {15 + i / 10:.3f} 0.005 7\n" for i in range(9)))
    with pytest.raises(Unreadable, match=r"without names of its columns.*--column time=1"):
        read(path)


def test_a_column_of_bands_without_a_name_keeps_them_apart(tmp_path, caplog):
    path = tmp_path / "kws.txt"
    path.write_text("2455000.1 10.123 0.01 V\n2455001.1 10.2 0.01 Ic\n")
    assert read(path).bands == ("V", "Ic")
    assert "column 4 bands" in caplog.text


# ---- what programs and people leave in text ------------------------------------------------------------------------

PLAIN = "JD,mag,mag_err,filter\n2459000.5,15.1,0.01,V\n2459001.5,15.2,0.02,V\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode("utf-16"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        ("Object,RR Lyr\nObserver,Somebody\nTelescope,20 cm\n\n" + PLAIN).encode(),
        ("Light curve of RR Lyr, reduced twice\n" + PLAIN).encode(),
        PLAIN.replace(",", "\t").replace(".", ",").encode("utf-16"),
        b"JD mag mag_err filter\nAperture: 2, JD: geocentric, Filter: V\n" + PLAIN.replace(",", " ").encode()[22:],
        b"# JD mag mag_err filter\n# Aperture: 2\n" + PLAIN.replace(",", " ").encode()[22:],
    ],
    ids=["utf-16", "mark", "crlf", "cr", "preamble", "title", "excel", "muniwin", "remark"],
)
def test_the_same_table_in_every_dress(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    curves = read(path)
    assert curves.time.tolist() == [2459000.5, 2459001.5]
    assert curves.value.tolist() == pytest.approx([15.1, 15.2])
    assert curves.error.tolist() == pytest.approx([0.01, 0.02])
    assert (curves.unit, curves.bands) == ("mag", ("V",))


def test_files_written_one_after_another(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="goodricke")
    path = write(tmp_path / "a.csv", PLAIN + PLAIN + PLAIN)
    assert len(read(path).time) == 6
    assert f"{path}: 2 lines repeat the names of the columns, and are left out" in caplog.messages


def test_days_of_tess_are_told_from_truncated_julian_dates(tmp_path):
    curves = read(write(tmp_path / "a.csv", "TJD,flux\n1500.5,1\n1501.5,2\n"))
    assert (curves.time.tolist(), curves.time_scale) == ([1500.5, 1501.5], "BTJD")
    curves = read(write(tmp_path / "a.csv", "TJD,flux\n18500.5,1\n18501.5,2\n"))
    assert (curves.time.tolist(), curves.time_scale) == ([2458501, 2458502], "JD")


CELLS = (
    *("1", "12.5", "-3e-5", "0012", "", "null", "NaN", "INDEF", "--", "+4", ">16.5", "T", "true", "r", "1e400", "inf"),
    *("1.", ".5", "1d5", "9007199254740993", "18446744073709551615", "99999999999999999999", "2020-01-01", "7 ", "N/A"),
)


def test_text_is_the_same_by_arrow_and_by_pandas():
    """Where the fast way takes a text, it has the numbers, words and missing cells that the plain one has."""
    n_fast = 0
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        own = [list(rng.choice(CELLS, 3)) if rng.random() < 0.3 else ["1.5", "2", "nan"] for _ in range(4)]
        rows = [[str(rng.choice(cells)) for cells in own] for _ in range(rng.integers(1, 6))]
        raw = str(rng.choice(["\n", "\r\n"])).join(["a,b,id,d", *(",".join(row) for row in rows)]).encode()
        form = TextLayout(["a", "b", "id", "d"], ",", 1, "CSV", rows[0])
        fast = table_files._read_regular_text(raw, form, form.names, {"id"})
        if fast is None:
            continue
        n_fast += 1
        plain = table_files._read_text(raw, form, form.names, {"id"}, "a.csv")
        for name in form.names:
            values, expected = fast[name].to_pandas(), plain[name]
            assert values.isna().tolist() == expected.isna().tolist(), (raw, name)
            known = expected.notna()
            if pd.api.types.is_numeric_dtype(expected):
                assert np.allclose(values[known].astype(float), expected[known].astype(float), 1e-15, 0), (raw, name)
            else:
                assert values[known].tolist() == expected[known].tolist(), (raw, name)
    assert n_fast > 300


@pytest.mark.parametrize(
    "line",
    ["58003.5,12.4 # clouds", "58003.5,12.4,", '"58003.5",12.4', "58003.5, 12.4", " 58003.5,12.4", "58003.5,12.4\r"],
)
def test_irregular_text_gives_the_same_numbers(tmp_path, line):
    curves = read(write(tmp_path / "a.csv", f"mjd,mag\n58001.5,12.1\n58002.5,12.2\n{line}\n"))
    assert (curves.time.tolist(), curves.value.tolist()) == (
        [58001.5, 58002.5, 58003.5],
        pytest.approx([12.1, 12.2, 12.4]),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hjd,mmag,e_mmag\n2457000.5,12100,10\n2457001.5,12200,20\n", ("mag", "HJD", 2457000.5, 12.1, 0.01)),
        ("hjd,d_mag_mmag,err\n2457000.5,-100,10\n2457001.5,20,20\n", ("mag", "HJD", 2457000.5, -0.1, 0.01)),
        ("mjd,flux_mJy,flux_mJy_err\n57000.5,2.5,0.1\n57001.5,2.6,0.1\n", ("mJy", "MJD", 57000.5, 2.5, 0.1)),
        (
            "BJD_minus_2450000,flux_mJy,flux_err_mJy\n7000.5,2.5,0.1\n7001.5,2.6,0.1\n",
            ("mJy", "BJD", 2457000.5, 2.5, 0.1),
        ),
        ('"JD-2,450,000","mag, V",err\n7000.5,9.5,0.1\n7001.5,9.6,0.1\n', ("mag", "JD", 2457000.5, 9.5, 0.1)),
        ("btjd,flux_ppm,err\n1000.5,-25,1\n1001.5,30,1\n", ("ppm", "BTJD", 1000.5, -25, 1)),
        ("# JD flux err\n2457000.5 1.5D+00 1.0d-1\n2457001.5 1.6D+00 1.0D-1\n", ("flux", "JD", 2457000.5, 1.5, 0.1)),
        ("# time: BJD - 2454833\ntime,flux,err\n100.5,1.5,0.1\n101.5,1.6,0.1\n", ("flux", "BKJD", 100.5, 1.5, 0.1)),
        (
            "# BJD_TDB-2450000, not detrended\ntime,mag,err\n7000.5,9.1,0.1\n7001.5,9.2,0.1\n",
            ("mag", "BJD", 2457000.5, 9.1, 0.1),
        ),
        (
            "HJD\tVmag\te_Vmag\n2457000.5\t12.1\t0.1\n2457001.5\t?\t?\n2457002.5\t12.1\t?\n",
            ("mag", "HJD", 2457000.5, 12.1, 0.1),
        ),
    ],
)
def test_units_zero_points_and_numbers_as_programs_write_them(tmp_path, text, expected):
    unit, scale, *first = expected
    curves = read(write(tmp_path / "a.txt", text))
    assert (curves.unit, curves.time_scale, len(curves.time)) == (unit, scale, 2)
    assert [curves.time[0], curves.value[0], curves.error[0]] == pytest.approx(first)


@pytest.mark.parametrize("comment", ["# BJD - 2454833 and HJD - 2450000", "# written at JD 2459000", "# no zero point"])
def test_comments_that_tell_no_zero_point(tmp_path, comment):
    curves = read(write(tmp_path / "a.csv", f"{comment}\ntime,mag\n7000.5,9.1\n7001.5,9.2\n"))
    assert (curves.time[0], curves.time_scale) == (7000.5, "unknown")


def test_a_file_without_any_measurement_is_said_aloud(tmp_path, caplog):
    """Dummies are usual among measurements; where there is nothing else, the user has to know."""
    for text, level in (("57001.5,12.1\n", logging.INFO), ("57001.5,99.9\n", logging.WARNING)):
        caplog.clear()
        with caplog.at_level(logging.INFO, "goodricke"):
            read(write(tmp_path / "a.csv", f"mjd,mag\n57000.5,99.9\n{text}"))
        assert [record.levelno for record in caplog.records if "dummy" in record.message] == [level]
