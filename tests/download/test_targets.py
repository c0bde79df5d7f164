"""Lists of targets as people have them."""

import pytest

from goodricke.download.gaia import Gaia
from goodricke.download.kepler import Kepler
from goodricke.download.targets import read_targets
from goodricke.download.tess import Tess
from goodricke.download.ztf import Ztf


def listed(tmp_path, text, archive=None, **more):
    path = tmp_path / "list.txt"
    path.write_text(text)
    return read_targets(path, archive or Kepler(), **more)


def test_the_real_list(shared):
    targets = read_targets(shared / "data" / "labels" / "keplerq9v2_targets.txt", Kepler())
    assert len(targets.ids) == 8480
    assert targets.columns.column_names == ["label"]
    assert targets.rows(["1026895"])["label"].to_pylist() == ["APERIODIC"]
    assert len(targets.unrecognised) == 1019  # constant_0 ... and fakerrlyr_0 ...: simulated
    assert targets.csv(Kepler()).startswith(b"object_id,label\nKIC ")


@pytest.mark.parametrize(
    "text", ["757076\n\n# x\n 1026895 \n", "KIC 757076\nkic1026895\n", "000757076\n1026895\n757076"]
)
def test_an_id_per_line_in_any_spelling(tmp_path, text):
    targets = listed(tmp_path, text)
    assert targets.ids == ("757076", "1026895")  # sorted, each once
    assert targets.columns.num_columns == 0


def test_a_table_keeps_its_columns(tmp_path):
    text = "name,KIC,Teff,n,code,quarter\nA,1026895,5000.5,3,007,9\nB,757076,,4,012,\n"
    targets = listed(tmp_path, text)
    table = targets.columns.to_pydict()
    assert targets.ids == ("757076", "1026895")
    assert table["Teff"] == [None, 5000.5]
    assert table["n"] == [4, 3]
    assert table["code"] == ["012", "007"]
    assert table["target_quarter"] == [None, 9]  # a shard's own column has that name
    assert table["name"] == ["B", "A"]


def test_the_column_of_ids_can_be_named(tmp_path):
    targets = listed(tmp_path, "id;Kepler;class\n1;757076;RR\n", id_column="Kepler")
    assert targets.ids == ("757076",)
    with pytest.raises(ValueError, match="has no column KOI; it has id, Kepler, class"):
        listed(tmp_path, "id;Kepler;class\n1;757076;RR\n", id_column="KOI")


def test_a_label_may_be_called_like_a_column_of_ids(tmp_path):
    assert listed(tmp_path, "757076,star\n1026895,galaxy\n").columns["label"].to_pylist() == ["star", "galaxy"]


@pytest.mark.parametrize(
    ("archive", "good", "bad"),
    [
        (Kepler(), {"KIC 1": "1"}, ["TIC 1", "constant_1", "0", "-1", "1.5", "1234567890"]),
        (Tess(), {"TIC 277554109": "277554109"}, ["KIC 1", "x", "²"]),
        (Ztf(), {"ZTF18abbuksn": "ZTF18abbuksn", "ztf18ABBUKSN": "ZTF18abbuksn"}, ["ZTF18", "../x", "ZTF18abbuksnx"]),
        (Gaia(), {"Gaia DR3 2328619740476096384": "2328619740476096384"}, ["9" * 20, "Gaia DR2 5"]),
    ],
)
def test_ids_of_the_archives(archive, good, bad):
    assert {text: archive.parse_target(text) for text in good} == good
    assert [archive.parse_target(text) for text in bad] == [None] * len(bad)


@pytest.mark.parametrize(
    ("text", "error"),
    [("# nothing\n", "names no target"), ("a\nb\n", "no line names a target"), ("kic,label\n1,a,b,c\n", "4 cells")],
)
def test_invalid_lists(tmp_path, text, error):
    with pytest.raises(ValueError, match=error):
        listed(tmp_path, text)


def test_a_target_with_two_labels_is_a_warning(tmp_path, caplog):
    assert listed(tmp_path, "757076,A\n757076,B\n").columns["label"].to_pylist() == ["A"]
    assert "different entries" in caplog.text
