"""A chip with more of anything is never slower, whatever the op, as long as its power allows it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.engine.core import Target
from accelsim.engine.graph import ENGINES
from accelsim.mapping.fusion import group_ops
from accelsim.workload.ops import Conv, GroupedMatMul, MatMul, Op
from tests.cross.random_ops import chips_and_ops
from tests.properties.upgrades import unlimited, upgraded

_TOLERANCE = 1 + 1e-9
# A search of tiles does not see what is fused behind a product: a faster grid may be of fewer
# waves and leave more of it to the last.
_EPILOGUE_SLACK = 1.01
RESOURCES = ("memory bandwidth", "clock", "scratchpad", "shared capacity", "shared bandwidth")


def seconds(op: Op, on: Target, engine: str = "analytic") -> float:
    groups = group_ops([op], on.system.chip)
    return sum(ENGINES[engine].cost(group, on).latency_s for group in groups)


@pytest.mark.parametrize("resource", RESOURCES)
@given(case=chips_and_ops(), factor=st.sampled_from((2, 3, 16)))
@settings(max_examples=200)
def test_more_of_a_resource_is_never_slower(
    resource: str, case: tuple[str, Op], factor: int
) -> None:
    chip, op = case
    better = upgraded(chip, resource, factor)
    if better is not None:
        slack = _EPILOGUE_SLACK if getattr(op, "bias", False) else _TOLERANCE
        assert seconds(op, better) <= seconds(op, unlimited(chip)) * slack
        roof = seconds(op, better, "roofline")
        assert roof <= seconds(op, unlimited(chip), "roofline") * _TOLERANCE


@given(case=chips_and_ops(), factor=st.sampled_from((2, 4, 16)))
@settings(max_examples=300)
def test_more_cores_are_never_slower(case: tuple[str, Op], factor: int) -> None:
    """Up to the first loads: every core is used, and all of them wait for their first tile.

    The mapping does not leave cores idle, so where an op is one short wave of tiles, more cores
    ask the memory for more first tiles at once. That costs up to a tenth in rare cases.
    """
    chip, op = case
    better = upgraded(chip, "cores", factor)
    assert better is not None
    slack = 1.1 if isinstance(op, MatMul | GroupedMatMul | Conv) else _TOLERANCE
    assert seconds(op, better) <= seconds(op, unlimited(chip)) * slack
