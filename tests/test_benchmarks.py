"""The benchmarks run, at toy sizes, and the plain networks that they measure against say the same; nothing is timed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from benchmarks import __main__ as program
from benchmarks import (
    astrafier,
    explorer,
    gpu,
    growth,
    multiband,
    onnx,
    ratios,
    reading,
    robustness,
    similar,
    simulate,
    variables,
)
from benchmarks.plain.astrafier import plain_network
from benchmarks.processes import run_in_processes
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from goodricke.models.astrafier import Astrafier, AstrafierConfig
from goodricke.preprocess.tensors import Batch
from tests.making import sky
from tests.processes import process


@pytest.fixture(autouse=True)
def _toy_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the machine's own rates, which took most of the time here, with small arrays too."""
    monkeypatch.setattr("benchmarks.timing.CPU_MATRIX", 256)  # not too quick for the clock of processes
    monkeypatch.setattr("benchmarks.timing.COPIED", 8)
    monkeypatch.setattr("benchmarks.multiband.IN_A_ROW", 4)


def finite(figures: dict[str, dict[str, Any]]) -> bool:
    numbers = [x for case in figures.values() for x in case.values() if isinstance(x, float)]
    return bool(numbers) and bool(np.isfinite(numbers).all()) and min(numbers) >= 0


def test_worse_light_curves_are_worse_in_one_way_each() -> None:
    curves, _ = sky(n=50, counts=(200, 201))
    worse = {name: change(curves) for name, change in robustness.KINDS.items()}
    np.testing.assert_array_equal(worse["as observed"].value, curves.value)
    assert abs(worse["40 observations"].n_obs.mean() - 40) < 3
    assert np.isnan(worse["no errors"].error).all()
    np.testing.assert_array_equal(worse["errors twice as large"].error, 2 * curves.error)
    added = worse["noise 1.4 times"].value.astype(np.float64) - curves.value
    assert np.std(added / curves.error) == pytest.approx(1, abs=0.05)
    for name in ("no errors", "errors twice as large"):
        np.testing.assert_array_equal(worse[name].value, curves.value)


def test_multiband_benchmarks_run() -> None:
    results = multiband.run(tiny=True)
    assert finite(results)
    differences = [f["largest difference of a logit"] for f in results.values() if "largest difference of a logit" in f]
    assert len(differences) == 2
    assert max(differences) < 1e-5


@pytest.mark.parametrize("benchmark", [astrafier.forward, astrafier.passes, astrafier.training, astrafier.workers])
def test_astrafier_benchmarks_run(benchmark: Any) -> None:
    results = benchmark(tiny=True)
    assert finite(results)
    assert {"plain" in name for name in results} == {True, False}
    for name, figures in results.items():
        assert figures.get("difference of a logit", 0) < (5e-2 if "bfloat16" in name else 5e-5)


def test_the_benchmark_of_gpus_says_if_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "sees no GPU" in gpu.run()["none"]["not measured"]


def test_the_benchmark_of_gpus_runs() -> None:
    results = gpu.run(tiny=True)
    assert finite(results)
    assert not any("not measured" in figures for figures in results.values())
    (training,) = (figures for name, figures in results.items() if name.startswith("training"))
    assert training["epoch of 12,000 [s]"] == pytest.approx(12_000 / training["light curves per second"])


def test_the_benchmark_of_the_explorer_runs() -> None:
    results = explorer.run(tiny=True)
    assert finite(results)
    assert "opening 2,000 rows" in results


def test_reading_benchmarks_run_and_agree() -> None:
    prepared, files = reading.preprocessing(tiny=True), reading.files(tiny=True)
    assert finite(prepared)
    assert finite(files)
    assert prepared["goodricke"]["largest difference"] < 1e-4
    assert files["goodricke"]["largest difference"] == 0


def test_the_benchmark_of_exported_models_runs_and_agrees() -> None:
    results = onnx.run(tiny=True)
    assert finite(results)
    for name, figures in results.items():
        assert figures["difference of a logit"] < (5e-2 if "bfloat16" in name else 1e-4)


def test_the_benchmark_of_neighbours_runs_and_agrees() -> None:
    results = similar.run(tiny=True)
    assert finite(results)
    neighbours, suggestions = results.values()
    assert neighbours["largest difference of a distance"] < 1e-5
    assert suggestions["suggestions"] == 50


def test_the_benchmark_of_simulating_runs() -> None:
    pytest.importorskip("batman")
    assert finite(simulate.dense(tiny=True))


def test_the_benchmark_of_candidate_periods_runs_and_agrees() -> None:
    results = variables.run(tiny=True)
    assert finite(results)
    assert results["candidates"]["this / candidates"] == 1
    assert results["3 simulated stars against brute force"]["same, or a score as high"] == 1


def test_the_benchmark_of_growth_runs() -> None:
    results = growth.run(tiny=True)
    times = {name: figures["time [s]"] for name, figures in results.items() if "time [s]" in figures}
    assert len(times) == 7
    assert min(times.values()) > 0
    assert results["ASTRAFier, attention takes half of the time"]["from points"] > 0


def test_the_command_writes_json_and_a_table(tmp_path: Path) -> None:
    app = program.typer.Typer()
    app.command()(program.main)
    run = CliRunner().invoke(app, ["--tiny", "--only", "reading", "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    (result,), (table,) = tmp_path.glob("*.json"), tmp_path.glob("*.md")
    assert set(json.loads(result.read_text())) == {"machine", "reading"}
    assert "| goodricke |" in table.read_text()
    assert CliRunner().invoke(app, ["--only", "writing", "--out", str(tmp_path)]).exit_code == 2


def test_cases_run_in_processes_of_their_own() -> None:
    before = dict(os.environ)
    (one, asked, memory), (other, *_) = run_in_processes(process, workers=2, variables={"MALLOC_TOP_PAD_": "65536"})
    assert len({one, other, os.getpid()}) == 3
    assert asked == "65536"
    assert dict(os.environ) == before
    assert 0 < memory < 4


# ---- the plain network --------------------------------------------------------------------------------------------


def any_weights(config: AstrafierConfig) -> Astrafier:
    """Return a network none of whose parameters is zero or one, so that each must be copied to its place."""
    torch.manual_seed(0)
    network = Astrafier(config).eval()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p), alpha=0.1 if p.ndim == 1 else 0.05)
    return network


def padded(lengths: list[int], dtype: torch.dtype = torch.float32) -> Batch:
    torch.manual_seed(1)
    mask = torch.arange(max(lengths) + 3) < torch.tensor(lengths)[:, None]
    time = torch.rand(mask.shape, dtype=dtype).cumsum(1) / 24
    return Batch(torch.randn(*mask.shape, 1, dtype=dtype) * mask[:, :, None], time * mask, mask, None)


@pytest.mark.parametrize("lengths", [[200, 200], [220, 1, 57, 219, 120]], ids=["equal", "various"])
def test_the_plain_network_gives_the_same_logits(lengths: list[int]) -> None:
    network = any_weights(AstrafierConfig())
    plain = plain_network(network)
    assert sum(p.numel() for p in plain.parameters()) == network.n_parameters == 8_755_240
    batch = padded(lengths)
    with torch.inference_mode():
        logits = network(*batch).logits
        torch.testing.assert_close(plain(*batch[:3]), logits, atol=5e-5, rtol=0)
    assert logits.std(0).max() > 1e-3  # they do depend on the light curve


def test_the_plain_network_gives_the_same_logits_and_gradients_in_double_precision() -> None:
    network = any_weights(AstrafierConfig(embed=32, heads=4, hidden=40, kernels=(3, 7, 65), blocks=2)).double()
    plain, batch = plain_network(network), padded([90, 31, 0, 64], torch.float64)
    ours, theirs = network(*batch).logits, plain(*batch[:3])
    torch.testing.assert_close(theirs, ours, atol=1e-10, rtol=0)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    expected = {n: p.grad for n, p in network.named_parameters()}
    for name, p in plain.named_parameters():
        if name in expected:
            torch.testing.assert_close(p.grad, expected[name].reshape(p.shape), atol=1e-9, rtol=1e-7, msg=name)


def test_operations_are_those_that_pytorch_counts() -> None:
    config = AstrafierConfig()
    assert astrafier.operations(config, 1171) == pytest.approx(21.49e9, rel=2e-3)  # as the specification has it
    plain = plain_network(
        Astrafier(config)
    ).double()  # in single precision the recurrent layers are one call, not counted
    flux, time, mask = torch.zeros(1, 100, 1).double(), torch.zeros(1, 100).double(), torch.ones(1, 100).bool()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        plain(flux, time, mask)
    assert counter.get_total_flops() == pytest.approx(astrafier.operations(config, 100), rel=1e-3)


@pytest.mark.parametrize(("recorded", "code", "message"), [(100.0, 1, "More than 20 %"), (0.01, 0, ""), (None, 0, "")])
def test_a_ratio_that_has_fallen_is_an_error(recorded, code, message, tmp_path, monkeypatch):
    pair = ratios.Pair(lambda: sum(range(200_000)), lambda: sum(range(100_000)))
    monkeypatch.setattr(ratios, "pairs", lambda _: {"sums": pair})
    monkeypatch.setattr(ratios, "RECORDS", tmp_path / "ratios.json")
    if recorded is not None:
        ratios.RECORDS.write_text(json.dumps({ratios.kind_of_processor(): {"sums": recorded}}))
    app = typer.Typer()
    app.command()(ratios.main)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == code
    assert message in result.output
    assert CliRunner().invoke(app, ["--record"]).exit_code == 0
    assert 1 < json.loads(ratios.RECORDS.read_text())[ratios.kind_of_processor()]["sums"] < 4
