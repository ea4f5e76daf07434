"""One matmul or convolution on one systolic array: closed form, buffers, and PE-level check."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.array import AXES, TEXTBOOK, SystolicArray
from accelsim.errors import CapacityError, WorkloadError
from accelsim.timing.pe_level import ArrayRun, simulate_array
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles
from accelsim.timing.systolic_conv import buffered_conv, conv_cycles
from accelsim.workload.conv import ConvShape, im2col

MAX_CHECKED_S = 120.0
"""Longest check that is begun; the closed form is the same at every size."""
MAX_OPERAND_BYTES = 4e9
_CHECKED_BYTES = 20.0  # of an element: as drawn, as 64-bit operand, and copies of both
_TEXTBOOK_PE_CYCLES_PER_S, _FEATURED_PE_CYCLES_PER_S = 1.5e9, 4e7
_ZERO_SHARE = 0.25
_LARGEST_VALUE = 8
_PICTURED_PE_CYCLES = 7_500_000  # of which a trace holds 8 million


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
    def sizes(self) -> tuple[int, int, int]:
        """m, n, k."""
        return self.m, self.n, self.k

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
    ideal : SystolicCycles
        The closed form of what was simulated.
    differences : tuple of str
        What disagrees, in words; empty if all is well.
    """

    run: ArrayRun
    ideal: SystolicCycles
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
        problem, ideal = self.problem, self.ideal._asdict()
        data: dict[str, Any] = {
            "array": self.array.as_dict(),
            "problem": {"m": problem.m, "n": problem.n, "k": problem.k, "repeat": problem.repeat},
            **{_with_unit(name): value for name, value in ideal.items()},
        }
        if problem.conv is not None:
            data["problem"]["conv"] = dataclasses.asdict(problem.conv)
        if self.buffered is not None:
            run = self.buffered
            data["buffered"] = {
                _with_unit(field.name): getattr(run, field.name)
                for field in dataclasses.fields(run)
                if field.name != "turn_stall_cycles"
            }
            data["buffered"]["stall_cycles"] = run.stall_cycles
            data["buffered"]["total_cycles"] = run.total_cycles
        if self.check is not None:
            data["check"] = {**_check_dict(self.check), "groups": [1, self.problem.repeat]}
        return data


def _with_unit(name: str) -> str:
    """Name a count of words in JSON as tables do."""
    return f"{name}_words" if name.startswith(("sram_", "dram_")) else name


def _check_dict(check: ArrayCheck) -> dict[str, Any]:
    run = check.run
    return {
        "holds": check.holds, "differences": list(check.differences), "cycles": run.cycles,
        "utilization": run.utilization, "macs": run.macs, "zero_a_macs": run.zero_a_macs,
        "zero_b_macs": run.zero_b_macs, "zero_macs": run.zero_macs,
        "sram_reads_a_words": run.sram_reads_a, "sram_reads_b_words": run.sram_reads_b,
        "sram_writes_c_words": run.sram_writes_c,
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


def checking_s(array: SystolicArray, problem: ArrayProblem) -> float:
    """Estimate how long a check takes, compiling apart [s].

    Raises
    ------
    CapacityError
        If it would take more than two minutes, or its operands gigabytes.
    """
    ideal = array_cycles(array, problem.m, problem.n, problem.k)
    pe_cycles = float(ideal.cycles) * array.pes * array.features.arrays
    featured = array.features != TEXTBOOK
    seconds = pe_cycles / (_FEATURED_PE_CYCLES_PER_S if featured else _TEXTBOOK_PE_CYCLES_PER_S)
    elements = 1.0 * problem.k * (problem.m + problem.n) + 1.0 * problem.m * problem.n
    operand_bytes = elements * _CHECKED_BYTES
    reasons = []
    if seconds > MAX_CHECKED_S:
        reasons.append(f"about {seconds:,.0f} s (at most {MAX_CHECKED_S:.0f} s)")
    if operand_bytes > MAX_OPERAND_BYTES:
        limit = f"{MAX_OPERAND_BYTES / 1e9:.0f} GB"
        reasons.append(f"{operand_bytes / 1e9:,.1f} GB for operands (at most {limit})")
    if reasons:
        raise CapacityError(
            f"a check would take {' and '.join(reasons)}: check a smaller problem, the closed form "
            "is the same"
        )
    return seconds


def check_problem(array: SystolicArray, problem: ArrayProblem, *, seed: int = 0) -> ArrayCheck:
    """Simulate a problem with random small integers, a quarter of them made zero, and compare.

    Parameters
    ----------
    array : SystolicArray
    problem : ArrayProblem
        Of a convolution, the first group is simulated.
    seed : int, optional
        Of the random operands.

    Raises
    ------
    CapacityError
        As `checking_s`.
    """
    checking_s(array, problem)
    ideal = array_cycles(array, problem.m, problem.n, problem.k)
    a, b = random_operands(array, problem, seed)
    run = simulate_array(a, b, array)
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
    return ArrayCheck(run, ideal, tuple(differences))


@dataclass(frozen=True)
class Pictured:
    """The problem that pictures show, and how it differs from the one that was asked for."""

    problem: ArrayProblem
    remark: str


def pictured_problem(array: SystolicArray, problem: ArrayProblem) -> Pictured:
    """Cut a problem down to what can be traced: the first group, the first fold, a shorter stream.

    Parameters
    ----------
    array : SystolicArray
    problem : ArrayProblem
    """
    m, n, k = problem.m, problem.n, problem.k
    group = f"1 of {problem.repeat} groups" if problem.repeat > 1 else ""
    if float(array_cycles(array, m, n, k).cycles) * array.pes <= _PICTURED_PE_CYCLES:
        return Pictured(ArrayProblem(m, n, k), group)
    fill = array_cycles(array, 1, 1, 1).fold_cycles
    rows, cols, time = AXES[array.dataflow]
    stream = max(1, int(_PICTURED_PE_CYCLES / array.pes) - fill)
    limits = {rows: array.fold_rows, cols: array.fold_cols, time: stream}
    m, n, k = min(m, limits["m"]), min(n, limits["n"]), min(k, limits["k"])
    part = f"a part that can be traced: m {m}, n {n}, k {k}"
    return Pictured(ArrayProblem(m, n, k), f"{group}, {part}" if group else part)


def traced_run(array: SystolicArray, problem: ArrayProblem, *, seed: int = 0) -> ArrayRun:
    """Simulate a small problem with digits 1 to 9, which can be followed by eye, and keep all."""
    a, b = random_operands(array, problem, seed, digits=True)
    return simulate_array(a, b, array, trace=True)


def random_operands(
    array: SystolicArray, problem: ArrayProblem, seed: int, *, digits: bool = False
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Draw A (m x k) and B (k x n) of small integers; B obeys the array's N:M sparsity.

    A of a convolution is made of windows of a random input (its first group). With `digits` all
    are from 1 to 9; otherwise from -8 to 8, a quarter of them made zero.

    Raises
    ------
    WorkloadError
        If the seed is negative.
    """
    if seed < 0:
        raise WorkloadError(f"seed is {seed}, expected a number from 0 on")
    draw = np.random.default_rng(seed)

    def values(*shape: int) -> NDArray[np.int8]:
        if digits:
            return draw.integers(1, 10, shape, dtype=np.int8)
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
