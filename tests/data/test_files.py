"""Files that appear complete or not at all."""

from contextlib import suppress

import pytest

from goodricke.data.files import atomic_folder, atomic_path, atomic_write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("content", "written"), [("müde\n", "müde\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes_are_written_as_they_are(tmp_path, content, written):
    atomic_write(tmp_path / "a.txt", content)
    assert (tmp_path / "a.txt").read_bytes() == written
    assert names(tmp_path) == ["a.txt"]


def test_a_failure_leaves_the_former_file_and_nothing_beside(tmp_path):
    atomic_write(tmp_path / "a.txt", "former")
    with suppress(RuntimeError), atomic_path(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "former"
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_name_is_hidden_and_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "a.png") as partial:
        assert partial.name.startswith(".")
        assert partial.suffix == ".png"
        partial.touch()


def test_a_file_can_be_read_by_whoever_may_read_the_others(tmp_path):
    (tmp_path / "plain").touch()
    atomic_write(tmp_path / "a", "")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("former", [True, False])
def test_a_folder_takes_the_place_of_the_former_one_with_all_its_contents(tmp_path, former):
    if former:
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "old").touch()
    with atomic_folder(tmp_path / "model") as partial:
        (partial / "new").write_text("x")
        assert (tmp_path / "model").exists() == former
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["new"]


def test_a_failure_leaves_the_former_folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    with suppress(RuntimeError), atomic_folder(tmp_path / "model") as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]
