"""One matmul or convolution on one systolic array: closed form, buffers, and PE-level check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import SystolicArray
from accelsim.errors import CapacityError, WorkloadError
from accelsim.timing.pe_level import ArrayRun, simulate_array
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles
from accelsim.timing.systolic_conv import buffered_conv, conv_cycles
from accelsim.workload.conv import ConvShape, im2col

MAX_CHECKED_PE_CYCLES = 1e11
"""A few minutes on one core; the closed form needs no check at every size."""
_ZERO_SHARE = 0.25
_LARGEST_VALUE = 8


@dataclass(frozen=True)
class ArrayProblem:
    """``C[m, n] = A[m, k] B[k, n]``, or a convolution that is one such matmul per group.

    Attributes
    ----------
    m, n, k : int
        Sizes; of one group of `conv`.
    conv : ConvShape or None
        Where they come from.
    """

    m: int
    n: int
    k: int
    conv: ConvShape | None = None

    @classmethod
    def of_conv(cls, conv: ConvShape) -> ArrayProblem:
        """Lower a convolution."""
        m, n, k, _ = conv.gemm
        return cls(m, n, k, conv)

    @property
    def repeat(self) -> int:
        """Matmuls of these sizes."""
        return self.conv.gemm.repeat if self.conv else 1


@dataclass(frozen=True)
class ArrayCheck:
    """A PE-level simulation beside the closed form; of one group where a convolution has several.

    Attributes
    ----------
    run : ArrayRun
        The simulation.
    differences : tuple of str
        What disagrees, in words; empty if all is well.
    """

    run: ArrayRun
    differences: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether cycles, accesses and every result agree."""
        return not self.differences


@dataclass(frozen=True)
class ArrayAnswer:
    """What `answer_problem` returns.

    Attributes
    ----------
    array, problem : SystolicArray, ArrayProblem
        What ran on what.
    ideal : SystolicCycles
        All groups, never waiting.
    buffered : BufferedRun or None
        All groups behind the array's buffers.
    check : ArrayCheck or None
        On request.
    """

    array: SystolicArray
    problem: ArrayProblem
    ideal: SystolicCycles
    buffered: BufferedRun | None = None
    check: ArrayCheck | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        problem, features = self.problem, dataclasses.asdict(self.array.features)
        data: dict[str, Any] = {
            "array": {
                "name": self.array.name, "dataflow": self.array.dataflow,
                "rows": self.array.rows, "cols": self.array.cols, **features,
            },
            "problem": {"m": problem.m, "n": problem.n, "k": problem.k, "repeat": problem.repeat},
            **self.ideal._asdict(),
        }  # fmt: skip
        if problem.conv is not None:
            data["problem"]["conv"] = dataclasses.asdict(problem.conv)
        if self.buffered is not None:
            run = self.buffered
            data["buffered"] = {
                field.name: getattr(run, field.name)
                for field in dataclasses.fields(run)
                if field.name != "turn_stall_cycles"
            }
            data["buffered"]["stall_cycles"] = run.stall_cycles
            data["buffered"]["total_cycles"] = run.total_cycles
        if self.check is not None:
            data["check"] = _check_dict(self.check)
        return data


def _check_dict(check: ArrayCheck) -> dict[str, Any]:
    run = check.run
    return {
        "holds": check.holds, "differences": list(check.differences), "cycles": run.cycles,
        "utilization": run.utilization, "macs": run.macs, "zero_a_macs": run.zero_a_macs,
        "zero_b_macs": run.zero_b_macs, "zero_macs": run.zero_macs,
        "sram_reads_a": run.sram_reads_a, "sram_reads_b": run.sram_reads_b,
        "sram_writes_c": run.sram_writes_c,
    }  # fmt: skip


def answer_problem(
    array: SystolicArray, problem: ArrayProblem, *, prefilled: bool = False
) -> ArrayAnswer:
    """Count a problem on an array, behind its buffers too if it has any.

    Parameters
    ----------
    array : SystolicArray
    problem : ArrayProblem
    prefilled : bool, optional
        Operand buffers are full at the start.

    Raises
    ------
    WorkloadError, MappingError, CapacityError
        From the models of `accelsim.timing`.
    """
    if problem.conv is not None:
        conv = problem.conv
        buffered = buffered_conv(array, conv, prefilled=prefilled) if array.buffers else None
        return ArrayAnswer(array, problem, conv_cycles(array, conv), buffered)
    sizes = (problem.m, problem.n, problem.k)
    buffered = buffered_cycles(array, *sizes, prefilled=prefilled) if array.buffers else None
    return ArrayAnswer(array, problem, array_cycles(array, *sizes), buffered)


def check_problem(
    array: SystolicArray, problem: ArrayProblem, *, seed: int = 0, trace: bool = False
) -> ArrayCheck:
    """Simulate a problem with random small integers, a quarter of them zero, and compare.

    Parameters
    ----------
    array : SystolicArray
    problem : ArrayProblem
        Of a convolution, the first group is simulated.
    seed : int, optional
        Of the random operands.
    trace : bool, optional
        Keep the state of every PE in every cycle.

    Raises
    ------
    CapacityError
        If the simulation would take more than a few minutes.
    """
    ideal = array_cycles(array, problem.m, problem.n, problem.k)
    pe_cycles = float(ideal.cycles) * array.pes * array.features.arrays
    if pe_cycles > MAX_CHECKED_PE_CYCLES:
        raise CapacityError(
            f"a check would step {pe_cycles:.2g} PE-cycles, more than {MAX_CHECKED_PE_CYCLES:.0g} "
            "(minutes): check a smaller problem, the closed form is the same"
        )
    a, b = random_operands(array, problem, seed)
    run = simulate_array(a, b, array, trace=trace)
    wanted = {
        "cycles": ideal.cycles,
        "sram_reads_a": ideal.sram_reads_a,
        "sram_reads_b": ideal.sram_reads_b,
        "sram_writes_c": ideal.sram_writes_c,
        "macs": ideal.macs,
    }
    differences = [
        f"{name}: {getattr(run, name)} simulated, {value} in closed form"
        for name, value in wanted.items()
        if getattr(run, name) != value
    ]
    wrong = int(np.count_nonzero(run.result != a.astype(np.int64) @ b.astype(np.int64)))
    if wrong:
        differences.append(f"{wrong} of {run.result.size} results differ from A @ B")
    return ArrayCheck(run, tuple(differences))


def random_operands(
    array: SystolicArray, problem: ArrayProblem, seed: int
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Draw A (m x k) and B (k x n) of small integers; B obeys the array's N:M sparsity.

    A of a convolution is made of windows of a random input (its first group).

    Raises
    ------
    WorkloadError
        If the seed is negative.
    """
    if seed < 0:
        raise WorkloadError(f"seed is {seed}, expected a number from 0 on")
    draw = np.random.default_rng(seed)

    def values(*shape: int) -> NDArray[np.int8]:
        drawn = draw.integers(-_LARGEST_VALUE, _LARGEST_VALUE + 1, shape, dtype=np.int8)
        drawn[draw.random(shape) < _ZERO_SHARE] = 0
        return drawn

    conv = problem.conv
    if conv is None:
        a = values(problem.m, problem.k)
    else:
        x = values(conv.batch, conv.in_channels, conv.height, conv.width)
        a = im2col(x, conv)[0]
    b = values(problem.k, problem.n)
    sparsity = array.features.sparsity
    if sparsity is not None:
        groups = -(-problem.k // sparsity.m)
        rank = draw.random((groups, sparsity.m, problem.n)).argsort(axis=1)
        b[(rank >= sparsity.n).reshape(-1, problem.n)[: problem.k]] = 0
    return a, b
