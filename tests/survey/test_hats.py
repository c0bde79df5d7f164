"""LSDB and HATS: predictions under the catalog's own index, written, opened, cross-matched; Catalina stars."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goodricke import classify
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, read
from goodricke.survey import Catalog, map_catalog
from goodricke.survey import catalog as run
from goodricke.survey.hats import classify_partition

lsdb = pytest.importorskip("lsdb", reason="needs goodricke[survey]")


@pytest.fixture(scope="module")
def catalina(shared) -> LightCurves:
    """Return forty Catalina stars with positions."""
    labels = pd.read_csv(shared / "data/crts_periodic/labels.csv", dtype={"id": str}).iloc[::750].set_index("id")
    path, wanted = shared / "data/crts_periodic/lightcurves.parquet", [("id", "in", labels.index.tolist())]
    points = pq.read_table(path, filters=wanted).to_pandas().sort_values(["id", "mjd"])
    curves = LightCurves.from_long(
        {"object_id": points["id"], "time": points["mjd"], "value": points["mag"], "error": points["magerr"]},
        unit="mag",
    )
    place = labels.loc[curves.ids]
    return curves.with_columns(ra=place["ra"].to_numpy(), dec=place["dec"].to_numpy())


@pytest.fixture(scope="module")
def hats(catalina, tmp_path_factory):
    """Return the folder of a HATS catalog of them, as LSDB writes it."""
    path = tmp_path_factory.mktemp("hats") / "catalina"
    frame = catalina.to_nested_pandas()
    catalog = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", margin_threshold=None, partition_rows=15)
    catalog.write_catalog(path, catalog_name="catalina", progress_bar=False)
    return path


@pytest.fixture(scope="module")
def mapped(hats, folded_model):
    return map_catalog(lsdb.open_catalog(hats), folded_model.folder, passes=2, unit="mag")


def test_nothing_is_computed_before_it_is_asked_for(mapped):
    assert {"object_id", "ra", "dec", "status", "class", "p_ECL", "p_max", "embedding"} <= set(mapped.columns)
    assert mapped.npartitions > 1


def test_partitions_get_the_answers_of_classify(mapped, catalina, folded_model):
    found = mapped.compute().set_index("object_id").loc[catalina.ids]
    direct = classify(catalina, folded_model, passes=2)
    assert found["class"].tolist() == direct.column("class").tolist()
    assert found["status"].tolist() == direct.column("status").tolist()
    np.testing.assert_allclose(found["p_ECL"].to_numpy(float), direct.column("p_ECL"), atol=1e-5)
    np.testing.assert_allclose(np.stack(found["embedding"]), np.stack(direct.column("embedding")), atol=1e-4)


def test_an_empty_partition_has_the_same_columns(mapped, hats, folded_model):
    empty = classify_partition(
        lsdb.open_catalog(hats).meta, str(folded_model.folder), folded_model.hash, 0, device="cpu"
    )
    assert len(empty) == 0
    assert set(empty.columns) <= set(mapped.columns)  # without Monte-Carlo passes there is no spread
    assert dict(empty.dtypes.items()) == {name: mapped.dtypes[name] for name in empty.columns}


def test_the_written_catalog_is_opened_and_cross_matched(mapped, hats, tmp_path):
    mapped.write_catalog(tmp_path / "classes", catalog_name="classes", progress_bar=False)
    again = lsdb.open_catalog(tmp_path / "classes")
    assert list(again.columns) == list(mapped.columns)
    both = again.crossmatch(
        lsdb.open_catalog(hats), radius_arcsec=1, suffixes=("_a", "_b"), suffix_method="all_columns"
    )
    pairs = both.compute()
    assert len(pairs) == len(again.compute()) == 41
    assert (pairs["object_id_a"] == pairs["object_id_b"]).all()


def test_columns_are_kept_as_asked(hats, folded_model):
    few = map_catalog(lsdb.open_catalog(hats), folded_model.folder, 0, unit="mag", keep=["object_id"], embedding=False)
    assert list(few.columns)[:3] == ["object_id", "ra", "dec"]
    assert "embedding" not in few.columns
    assert "n_read" not in few.columns


def test_another_model_on_a_worker_is_noticed(hats, folded_model):
    with pytest.raises(ValueError, match="another model"):
        classify_partition(lsdb.open_catalog(hats).meta, str(folded_model.folder), "another hash")


def test_the_command_reads_hats_collections_and_catalogs(hats, catalina, folded_model, tmp_path):
    direct = classify(catalina, folded_model, passes=0).table.sort_by("object_id")
    for number, folder in enumerate((hats, hats / "catalina")):
        out = tmp_path / str(number)
        assert run.catalog([str(folder)], str(folded_model.folder), out, passes=0, options={"unit": "mag"}) == 0
        table = Catalog.open(out).read().sort_by("object_id")
        assert table["class"].to_pylist() == direct["class"].to_pylist()
        assert "_healpix_29" in table.column_names


def test_readers_take_a_hats_catalog_for_what_it_is(hats, catalina):
    assert sorted(read(hats, unit="mag").ids) == sorted(catalina.ids)


def test_a_prediction_is_not_taken_from_the_catalog(catalina, folded_model):
    own = catalina.with_columns(**{"class": pa.array(["X"] * len(catalina)), "p_value": np.full(len(catalina), 2.0)})
    frame = own.to_nested_pandas()
    options = ReadOptions(unit="mag")
    found = classify_partition(frame, str(folded_model.folder), folded_model.hash, 0, options=options)
    plain = classify_partition(
        catalina.to_nested_pandas(), str(folded_model.folder), folded_model.hash, 0, options=options
    )
    assert found["class"].tolist() == plain["class"].tolist()
    assert list(found.columns) == list(plain.columns)
