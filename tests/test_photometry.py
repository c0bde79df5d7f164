"""A model takes the photometry that it was trained on from every source, and refuses light curves of another."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from goodricke import classify, read
from goodricke.cli import app
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import Photometry
from goodricke.models.bundle import Model, load_model, read_config
from goodricke.spark import classify_rows
from tests.alerts.streams import tiny_model

N = 12


def model_of(flux: str | None) -> Model:
    """Return an untrained model that states its photometry."""
    model = tiny_model()
    photometry = None if flux is None else Photometry(flux=flux)
    return Model(model.config.model_copy(update={"photometry": photometry}), model.network)


def save(flux: str | None, folder) -> str:
    model_of(flux).save(folder, "# m\n\nUntrained, for tests.\n", half=False)
    return str(folder)


def alerce_rows(object_id: str = "ZTF1", corrected: bool = True, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"oid": object_id, "mjd": 59000 + np.arange(N) * 1.5, "fid": 1 + np.arange(N) % 2})
    rows = rows.assign(magpsf=rng.normal(18, 0.5, N), sigmapsf=0.1, isdiffpos=1, corrected=corrected, dubious=False)
    total = rng.normal(16, 0.5, N) if corrected else np.full(N, np.nan)
    return rows.assign(magpsf_corr=total, sigmapsf_corr_ext=0.05)


def probabilities(predictions) -> np.ndarray:
    return np.array([predictions.column(f"p_{c}") for c in "ABC"], float).T


COLUMNS = [("difference", "magpsf", "sigmapsf"), ("total", "magpsf_corr", "sigmapsf_corr_ext")]


@pytest.mark.parametrize(("flux", "column", "error"), COLUMNS)
def test_classify_takes_the_photometry_of_the_model_from_alerce(tmp_path, flux, column, error):
    rows = pd.concat([alerce_rows("ZTF1"), alerce_rows("ZTF2", corrected=False, seed=1)])
    rows.to_csv(tmp_path / "alerce.csv", index=False)
    command = ["classify", str(tmp_path / "alerce.csv"), "--model", save(flux, tmp_path / "m")]
    CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out.parquet")], catch_exceptions=False)
    table = pd.read_parquet(tmp_path / "out.parquet").set_index("object_id")
    part = rows[rows.oid == "ZTF1"]
    band = np.where(part.fid == 1, "g", "r")
    plain = pd.DataFrame({"id": "ZTF1", "mjd": part.mjd, "mag": part[column], "magerr": part[error], "band": band})
    plain.to_csv(tmp_path / "plain.csv", index=False)
    expected = classify(read(tmp_path / "plain.csv"), model_of(flux))
    assert expected.column("status").tolist() == ["OK"]
    first = table.loc["ZTF1"]
    assert (first.status, first.photometry, first.n_obs) == ("OK", flux, N)
    np.testing.assert_allclose(first[["p_A", "p_B", "p_C"]].astype(float), probabilities(expected)[0], atol=1e-4)
    second = table.loc["ZTF2"]
    assert second.status == ("OK" if flux == "difference" else "WRONG_PHOTOMETRY")
    assert pd.isna(second.p_A) == (flux == "total")


def test_light_curves_of_another_photometry_are_refused_and_the_others_unaffected(caplog):
    rng = np.random.default_rng(2)
    curves = LightCurves.from_arrays(
        ["a", "b", "c", "d"],
        np.arange(5) * N,
        np.tile(59000 + np.arange(N) * 1.5, 4),
        rng.normal(18, 0.5, 4 * N),
        np.full(4 * N, 0.1),
        np.arange(4 * N) % 2,
        bands=("g", "r"),
        unit="mag",
    )
    stated = curves.with_columns(photometry=np.array(["difference", "total", None, "difference"], object))
    mixed, plain = classify(stated, model_of("difference")), classify(curves, model_of(None))
    assert mixed.column("status").tolist() == ["OK", "WRONG_PHOTOMETRY", "OK", "OK"]
    assert "1 light curves are not of difference photometry" in caplog.text
    kept = [0, 2, 3]
    np.testing.assert_allclose(probabilities(mixed)[kept], probabilities(plain)[kept], atol=1e-6)
    assert np.isnan(probabilities(mixed)[1]).all()
    assert classify(stated, model_of(None)).ok.all()


@pytest.mark.parametrize(("flux", "expected"), [("difference", "OK"), ("total", "WRONG_PHOTOMETRY"), (None, "OK")])
def test_spark_states_the_photometry_of_its_rows(tmp_path, flux, expected):
    part = alerce_rows()
    arrays = {"cjd": part.mjd + 2400000.5, "cmagpsf": part.magpsf, "csigmapsf": part.sigmapsf, "cfid": part.fid}
    frame = pd.DataFrame({"objectId": ["ZTF1"]} | {name: [list(values)] for name, values in arrays.items()})
    (result,) = list(classify_rows(save(flux, tmp_path / "m"))(iter([frame])))
    assert result["status"].tolist() == [expected]


def test_shipped_multiband_models_state_their_photometry():
    assert read_config("ztf-bts").photometry == Photometry(flux="difference", forced=False)
    assert read_config("plasticc").photometry == Photometry(flux="difference", forced=True)


@pytest.mark.parametrize("flux", ["difference", None])
def test_a_bundle_keeps_its_photometry(tmp_path, flux):
    folder = save(flux, tmp_path / "m")
    assert load_model(folder).config.flux_kind == flux
    stored = json.loads((tmp_path / "m" / "config.json").read_text())
    assert stored.get("photometry") == (None if flux is None else {"flux": flux, "forced": False})
    assert ("photometry" in stored) == (flux is not None)
