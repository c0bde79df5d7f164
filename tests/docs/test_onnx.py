"""The code on the page about ONNX needs neither goodricke nor PyTorch, and gives what they give (Promise 6)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import goodricke as gr
from goodricke.data.lightcurves import LightCurves
from goodricke.inference import step_probabilities
from goodricke.models.bundle import Model
from goodricke.models.export import export
from goodricke.preprocess import Frames, Steps, prepare
from tests.docs.blocks import ROOT, blocks_of
from tests.making import sky

pytest.importorskip("onnxruntime", reason="exported models are run by onnxruntime")
pytest.importorskip("onnxscript", reason="export needs goodricke[onnx]")

PLAIN = "import sys\nsys.modules.update(dict.fromkeys(['torch', 'goodricke', 'pandas', 'scipy']))\n"
REPLAY = """
found = []
for one in json.loads(Path("curves.json").read_text()):
    state = new_state()
    for observation in one:
        p = update(state, *observation)
        if p is not None:
            found.append(p)
np.save("steps.npy", found)
"""


def run(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", PLAIN + code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_code_gives_what_goodricke_gives(folded_model: Model, stars: LightCurves, tmp_path: Path) -> None:
    functions, preparing, whole, step, night = (
        block.text for block in blocks_of(ROOT / "docs" / "onnx.md") if block.language == "python"
    )
    assert "goodricke" in preparing
    assert not any(re.search(r"import (goodricke|torch)|from (goodricke|torch)", x) for x in (functions, whole, step))

    export(folded_model, tmp_path / "asas-v.onnx")
    prepared = prepare(stars, folded_model.preprocessing)
    assert isinstance(prepared, Frames)
    batch = {name: x.numpy() for name, x in prepared.batch(np.arange(len(stars)))._asdict().items()}
    np.savez(tmp_path / "stars.npz", ids=np.array(stars.ids), **batch)

    model, curves = gr.load_model("ztf-bts"), sky(8, counts=(8, 30))[0]
    export(model, tmp_path / "ztf-bts-onnx")
    names = np.array(curves.bands)[curves.band]
    columns = [names, *(x.astype(float) for x in (curves.time, curves.value, curves.error))]
    points = [list(point) for point in zip(*(x.tolist() for x in columns), strict=True)]
    parts = [points[a:b] for a, b in zip(curves.offsets[:-1], curves.offsets[1:], strict=True)]
    (tmp_path / "curves.json").write_text(json.dumps(parts))

    told = run("\n".join([functions, whole, 'np.save("whole.npy", p)', step, night, REPLAY]), tmp_path)
    expected = gr.classify(stars, folded_model, passes=0).probabilities
    np.testing.assert_allclose(np.load(tmp_path / "whole.npy"), expected, atol=1e-5)
    steps = prepare(curves, model.preprocessing)
    assert isinstance(steps, Steps)
    np.testing.assert_allclose(np.load(tmp_path / "steps.npy"), step_probabilities(model, steps), atol=1e-4)
    assert told.count("'IA'") == 6  # answers of the night by night example
