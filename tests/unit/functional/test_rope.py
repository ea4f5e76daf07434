"""Rotary frequencies: what is refused before powers are taken."""

from __future__ import annotations

import pytest

from accelsim.errors import WorkloadError
from accelsim.functional.rope import MAX_ROTARY, rope_frequencies


@pytest.mark.parametrize("size", [0, -2, 7, MAX_ROTARY + 2, 10**12])
def test_sizes_that_no_head_has_are_refused(size: int) -> None:
    with pytest.raises(WorkloadError, match=f"size is {size}, expected an even number from 2 to 4"):
        rope_frequencies(size, 1e4)


def test_the_widest_head_is_rotated() -> None:
    found = rope_frequencies(MAX_ROTARY, 1e4)
    assert (found.shape, found[0]) == ((MAX_ROTARY // 2,), 1.0)
