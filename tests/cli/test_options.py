"""Options shared by the commands, and their error messages."""

import errno
import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from goodricke.cli.options import error_message, guarded, option_group, read_options
from goodricke.data.exit_codes import ExitCode


def test_errors_of_the_system_name_the_path_and_the_fix(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    attempts = {
        "no such file or directory. Fix: check the path": lambda: (tmp_path / "nowhere").read_text(),
        "is a directory. Fix: give a file, not a folder": tmp_path.read_text,
        "file exists. Fix: choose another name": lambda: file.mkdir(),
        "not a directory. Fix: check the path": lambda: (file / "more").read_text(),
    }
    for words, attempt in attempts.items():
        with pytest.raises(OSError, match=r".") as caught:
            attempt()
        text = error_message(caught.value)
        assert text.startswith(str(tmp_path))
        assert words in text
        assert "Errno" not in text


def test_a_failed_replacement_names_the_destination(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    (tmp_path / ".partial").touch()
    with pytest.raises(OSError, match=r".") as caught:
        os.replace(tmp_path / ".partial", tmp_path / "out.csv")
    assert error_message(caught.value).startswith(str(tmp_path / "out.csv"))


def test_other_errors_keep_their_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_message(ValueError("so it is")) == "so it is"
    assert error_message(OSError("the network is down")) == "the network is down"
    assert error_message(OSError(errno.ELOOP, "Too many levels", "a/b")) == "a/b: too many levels"

    def fail() -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "my.toml")

    assert guarded(fail) == ExitCode.USAGE
    assert capsys.readouterr().err == "goodricke: my.toml: no such file or directory. Fix: check the path.\n"


@pytest.mark.parametrize("column", ["HJD", "time=", "=HJD"])
def test_half_a_column_is_wrong_usage(column: str) -> None:
    with pytest.raises(typer.BadParameter, match=f"--column {column}: write it as KIND=NAME"):
        read_options(column=[column])


def test_a_group_of_options_takes_the_place_of_its_parameter() -> None:
    def read_numbers(first: Annotated[int, typer.Option(help="One")] = 1, second: int = 2) -> list[int]:
        return [first, second]

    app, calls = typer.Typer(), []

    @app.command()
    @option_group("numbers", read_numbers)
    def command(name: str, flag: bool = False, *, numbers: list[int], last: str = "z") -> None:
        calls.append((name, flag, numbers, last))

    runner = CliRunner()
    runner.invoke(app, ["a"], catch_exceptions=False)
    runner.invoke(app, ["a", "--second", "5", "--flag"], catch_exceptions=False)
    assert calls == [("a", False, [1, 2], "z"), ("a", True, [1, 5], "z")]
    assert [p.name for p in get_command(app).params[:5]] == ["name", "flag", "first", "second", "last"]
    assert "One" in runner.invoke(app, ["--help"]).output
