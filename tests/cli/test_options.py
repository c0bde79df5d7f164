"""How an error is told to who runs a command."""

import errno
import os
from pathlib import Path

import pytest
import typer

from goodricke.cli.options import error_message, guarded, read_options
from goodricke.data.exit_codes import ExitCode


def test_errors_of_the_system_name_the_place_and_the_fix(tmp_path: Path) -> None:
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


def test_a_file_put_in_its_place_is_called_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    (tmp_path / ".partial").touch()
    with pytest.raises(OSError, match=r".") as caught:
        os.replace(tmp_path / ".partial", tmp_path / "out.csv")
    assert error_message(caught.value).startswith(str(tmp_path / "out.csv"))


def test_other_errors_speak_for_themselves(capsys: pytest.CaptureFixture[str]) -> None:
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
