"""Splits on data: what is left out of training, validation and test (Promise 10)."""

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess import FoldedConfig, Frames
from goodricke.training.experiment import split_objects
from goodricke.training.labels import Labelled, _stars
from goodricke.training.recipe import DataConfig, Recipe

N = 200


def labelled(dec: np.ndarray, same_star: float, guard: float) -> tuple[Recipe, Labelled, Frames]:
    import pandas as pd

    ids = [f"s{k:03d}" for k in range(N)]
    curves = LightCurves.from_arrays(ids, np.zeros(N + 1), [], [])
    table = pd.DataFrame({"RAJ2000": np.arange(N) // 2, "DEJ2000": dec})
    star, near = (_stars(curves, table, within) for within in (same_star, guard))
    empty = np.zeros(0, np.float32)
    status = np.full(N, "OK")
    status[0] = "TOO_FEW_POINTS"
    context = np.zeros((N, 0), np.float32)
    prepared = Frames(
        object_id=curves.object_id,
        offsets=np.zeros(N + 1, np.int64),
        time=empty,
        values=empty[:, None],
        context=context,
        status=status,
    )
    config = DataConfig(light_curves="", labels="", same_star=same_star, guard=guard)
    recipe = Recipe(name="x", run="x", data=config, preprocessing=FoldedConfig())
    label = np.arange(N) // 2 % 2
    return recipe, Labelled(curves, label, ("a", "b"), star, near, np.zeros((N, 0)), None), prepared


def test_pairs_of_one_star_stay_together_and_the_unusable_are_nowhere() -> None:
    parts = split_objects(*labelled(np.arange(N) % 2 / 3600, same_star=5, guard=5))
    where = np.full(N, "", dtype="<U10")
    for name, rows in parts.items():
        where[rows] = name
    assert where[0] == ""
    assert (where[2::2] == where[3::2]).all()
    assert all(len(rows) for rows in parts.values())


def test_held_out_stars_near_a_training_star_are_not_scored() -> None:
    far = labelled(np.arange(N) % 2 * 10 / 3600, same_star=5, guard=5)
    guarded = labelled(np.arange(N) % 2 * 10 / 3600, same_star=5, guard=20)
    test, kept = split_objects(*far)["test"], split_objects(*guarded)["test"]
    assert set(kept) < set(test)
    near = guarded[1].neighbourhood
    rest = np.setdiff1d(np.arange(1, N), test)
    assert not np.isin(near[kept], near[rest]).any()
    assert np.isin(near[np.setdiff1d(test, kept)], near[rest]).all()
