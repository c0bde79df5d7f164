"""Models by name and their completion in a shell; models from and to a hub, with a cache and a client that records."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

import goodricke as gr
from goodricke.cli import app
from goodricke.models.bundle import load_model, read_config
from goodricke.models.hub import FILES, SHIPPED, completions, fetch, push, shipped_models
from tests.hub_server import COMMIT, hub_server, write_tensors

hub = pytest.importorskip("huggingface_hub", reason="hubs need goodricke[hub]")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache of the hub's client that has fetched ``me/stars`` once; there is no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "hub" / "models--me--stars"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(SHIPPED / "ztf-bts", folder / "snapshots" / commit)
    for name, value in (("HF_HUB_CACHE", str(tmp_path / "hub")), ("HF_HUB_OFFLINE", True)):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv(name, str(value))
    return tmp_path / "hub"


@pytest.mark.usefixtures("cache")
def test_a_fetched_model_is_found_without_network():
    model = load_model("me/stars", verify=True)
    assert model.hash == load_model("ztf-bts").hash
    assert read_config("me/stars").classes == model.classes
    result = CliRunner().invoke(app, ["models", "verify", "me/stars"])
    assert result.exit_code == 0, result.output
    loaded = gr.GoodrickeClassifier.load("me/stars")
    np.testing.assert_array_equal(loaded.classes_, model.classes)


def test_the_error_of_a_missing_model_names_its_fix(cache):
    with pytest.raises(
        FileNotFoundError, match=r"no folder 'me/other'.*HF_HUB_OFFLINE=0 hf download me/other"
    ) as error:
        load_model("me/other")
    assert str(cache) in str(error.value)
    with pytest.raises(FileNotFoundError, match="no repository's name"):
        load_model("me me/stars")
    (config,) = cache.rglob("config.json")
    config.unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json: it is no goodricke model"):
        fetch("me/stars")
    result = CliRunner().invoke(app, ["models", "show", "me/other"])
    assert result.exit_code == 2
    assert "HF_HUB_OFFLINE" in result.output


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no route"), "can't be reached .ConnectionError: no route.. Try again with network"),
        ("RepositoryNotFoundError", "Check the spelling; for a private one   hf auth login"),
        ("GatedRepoError", "request access on its page"),
        ("RevisionNotFoundError", "not this revision"),
        ("HfHubHTTPError", "the hub refused"),
    ],
)
def test_each_refusal_names_its_fix(error, message, monkeypatch):
    if isinstance(error, str):
        kind = getattr(import_module("huggingface_hub.errors"), error)
        error = kind.__new__(kind)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "snapshot_download", lambda *a, **k: (_ for _ in ()).throw(error))
    with pytest.raises(FileNotFoundError, match=message):
        load_model("me/stars@v2")


class RecordingClient:
    """A client of a hub that records its calls."""

    calls: list = []  # noqa: RUF012  shared by all instances

    def __init__(self, **options):
        self.calls.clear()

    def create_repo(self, name, **how):
        self.calls.append(("create", name, how))

    def upload_folder(self, **how):
        self.calls.append(("upload", how))
        return "https://hub/me/mine/commit/1"


def test_a_pushed_model_is_its_files_and_no_others(monkeypatch):
    monkeypatch.setattr(hub, "HfApi", RecordingClient)
    result = CliRunner().invoke(app, ["models", "push", "ztf-bts", "me/mine", "--private"])
    assert result.exit_code == 0, result.output
    assert "https://hub/me/mine/commit/1" in result.output.replace("\n", "")
    (_, name, how), (_, upload) = RecordingClient.calls
    assert (name, how) == ("me/mine", {"private": True, "exist_ok": True})
    assert upload["folder_path"] == SHIPPED / "ztf-bts"
    assert upload["allow_patterns"] == list(FILES)
    assert {path.name for path in (SHIPPED / "ztf-bts").iterdir()} <= set(FILES)


@pytest.mark.usefixtures("cache")
def test_the_error_of_a_failed_push(tmp_path):
    with pytest.raises(ValueError, match="write owner/name"):
        push(SHIPPED / "ztf-bts", "stars")
    with pytest.raises(OSError, match="was not uploaded: it can't be reached"):
        push(SHIPPED / "ztf-bts", "me/stars")
    result = CliRunner().invoke(app, ["models", "push", str(tmp_path), "me/mine"])
    assert result.exit_code == 2  # no model: nothing goes out
    assert "no model" in result.output


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"goodricke\[hub\]"):
        load_model("me/stars")


# ---- names and their completion ------------------------------------------------------------------------------------


def test_shipped_models_are_those_that_load():
    assert [read_config(name).name for name in shipped_models()] == shipped_models()
    assert "variables" in shipped_models()


def test_completions_begin_as_typed():
    assert completions("") == shipped_models()
    assert completions("va") == ["variables"]
    assert completions("variables/") == completions(str(SHIPPED)) == []  # the shell completes files and folders


def complete(line: str, **environment: str) -> str:
    """Return the command's completions of a line for a shell."""
    line = f"goodricke {line}"
    words = line.split(" ")
    request = {"_GOODRICKE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from goodricke.cli import app; sys.argv[0] = 'goodricke'; app(prog_name='goodricke')"
    variables = os.environ | request | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    "line",
    ["classify stars.csv --model va", "models show va", "evaluate plasticc va", "alerts replay stars.csv --model va"],
)
def test_the_shell_is_offered_models(line):
    assert complete(line).split() == ["variables"]


def test_completion_loads_nothing_heavy():
    code = (
        "import sys, goodricke.cli\n"
        "from goodricke.models.hub import completions\n"
        "completions('a')\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'astropy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_option_that_takes_a_model_completes():
    """Every option or argument called ``model`` of every command has a completion."""
    pending, forgotten, count = [("goodricke", get_command(app))], [], 0
    while pending:
        name, command = pending.pop()
        pending += [(f"{name} {k}", v) for k, v in getattr(command, "commands", {}).items()]
        for parameter in command.params:
            if parameter.name in ("model", "model_a", "model_b"):
                count += 1
                if getattr(parameter, "_custom_shell_complete", None) is None:
                    forgotten.append(f"{name} {parameter.opts}")
    assert count > 8
    assert forgotten == [], forgotten


# ---- the published checkpoint --------------------------------------------------------------------------------------


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the hub's client, and work in a folder of its own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "hub"


class Malice:
    """A pickle that leaves a trace where it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.usefixtures("empty_cache")
def test_the_published_weights_and_data_in_one_command_each(shared, tmp_path, monkeypatch):
    weights = (shared / "fixtures" / "astrafier" / "one.ckpt").read_bytes()
    write_tensors(tmp_path, "test", 8, 100)
    data = {name: (tmp_path / name).read_bytes() for name in ("test.safetensors", "test.json")}
    repositories = {"paulg9/astrafier": {"model.ckpt": weights}, "datasets/paulg9/astrafier_dataset": data}
    with hub_server(repositories) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        code, output = invoke("models", "import", "paulg9/astrafier")
        assert code == 0, output
        card = Path("astrafier-published", "README.md").read_text()
        for fact in ("hf://paulg9/astrafier/model.ckpt", COMMIT, hashlib.sha256(weights).hexdigest()):
            assert fact in card
        address = "hf://datasets/paulg9/astrafier_dataset/test.safetensors"
        command = ("evaluate", "astrafier-published", "--light-curves", address)
        code, output = invoke(*command, "--mc", "0", "--out", "scores")
    assert code == 0, output
    assert "8 of 8 objects scored: held out by the column part" in output
    assert "Gregory et al., Table 4" in output
    assert "0.9240" in output  # the printed precision of CONTACT_ROT
    scores = json.loads(Path("scores", "metrics.json").read_text())["models"]["astrafier-published"]["scores"]
    assert scores["n"] == 8
    assert load_model("astrafier-published").preprocessing.frames == 1171


@pytest.mark.usefixtures("empty_cache")
def test_errors_of_the_import_name_the_fix(tmp_path, monkeypatch):
    torch.save({"state_dict": {"head.weight": Malice(tmp_path / "trace")}}, tmp_path / "bad.ckpt")
    files = {"evil/one": {"model.ckpt": (tmp_path / "bad.ckpt").read_bytes()}, "some/thing": {"a.txt": b"a"}}
    with hub_server(files) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for name, message in {
            "evil/one": "which goodricke never does",
            "some/thing": "has no model.ckpt and no model.safetensors. Fix: name the file",
            "no/body": "the hub has no no/body",
            "evil/one@v9": "not this revision",
            "weights/missing.ckpt": "does not exist. Fix: give a file",
        }.items():
            code, output = invoke("models", "import", name)
            assert code == 2, output
            assert message in output
    assert not (tmp_path / "trace").exists()
    assert not Path("astrafier-published").exists()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # tries again for 23 s
    code, output = invoke("models", "import", "never/seen")
    assert code == 2
    assert "not in the hub's cache" in output
    assert "Try again with network" in output


@pytest.mark.usefixtures("empty_cache")
def test_an_import_replaces_no_other_folder(shared):
    Path("astrafier-published").mkdir()
    code, output = invoke("models", "import", str(shared / "fixtures" / "astrafier" / "one.ckpt"))
    assert code == 2
    assert "is no model. Fix: name another folder with --out" in output
