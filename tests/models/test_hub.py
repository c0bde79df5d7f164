"""Models from a hub and to it, without one: a cache as the hub's client keeps it, and a client that only listens."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import goodricke as gr
from goodricke.cli import app
from goodricke.models.bundle import load_model, read_config
from goodricke.models.hub import FILES, SHIPPED, fetch, push

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


def test_what_is_not_there_names_place_and_mend(cache):
    with pytest.raises(FileNotFoundError, match=r"no folder 'me/other'.*HF_HUB_OFFLINE=0 hf download me/other") as told:
        load_model("me/other")
    assert str(cache) in str(told.value)
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
        (ConnectionError("no route"), "can't be reached .ConnectionError.. Try again with network"),
        ("RepositoryNotFoundError", "Check the spelling; for a private one   hf auth login"),
        ("GatedRepoError", "ask on its page"),
        ("RevisionNotFoundError", "not this revision"),
        ("HfHubHTTPError", "the hub refused"),
    ],
)
def test_each_refusal_has_its_mend(error, message, monkeypatch):
    if isinstance(error, str):
        kind = getattr(hub.errors, error)
        error = kind.__new__(kind)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "snapshot_download", lambda *a, **k: (_ for _ in ()).throw(error))
    with pytest.raises(FileNotFoundError, match=message):
        load_model("me/stars@v2")


class Listener:
    """A hub that takes down what it is told."""

    told: list = []  # noqa: RUF012  one for all

    def __init__(self, **about):
        self.told.clear()

    def create_repo(self, name, **how):
        self.told.append(("create", name, how))

    def upload_folder(self, **how):
        self.told.append(("upload", how))
        return "https://hub/me/mine/commit/1"


def test_a_pushed_model_is_its_files_and_no_others(monkeypatch):
    monkeypatch.setattr(hub, "HfApi", Listener)
    result = CliRunner().invoke(app, ["models", "push", "ztf-bts", "me/mine", "--private"])
    assert result.exit_code == 0, result.output
    assert "https://hub/me/mine/commit/1" in result.output.replace("\n", "")
    (_, name, how), (_, upload) = Listener.told
    assert (name, how) == ("me/mine", {"private": True, "exist_ok": True})
    assert upload["folder_path"] == SHIPPED / "ztf-bts"
    assert upload["allow_patterns"] == list(FILES)
    assert {path.name for path in (SHIPPED / "ztf-bts").iterdir()} <= set(FILES)


@pytest.mark.usefixtures("cache")
def test_a_push_that_fails_says_so(tmp_path):
    with pytest.raises(ValueError, match="write owner/name"):
        push(SHIPPED / "ztf-bts", "stars")
    with pytest.raises(OSError, match="not put on the hub: it can't be reached"):
        push(SHIPPED / "ztf-bts", "me/stars")
    result = CliRunner().invoke(app, ["models", "push", str(tmp_path), "me/mine"])
    assert result.exit_code == 2  # no model: nothing goes out
    assert "no model" in result.output


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(FileNotFoundError, match=r"goodricke\[hub\]"):
        load_model("me/stars")
