"""Blocks: all that is asked for, once, in order."""

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.simulate.blocks import BLOCK, Block, column, divided, make, plan


def test_blocks_hold_what_is_asked_for_the_kinds_taking_turns() -> None:
    blocks = plan({"a": 2 * BLOCK + 1, "b": 3})
    assert blocks == [Block("a", 0, BLOCK), Block("b", 0, 3), Block("a", 1, BLOCK), Block("a", 2, 1)]
    with pytest.raises(ValueError, match="at least 1"):
        plan({"a": 0})


def test_a_number_is_divided_by_shares() -> None:
    shares = {"a": 0.6, "b": 0.3, "c": 0.1}
    assert divided(10, shares) == {"a": 6, "b": 3, "c": 1}
    for n in range(30):
        assert sum(divided(n, shares).values()) == n


def test_what_goes_wrong_in_a_block_comes_out() -> None:
    def job(block: Block) -> LightCurves:
        raise OSError(f"no {block.kind}")

    with pytest.raises(OSError, match="no a"):
        list(make(job, plan({"a": 1})))


def test_lists_come_without_their_padding() -> None:
    assert column(np.array([[1.0, np.nan], [2.0, 3.0]])).to_pylist() == [[1.0], [2.0, 3.0]]
    assert column(np.array([1.0, np.nan])).to_pylist() == [1.0, None]
