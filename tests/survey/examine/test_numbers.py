import json

import numpy as np
import pyarrow as pa
import pytest

from goodricke.data.json import json_values
from goodricke.survey.examine import numbers
from goodricke.survey.examine.sample import CatalogSample

from .catalogs import CLASSES, catalog, degenerate, sample, with_stars


def of_frequencies(f1, span=27.0, **columns) -> CatalogSample:
    n = len(f1)
    table = {"object_id": [str(k) for k in range(n)], "f1": f1, "span": np.full(n, span)}
    table |= {f"p_{name}": np.full(n, p) for name, p in zip(CLASSES, (0.9, 0.06, 0.04), strict=True)}
    return CatalogSample(pa.table(table | columns), CLASSES, np.full(n, -1))


def test_counts():
    found = sample(catalog(300))
    rows = numbers.counts(found)
    assert [row["class"] for row in rows] == list(CLASSES)
    assert sum(row["light_curves"] for row in rows) == 270
    assert sum(row["stars"] for row in rows) == 135
    for row in rows:
        assert row["stars"] >= row["stars_at_0.5"] >= row["stars_at_0.8"]
    assert numbers.statuses(found) == {"OK": 270, "TOO_FEW_POINTS": 30}


def test_agreement():
    found = sample(catalog(300), labelled=1.0)
    for row in numbers.agreement(found):
        assert row["right"] == row["with_label"]
        assert row["purity"] == 1
        assert row["completeness"] == row["right"] / row["labelled"]


def test_distributions():
    found = sample(with_stars(catalog(400)), labelled=0.5)
    rows = {(r["class"], r["quantity"], r["of"]): r for r in numbers.distributions(found)}
    assert len(rows) == 3 * 3 * 3
    assert rows["DSCT_BCEP", "f1", "p >= 0.8"]["median"] == pytest.approx(15, rel=0.2)
    assert rows["GDOR_SPB", "f1", "p >= 0.5"]["ks"] < 0.3
    assert np.isnan(rows["GDOR_SPB", "f1", "labelled"]["ks"])


def test_a_ridge_at_one_per_day_is_found():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(0.02, 5, 3000)
    assert not any(each.suspicious for each in numbers.excesses(of_frequencies(smooth)))
    ridge = np.append(smooth, rng.normal(1.0, 0.003, 60))
    found = {each.short: each for each in numbers.excesses(of_frequencies(ridge))}
    assert [name for name, each in found.items() if each.suspicious] == ["1/d"]
    assert found["1/d"].inside > found["1/d"].beside + 40


def test_suspects_that_the_span_does_not_tell_from_zero_are_left_out():
    assert "month" not in {each.short for each in numbers.excesses(of_frequencies(np.ones(50), span=27))}
    assert "month" in {each.short for each in numbers.excesses(of_frequencies(np.ones(50), span=1000))}


def test_a_camera_with_its_own_ridge_is_found():
    rng = np.random.default_rng(0)
    f1, camera = rng.uniform(0.1, 5, 2000), np.arange(2000) % 4 + 1
    f1[camera == 3] = np.where(rng.random(500) < 0.3, 1.0, f1[camera == 3])
    rows = numbers.by_group(of_frequencies(f1, camera=pa.array(camera, pa.int32()), sector=pa.nulls(2000, pa.int32())))
    assert {(row["group"], row["value"]) for row in rows} == {("camera", k) for k in (1, 2, 3, 4)}
    assert [row["value"] for row in rows if row["suspicious"]] == [3]


def test_hybrids_are_listed_by_share():
    found = sample(catalog(300))
    rows = numbers.hybrid_rows(found)
    assert len(rows) == found.hybrids().sum()
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    assert sum(numbers.count_pairs(rows).values()) == len(rows)


@pytest.mark.parametrize("name", degenerate())
def test_all_numbers_of(name):
    found = degenerate()[name]
    told = [numbers.counts(found), numbers.statuses(found), numbers.agreement(found), numbers.distributions(found)]
    told += [[vars(each) for each in numbers.excesses(found)], numbers.by_group(found), numbers.hybrid_rows(found)]
    json.dumps(json_values(told), allow_nan=False)
