import os

import pytest

from goodricke.io import Unreadable, find


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.fits",
        "a.fits.gz",
        "c.csv",
        "notes.pdf",
        ".hidden.csv",
        "_metadata.parquet",
        "sub/d.parquet",
        "sub/deep/e.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def names(paths, folder):
    return [os.path.relpath(path, folder) for path in paths]


def test_folder(folder):
    assert names(find(folder), folder) == ["a.fits.gz", "b.fits", "c.csv"]
    assert names(find(folder, recursive=True), folder) == [
        "a.fits.gz",
        "b.fits",
        "c.csv",
        "sub/d.parquet",
        "sub/deep/e.txt",
    ]


def test_pattern(folder):
    assert names(find(str(folder / "*.fits*")), folder) == ["a.fits.gz", "b.fits"]
    assert names(find(str(folder / "**/*.txt")), folder) == ["sub/deep/e.txt"]
    with pytest.raises(Unreadable, match="matches no file"):
        find(str(folder / "*.nope"))


def test_named_file_is_taken_whatever_its_suffix(folder):
    assert names(find(folder / "notes.pdf"), folder) == ["notes.pdf"]
    assert find("missing.fits") == ["missing.fits"]


def test_list_of_paths(folder):
    (folder / "list.txt").write_text(f"# my stars\nb.fits\n\n{folder / 'c.csv'}\nmissing.fits\n")
    assert find(folder / "list.txt") == [str(folder / "b.fits"), str(folder / "c.csv"), "missing.fits"]


def test_text_light_curve_is_no_list(folder):
    (folder / "curve.txt").write_text("59000 1.0\n59001 2.0\n")
    assert names(find(folder / "curve.txt"), folder) == ["curve.txt"]


def test_several_sources_keep_their_order(folder):
    assert names(find([folder / "sub", str(folder / "a.fits.gz")]), folder) == ["sub/d.parquet", "a.fits.gz"]
    assert names(find([folder / "c.csv", folder / "sub" / "d.parquet"]), folder) == ["c.csv", "sub/d.parquet"]


def test_empty_folder_tells_of_the_subfolders(tmp_path):
    with pytest.raises(Unreadable, match="search subfolders with --recursive"):
        find(tmp_path)


def test_file_with_magic_characters_in_its_name(tmp_path):
    path = tmp_path / "star[1].csv"
    path.write_text("x")
    assert find(str(path)) == [str(path)]
