"""`goodricke doctor` reports what is missing or broken, and whatever a check raises is a line of its report."""

import json
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from goodricke.cli import app, doctor
from goodricke.cli.doctor import Check, Report, make_report, print_report, run_checks
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
    message = metadata.metadata("numpy")  # any message will do
    while "Provides-Extra" in message:
        del message["Provides-Extra"]
    for extra in ("more", "test"):
        message["Provides-Extra"] = extra
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: REQUIRES)
    monkeypatch.setattr(doctor.metadata, "metadata", lambda name: message)


def by_name(checks) -> dict[str, Check]:
    return {check.name: check for check in checks}


# ---- what is installed --------------------------------------------------------------------------------------------


def test_packages_that_are_missing_or_too_old_are_broken_with_their_pip_line(installed):
    checks = by_name(doctor.versions())
    assert checks["numpy"] == Check("versions", "numpy", "ok", metadata.version("numpy"))
    assert (checks["scipy"].state, checks["scipy"].fix) == ("broken", "pip install 'scipy>=99'")
    assert (checks["nosuchthing"].state, checks["nosuchthing"].value) == ("broken", "none")
    assert "huggingface_hub" not in checks  # an extra's


def test_missing_extras_are_no_fault_and_name_their_pip_line(installed):
    (more,) = doctor.extras()
    assert (more.name, more.state, more.fix) == ("more", "missing", "pip install 'goodricke[more]'")
    assert "without nosuchthing" in more.value
    assert "wanted >=99" in more.value
    assert not Report((more,)).broken


def test_lines_to_copy_are_whole_in_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    fix = "pip install 'goodricke[baselines]'"
    print_report(Report((Check("extras", "baselines", "missing", "without imbalanced-learn, light-curve", fix),)))
    text = capsys.readouterr().out
    assert f"-> {fix}" in text
    assert "Missing extras are optional" in text
    assert max(map(len, text.splitlines())) <= 80


def test_nothing_is_broken_here():
    broken = [check for check in make_report().checks if check.state == "broken"]
    assert broken == []


# ---- models -------------------------------------------------------------------------------------------------------


def test_models_show_their_hashes_and_are_verified_on_request():
    checks = by_name(doctor.models(verify=False))
    assert list(checks) == shipped_models()
    assert checks["ztf-bts"].value.startswith(f"loads; {load_model('ztf-bts').hash}")
    assert "reproduced" not in checks["ztf-bts"].value
    assert "reproduced to" in doctor._model("ztf-bts", verify=True).value


def test_a_damaged_model_is_reported_and_the_others_are_checked(monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{")
    for module in ("hub", "bundle"):
        monkeypatch.setattr(f"goodricke.models.{module}.SHIPPED", tmp_path)
    checks = by_name(doctor.models(verify=True))
    assert {name: check.state for name, check in checks.items()} == {"one": "broken", "two": "broken"}
    assert "config.json is damaged" in checks["one"].value
    monkeypatch.setattr("goodricke.models.hub.SHIPPED", tmp_path / "nowhere")
    assert [check.state for check in doctor.models(verify=False)] == ["broken"]


# ---- threads and disks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "state", "fix"),
    [(1, "ok", ""), (8, "ok", "unset OMP_NUM_THREADS"), (0, "note", "export OMP_NUM_THREADS=0")],
)
def test_threads_are_compared_with_cores(cores, state, fix, monkeypatch):
    monkeypatch.setattr(doctor, "_cores", lambda: cores)  # the tests run with one thread
    check = by_name(doctor.threads())["torch"]
    assert check.state == state
    assert fix in check.fix


def test_nonsense_in_the_environment_is_noted(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    check = by_name(doctor.threads())["environment"]
    assert check.state == "note"
    assert "OMP_NUM_THREADS: must be" in check.fix


def test_folders_without_space_or_permission(monkeypatch, tmp_path):
    assert doctor._folder("here", tmp_path, "fix").state == "ok"
    monkeypatch.setattr(doctor, "LOW_SPACE", 1e30)
    assert doctor._folder("here", tmp_path, "fix").fix == "fix"
    with pytest.raises(OSError, match="No such file"):
        doctor._folder("gone", tmp_path / "gone", "fix")
    assert next(run_checks("disk", lambda: iter([doctor._folder("gone", tmp_path / "gone", "fix")]))).state == "broken"


def test_the_hub_cache_is_listed(monkeypatch, tmp_path):
    (tmp_path / "models--me--stars").mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert by_name(doctor.disk())["hub cache"].value.startswith(f"{tmp_path}: me/stars")


# ---- it never fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ImportError("no torch"), OSError("torn"), SystemExit(4), RecursionError(), ValueError()]
)
def test_whatever_a_check_raises_is_a_line(error, monkeypatch):
    def fails():
        yield Check("device", "first", "ok", "")
        raise error

    monkeypatch.setattr(doctor, "devices", fails)
    checks = make_report().checks
    lines = [check for check in checks if check.section == "device"]
    assert [check.state for check in lines] == ["ok", "broken"]
    assert type(error).__name__ in lines[1].value
    assert checks[-1].section == "disk"


def test_it_reports_with_hardly_a_library():
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
    assert "ModuleNotFoundError" in models[0]["value"]


def test_without_rich_it_prints_plainly(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.table", None)
    print_report(Report((Check("disk", "here", "ok", "[all]"),)))
    assert capsys.readouterr().out == "disk\there\tok\t[all]\t\n"


# ---- the command --------------------------------------------------------------------------------------------------


def test_the_command_exits_with_3_if_something_is_broken(monkeypatch):
    runner, states = CliRunner(), iter(["ok", "missing", "broken"])
    reports = [Report((Check("a", "b", state, "value [text]", "fix"),)) for state in states]
    for report, code in zip(reports, (0, 0, 3), strict=True):
        monkeypatch.setattr(doctor, "make_report", lambda *message, report=report: report)
        result = runner.invoke(app, ["doctor"])
        assert result.exit_code == code
        assert "value [text]" in result.output
        machine = runner.invoke(app, ["doctor", "--json"])
        assert json.loads(machine.output)["ok"] == (code == 0)
        assert json.loads(machine.output)["checks"][0]["value"] == "value [text]"


def test_streams_that_do_not_answer_are_broken(monkeypatch):
    monkeypatch.setattr(doctor, "TIMEOUT", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"  # bound, but nobody listens
        (broker,) = doctor.check_broker(nobody)
        (redis,) = doctor.check_redis(f"redis://:secret@{nobody}/0")
        (wrong,) = doctor.check_redis("nonsense")
    assert {broker.state, redis.state, wrong.state} == {"broken"}
    assert nobody in broker.value
    assert nobody in redis.value
    assert "secret" not in redis.value


def test_a_missing_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "confluent_kafka.admin", None)
    for make in (doctor.check_broker("x:1"), doctor.check_redis("redis://x:1/0")):
        (check,) = make
        assert check.fix == "pip install 'goodricke[alerts]'"


def test_the_processor_has_a_name():
    assert doctor._processor() or not Path("/proc/cpuinfo").exists()
    assert doctor._cores() >= 1
