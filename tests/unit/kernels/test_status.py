"""Search kernels report what they found; nothing is raised inside compiled code."""

from __future__ import annotations

import numpy as np

from accelsim.kernels.matmul import fits, search, search_many
from tests.oracle.machines import problem, systolic_machine, tensor_core_machine


def test_many_is_one_by_one() -> None:
    machine = systolic_machine()
    problems = [problem(m, 9, 30) for m in (1, 8, 50)]
    sizes = np.array([p[:4] for p in problems])
    traits = np.array([p[4:] for p in problems])
    tilings, costs = np.empty((3, 6), np.int64), np.empty((3, 9))
    search_many(machine, sizes, traits, tilings, costs)
    for index, p in enumerate(problems):
        tiling, cost, tried = search(machine, p)
        assert tuple(tilings[index]) == (*tiling, tried)
        assert tuple(costs[index]) == tuple(cost)


def test_the_chosen_tiling_fits() -> None:
    for machine in (tensor_core_machine(), systolic_machine(scratch_bytes=2000)):
        for size in (1, 60, 3000):
            p = problem(size, 77, size)
            tiling, cost, tried = search(machine, p)
            assert tried > 0
            assert fits(machine, p, tiling)
            assert 1 <= cost.active_cores <= machine.cores
