import pandas as pd
import pytest

from goodricke.io import Unreadable, read_labels


@pytest.mark.parametrize(
    ("name", "n", "first", "label", "column"),
    [
        ("asas_acvs/labels.csv", 13909, "149389", "Close Binary Eclipsing Systems", "ra"),
        ("crts_periodic/labels.csv", 30196, "3039001008411", "Ecl_contact_semidetached", "type"),
        ("plasticc/metadata.csv", 7848, "615", "92", "hostgal_photoz"),
        ("spcc_des/labels.csv", 21319, "17", "II", "spec_train"),
        ("ztf_bts/labels.csv", 2710, "ZTF21aapfpod", "SN Ia", "redshift"),
        ("s82_rrlyrae/labels.csv", 483, "4099", "ab", "period"),
        ("formats/alerce/2000_labels.csv", 2000, "ZTF17aabvphr", "E", None),
        ("labels/keplerq9v2_targets.txt", 9499, "1026895", "APERIODIC", None),
    ],
)
def test_survey_labels(data, name, n, first, label, column):
    frame = read_labels(data / name)
    assert len(frame) == pytest.approx(n, rel=0.2)
    assert list(frame.columns[:2]) == ["object_id", "label"]
    assert (frame["object_id"].iloc[0], frame["label"].iloc[0]) == (first, label)
    assert column is None or column in frame


def test_ids_match_the_light_curves(data):
    from goodricke.io import read

    labels = read_labels(data / "s82_rrlyrae" / "labels.csv")
    assert set(read(data / "s82_rrlyrae" / "lightcurves.parquet").ids) == set(labels["object_id"])


def test_columns_by_name_prefix_and_leading_zeros(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("nr,sort\n0012,RRab\n013,\n")
    frame = read_labels(path, column="sort", id_column="nr", id_prefix="KIC ")
    assert frame["object_id"].tolist() == ["KIC 0012", "KIC 013"]
    assert frame["label"][0] == "RRab"
    assert frame["label"].isna().tolist() == [False, True]


def test_catalogue_columns_get_their_prefix(tmp_path):
    pd.DataFrame({"TIC": [5, 6], "class": [1.0, 2.0]}).to_parquet(tmp_path / "a.parquet")
    frame = read_labels(tmp_path / "a.parquet")
    assert frame["object_id"].tolist() == ["TIC 5", "TIC 6"]
    assert frame["label"].tolist() == ["1", "2"]


def test_missing_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,period\n1,2\n")
    with pytest.raises(Unreadable, match="no column for a label; it has id, period"):
        read_labels(path)
    with pytest.raises(Unreadable, match="no column sort"):
        read_labels(path, column="sort")
