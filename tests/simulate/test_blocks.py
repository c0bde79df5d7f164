"""Blocks: every source once, in order."""

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import BLOCK, Simulation, SourceBlock, parameter_column, plan


def test_kinds_take_turns_in_blocks() -> None:
    blocks = plan({"a": 2 * BLOCK + 1, "b": 3})
    assert blocks == [
        SourceBlock("a", 0, BLOCK),
        SourceBlock("b", 0, 3),
        SourceBlock("a", 1, BLOCK),
        SourceBlock("a", 2, 1),
    ]
    with pytest.raises(ValueError, match="at least 1"):
        plan({"a": 0})


def test_an_error_in_a_block_is_raised() -> None:
    def fail(block: SourceBlock) -> LightCurves:
        raise OSError(f"no {block.kind}")

    with pytest.raises(OSError, match="no a"):
        list(Simulation(plan({"a": 1}), fail).parts())


def test_lists_have_no_padding() -> None:
    assert parameter_column(np.array([[1.0, np.nan], [2.0, 3.0]])).to_pylist() == [[1.0], [2.0, 3.0]]
    assert parameter_column(np.array([1.0, np.nan])).to_pylist() == [1.0, None]
