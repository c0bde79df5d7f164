"""The code on the page about ONNX needs neither goodricke nor PyTorch, and gives the same probabilities."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.inference import step_probabilities
from goodricke.models.bundle import Model
from goodricke.preprocess import Frames, Steps, prepare
from tests.docs.blocks import ROOT, blocks_of
from tests.making import sky

PLAIN = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'goodricke', 'pandas', 'scipy']))\n"
REPLAY = """
steps = []
for one in json.loads(Path("curves.json").read_text()):
    state = new_state()
    for observation in one:
        p = update(state, *observation)
        if p is not None:
            steps.append(p)
np.save("steps.npy", steps)
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PLAIN + code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_code_gives_what_goodricke_gives(
    calibrated_model: Model, exported_stars: Path, exported_transients: list[Path], stars: LightCurves, tmp_path: Path
) -> None:
    functions, preparing, batch_code, step, night = (
        block.text for block in blocks_of(ROOT / "docs" / "onnx.md") if block.language == "python"
    )
    assert "goodricke" in preparing
    assert not re.search(r"(import|from) (goodricke|torch)", functions + batch_code + step)

    shutil.copy(exported_stars, tmp_path / "variables.onnx")
    prepared = prepare(stars, calibrated_model.preprocessing)
    assert isinstance(prepared, Frames)
    batch = {name: x.numpy() for name, x in prepared.batch(np.arange(len(stars)))._asdict().items()}
    np.savez(tmp_path / "stars.npz", ids=np.array(stars.ids), **batch)

    model, curves = gr.load_model("ztf-bts"), sky(8, counts=(8, 30))[0]
    shutil.copytree(exported_transients[0].parent, tmp_path / "ztf-bts-onnx")
    names = np.array(curves.bands)[curves.band]
    columns = [names, curves.time, *nanojansky(curves.value.astype(float), curves.error.astype(float))]
    points = [list(point) for point in zip(*(x.tolist() for x in columns), strict=True)]
    parts = [points[a:b] for a, b in zip(curves.offsets[:-1], curves.offsets[1:], strict=True)]
    (tmp_path / "curves.json").write_text(json.dumps(parts))

    output = run("\n".join([functions, batch_code, 'np.save("stars.npy", p)', step, night, REPLAY]), tmp_path)
    expected = gr.classify(stars, calibrated_model, passes=0).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "stars.npy"), expected, atol=1e-5)
    steps = prepare(curves, model.preprocessing)
    assert isinstance(steps, Steps)
    np.testing.assert_allclose(np.load(tmp_path / "steps.npy"), step_probabilities(model, steps), atol=1e-4)
    assert output.count("'IA'") == 6  # answers of the night by night example
