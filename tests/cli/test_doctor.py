"""The doctor finds what is missing and broken, and whatever it meets is a line of its report."""

import json
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from goodricke.cli import app, doctor
from goodricke.cli.doctor import Check, Report, examine, guarded, show
from goodricke.models.bundle import load_model
from goodricke.models.hub import shipped_models

REQUIRES = [
    "numpy>=2.0",
    "scipy>=99",
    "nosuchthing>=1",
    'huggingface_hub>=0.24; extra == "hub"',
    'nosuchthing; extra == "more"',
    'pyarrow>=99; extra == "more"',
    'goodricke[more]; extra == "test"',
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let goodricke want other packages than it does."""
    told = metadata.metadata("numpy")  # any message will do
    while "Provides-Extra" in told:
        del told["Provides-Extra"]
    for extra in ("more", "test"):
        told["Provides-Extra"] = extra
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: REQUIRES)
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: told)


def by_name(checks) -> dict[str, Check]:
    return {check.name: check for check in checks}


# ---- what is installed --------------------------------------------------------------------------------------------


def test_packages_that_are_missing_or_too_old_are_broken_with_their_pip_line(installed):
    found = by_name(doctor.versions())
    assert found["numpy"] == Check("versions", "numpy", "ok", metadata.version("numpy"))
    assert (found["scipy"].state, found["scipy"].fix) == ("broken", "pip install 'scipy>=99'")
    assert (found["nosuchthing"].state, found["nosuchthing"].found) == ("broken", "none")
    assert "huggingface_hub" not in found  # an extra's


def test_extras_are_no_fault_and_name_their_pip_line(installed):
    (more,) = doctor.extras()
    assert (more.name, more.state, more.fix) == ("more", "missing", "pip install 'goodricke[more]'")
    assert "without nosuchthing" in more.found
    assert "wanted >=99" in more.found
    assert not Report((more,)).broken


def test_goodricke_itself_is_well_here():
    broken = [check for check in examine().checks if check.state == "broken"]
    assert broken == []


# ---- models -------------------------------------------------------------------------------------------------------


def test_models_have_their_hashes_and_are_verified_if_asked():
    found = by_name(doctor.models(verify=False))
    assert list(found) == shipped_models()
    assert found["ztf-bts"].found.startswith(load_model("ztf-bts").hash)
    assert "reproduced" not in found["ztf-bts"].found
    assert "reproduced to" in doctor._model("ztf-bts", verify=True).found


def test_a_damaged_model_is_told_and_the_others_are_looked_at(monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{")
    for place in ("names", "bundle"):
        monkeypatch.setattr(f"goodricke.models.{place}.SHIPPED", tmp_path)
    found = by_name(doctor.models(verify=True))
    assert {name: check.state for name, check in found.items()} == {"one": "broken", "two": "broken"}
    assert "config.json is damaged" in found["one"].found
    monkeypatch.setattr("goodricke.models.hub.SHIPPED", tmp_path / "nowhere")
    assert [check.state for check in doctor.models(verify=False)] == ["broken"]


# ---- threads and disks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "state", "fix"),
    [(1, "ok", ""), (8, "ok", "unset OMP_NUM_THREADS"), (0, "note", "export OMP_NUM_THREADS=0")],
)
def test_threads_are_held_against_cores(cores, state, fix, monkeypatch):
    monkeypatch.setattr(doctor, "_cores", lambda: cores)  # the tests run with one thread
    found = by_name(doctor.threads())["torch"]
    assert found.state == state
    assert fix in found.fix


def test_an_environment_that_says_nonsense_is_noted(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    found = by_name(doctor.threads())["environment"]
    assert found.state == "note"
    assert "OMP_NUM_THREADS: must be" in found.fix


def test_places_without_room_or_leave(monkeypatch, tmp_path):
    assert doctor._place("here", tmp_path, "fix").state == "ok"
    monkeypatch.setattr(doctor, "LITTLE", 1e30)
    assert doctor._place("here", tmp_path, "fix").fix == "fix"
    with pytest.raises(OSError, match="No such file"):
        doctor._place("gone", tmp_path / "gone", "fix")
    assert guarded("disk", lambda: iter([doctor._place("gone", tmp_path / "gone", "fix")]))[0].state == "broken"


def test_the_hub_cache_is_listed(monkeypatch, tmp_path):
    (tmp_path / "models--me--stars").mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert by_name(doctor.disk())["hub cache"].found.startswith(f"{tmp_path}: me/stars")


# ---- it never fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ImportError("no torch"), OSError("torn"), SystemExit(4), RecursionError(), ValueError()]
)
def test_whatever_a_check_meets_is_a_line(error, monkeypatch):
    def fails():
        yield Check("device", "first", "ok", "")
        raise error

    monkeypatch.setattr(doctor, "devices", fails)
    found = examine().checks
    lines = [check for check in found if check.section == "device"]
    assert [check.state for check in lines] == ["ok", "broken"]
    assert type(error).__name__ in lines[1].found
    assert found[-1].section == "disk"


def test_with_hardly_a_library_it_still_reports():
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'packaging', 'packaging.requirements', 'safetensors', 'pyarrow'):\n"
        "    sys.modules[name] = None\n"
        "from goodricke.cli import app\n"
        "app(['doctor', '--json', '--verify'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    checks = json.loads(done.stdout)["checks"]
    assert {check["section"] for check in checks} == {
        *("versions", "extras", "device", "threads"),
        "memory",
        "models",
        "disk",
    }
    models = [check for check in checks if check["section"] == "models"]
    assert [check["state"] for check in models] == ["broken"] * len(shipped_models())
    assert "ModuleNotFoundError" in models[0]["found"]


def test_without_rich_it_prints_plainly(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.table", None)
    show(Report((Check("disk", "here", "ok", "[all]"),)))
    assert capsys.readouterr().out == "disk\there\tok\t[all]\t\n"


# ---- the command --------------------------------------------------------------------------------------------------


def test_the_command_exits_with_3_if_something_is_broken(monkeypatch):
    runner, states = CliRunner(), iter(["ok", "missing", "broken"])
    reports = [Report((Check("a", "b", state, "found [it]", "fix"),)) for state in states]
    for report, code in zip(reports, (0, 0, 3), strict=True):
        monkeypatch.setattr(doctor, "examine", lambda *told, report=report: report)
        result = runner.invoke(app, ["doctor"])
        assert result.exit_code == code
        assert "found [it]" in result.output
        machine = runner.invoke(app, ["doctor", "--json"])
        assert json.loads(machine.output)["well"] == (code == 0)
        assert json.loads(machine.output)["checks"][0]["found"] == "found [it]"


def test_streams_are_asked_only_if_told(monkeypatch):
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"  # bound, but nobody listens
        (broker,) = doctor.ask_broker(nobody)
        (redis,) = doctor.ask_redis(f"redis://{nobody}/0")
        (wrong,) = doctor.ask_redis("nonsense")
    assert {broker.state, redis.state, wrong.state} == {"broken"}
    assert nobody in broker.found
    assert nobody in redis.found


def test_a_missing_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "confluent_kafka.admin", None)
    for make in (doctor.ask_broker("x:1"), doctor.ask_redis("redis://x:1/0")):
        (check,) = make
        assert check.fix == "pip install 'goodricke[alerts]'"


def test_the_processor_has_a_name():
    assert doctor._processor() or not Path("/proc/cpuinfo").exists()
    assert doctor._cores() >= 1
