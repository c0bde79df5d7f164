"""What a run keeps is made once, and again only from other light curves or settings."""

from pathlib import Path

import numpy as np

from goodricke.training.kept_files import kept_arrays


def test_arrays_are_made_once_for_a_key(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"a": np.arange(3) + len(made), "b": np.zeros((2, 2))}

    first, again = (kept_arrays(tmp_path / "x.npz", "key", make) for _ in range(2))
    assert len(made) == 1
    assert first.keys() == again.keys() == {"a", "b"}
    np.testing.assert_array_equal(again["a"], [1, 2, 3])
    np.testing.assert_array_equal(kept_arrays(tmp_path / "x.npz", "another key", make)["a"], [2, 3, 4])
