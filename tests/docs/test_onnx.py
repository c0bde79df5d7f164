"""The code on the page about ONNX needs neither goodricke nor PyTorch, and gives the same answers to real alerts."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.models.bundle import Model
from goodricke.preprocess import Frames, prepare
from tests.docs.blocks import ROOT, blocks_of
from tests.making import sky

PLAIN = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'goodricke', 'pandas', 'scipy']))\n"
ALERTS = """
objects = json.loads(open("alerts.json").read())
out = run(session, arrays(objects, bands) | new_state(session, len(objects)))
np.savez("answers.npz", answers=np.array(metadata["answers"] + [""])[out["answer"]], **out)
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PLAIN + code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python_blocks() -> list[str]:
    """Return the page's Python, of which only the fourth last needs goodricke."""
    return [block.text for block in blocks_of(ROOT / "docs" / "onnx.md") if block.language == "python"]


def test_plain_code_runs_prepared_light_curves(
    calibrated_model: Model, exported_stars: Path, stars: LightCurves, tmp_path: Path
) -> None:
    functions, *_, preparing, batch_code = python_blocks()
    assert "goodricke" in preparing
    assert not re.search(r"(import|from) (goodricke|torch)", functions + batch_code)
    shutil.copy(exported_stars, tmp_path / "variables.onnx")
    prepared = prepare(stars, calibrated_model.preprocessing)
    assert isinstance(prepared, Frames)
    batch = {name: x.numpy() for name, x in prepared.batch(np.arange(len(stars)))._asdict().items()}
    np.savez(tmp_path / "stars.npz", ids=np.array(stars.ids), **batch)
    run("\n".join([functions, batch_code, 'np.save("p.npy", out["probabilities"])']), tmp_path)
    expected = gr.classify(stars, calibrated_model, passes=0).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), expected, atol=1e-5)


@pytest.mark.parametrize("source", ["simulated", "fink/ztf_alerts.parquet", "alerce/detections_sample.parquet"])
def test_plain_code_answers_alerts_as_the_package(
    source: str, exported_transients: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    functions, alert_functions, whole, nightly, *_ = python_blocks()
    assert not re.search(r"(import|from) (goodricke|torch)", functions + alert_functions + whole + nightly)
    if source == "simulated":
        curves = sky(8, counts=(1, 30))[0]
        points = nanojansky(curves.value.astype(float), curves.error.astype(float))
    else:
        formats = request.getfixturevalue("shared") / "data" / "formats"
        curves = gr.read(formats / source, photometry="difference")
        points = curves.value.astype(float), curves.error.astype(float)
        assert curves.unit == "nJy"
        assert len(curves) >= 10
    columns = curves.time, np.array(curves.bands)[curves.band], *points
    observations = [list(point) for point in zip(*(x.tolist() for x in columns), strict=True)]
    parts = [observations[a:b] for a, b in zip(curves.offsets[:-1], curves.offsets[1:], strict=True)]
    (tmp_path / "alerts.json").write_text(json.dumps(parts))
    shutil.copy(exported_transients, tmp_path / "ztf-bts.onnx")

    printed = run("\n".join([functions, alert_functions, whole, nightly, ALERTS]), tmp_path).splitlines()
    assert printed[0] == printed[-1]  # at once and night by night
    assert printed[0].startswith(("IA ", "SN", "TRANSIENT "))

    model, out = gr.load_model("ztf-bts"), np.load(tmp_path / "answers.npz")
    _, expected = model.update(model.init_state(len(curves)), curves)
    table, ok = expected.table.to_pandas(), expected.ok
    assert ok.any()
    np.testing.assert_allclose(out["probabilities"], expected.probabilities, atol=1e-5)
    assert out["answers"][ok].tolist() == table["class"][ok].tolist()
    sets = [set(np.array(model.classes)[row]) for row in out["prediction_set"]]
    assert sets == [set() if names is None else set(names) for names in table["prediction_set"]]
    np.testing.assert_allclose(out["novelty"][ok], table["novelty"][ok].astype(float), atol=0.01)
