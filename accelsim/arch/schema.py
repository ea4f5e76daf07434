"""The chip specification: what a chip is made of, in the order a datasheet tells it.

The YAML keys are the aliases (``clock: 1830 MHz``); the Python attributes carry the unit
(``chip.clock_hz``). Peaks, ridge points and supported dtypes are derived in
`accelsim.arch.chip`, never stated twice.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from accelsim.arch.arithmetic import ArithmeticChoice
from accelsim.arch.fields import (
    Bytes,
    BytesPerCycle,
    BytesPerSecond,
    Count,
    Dollars,
    Fraction,
    Hertz,
    LinkBandwidth,
    Metres,
    PeakByDType,
    RateByDType,
    Ratio,
    Seconds,
    Section,
    SquareMetres,
    Watts,
    Word,
)

Kind = Literal["gpu", "tpu", "asic", "fpga", "cpu", "edge", "wafer"]
Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
AttentionLibrary = Annotated[str, Word(choices=("flash", "serving"))]
ProgrammingModel = Annotated[str, Word(choices=("thread_blocks", "threads", "compiled"))]
Topology = Literal[
    "switch", "fully_connected", "ring", "mesh2d", "torus2d", "torus3d", "fat_tree", "dragonfly",
    "point_to_point",
]  # fmt: skip


class Process(Section):
    """Manufacturing process; sets the energy table."""

    node_m: Metres = Field(alias="node", description="Marketing node, for example '7 nm'.")
    name: str | None = Field(default=None, description="Foundry name, for example 'TSMC N7'.")


class Die(Section):
    """Silicon in the package (compute dies)."""

    area_m2: SquareMetres | None = Field(default=None, alias="area", description="All dies.")
    count: Count = 1
    transistors: Ratio | None = None


class InstructionTile(Section):
    """Shape that one matrix instruction (or one issue group) consumes; smaller work is padded."""

    m: Count
    n: Count
    k: Count


class TensorCoreUnit(Section):
    """A matrix unit that multiplies small tiles: tensor cores, matrix cores, AMX, MAC arrays."""

    style: Literal["tensor_core"]
    count: Count = Field(default=1, description="Units per core.")
    flop_per_cycle: RateByDType = Field(
        description="Dense FLOP per cycle of ONE unit by input dtype; a multiply-add is 2."
    )
    tile: InstructionTile = Field(description="Native tile of the core at 2-byte inputs.")
    control_overhead: Ratio | None = Field(
        default=None,
        description="Energy of issue and operand delivery over that of the arithmetic. Without: "
        "that of tensor cores in arch_specs/energy.",
    )
    asynchronous: bool = Field(
        default=False,
        description="Instructions read operands from the scratchpad and run beside the warp that "
        "issues them (wgmma, tcgen05).",
    )
    arithmetic: ArithmeticChoice | None = Field(
        default=None,
        description="How it sums products: an architecture of arch_specs/arithmetic.yaml, or a "
        "table of sums. Without: fp32 chains.",
    )


class SystolicUnit(Section):
    """A matrix unit of rows x cols processing elements through which operands move."""

    style: Literal["systolic"]
    count: Count = Field(default=1, description="Arrays per core.")
    rows: Count
    cols: Count
    dataflow: Dataflow = "weight_stationary"
    macs_per_pe: RateByDType = Field(
        description="Multiply-adds per processing element and cycle by input dtype (1 is usual)."
    )
    weight_double_buffer: bool = Field(
        default=False, description="The next stationary tile loads while the current one computes."
    )
    whole_tiles: bool = Field(
        default=False,
        description="Weights lie in memory as tiles of rows x cols, the last ones padded: padding "
        "is fetched too (weight-stationary arrays fed by a FIFO of tiles).",
    )
    weight_fifo_bytes: Bytes | None = Field(
        default=None,
        alias="weight_fifo",
        description="Weights that are fetched ahead of the op that needs them.",
    )
    arithmetic: ArithmeticChoice | None = Field(
        default=None,
        description="As for tensor_core. Chains fold at `rows` where weights or inputs stay.",
    )

    @property
    def fold(self) -> int:
        """Products that a column sums from zero; 0 where sums stay in their cell."""
        return 0 if self.dataflow == "output_stationary" else self.rows


MatrixUnit = Annotated[TensorCoreUnit | SystolicUnit, Field(discriminator="style")]


class VectorUnit(Section):
    """Lanes for elementwise work, reductions and special functions, per core."""

    flop_per_cycle: RateByDType = Field(
        description="FLOP per cycle and core by dtype; a fused multiply-add is 2."
    )
    special_per_cycle: Ratio = Field(description="exp, rsqrt, tanh results per cycle and core.")
    runs_matmul: bool = Field(
        default=False,
        description="Matmuls of dtypes without a matrix unit run here (GPU and CPU lanes).",
    )
    arithmetic: ArithmeticChoice | None = Field(
        default=None, description="How lanes sum products of matmuls. Without: fp32 chains."
    )


class Scratchpad(Section):
    """Memory beside the units of one core: shared memory, VMEM, unified buffer, L1/L2 of a CPU."""

    capacity_bytes: Bytes = Field(alias="capacity")
    bandwidth_bytes_per_cycle: BytesPerCycle = Field(alias="bandwidth")
    accumulator_bytes: Bytes | None = Field(default=None, alias="accumulator")


class Core(Section):
    """One of the chip's equal cores (SM, CU, TensorCore, tile, NeuronCore)."""

    name: str = "core"
    matrix: tuple[MatrixUnit, ...] = ()
    vector: VectorUnit
    scratchpad: Scratchpad
    registers_bytes: Bytes | None = Field(default=None, alias="registers")
    asynchronous_copy: bool = Field(
        default=False,
        description="Data can go from the shared buffer to the scratchpad without passing through "
        "registers (cp.async, TMA, DMA).",
    )
    cluster: Count = Field(
        default=1,
        description="Cores that one read of the shared buffer (of main memory, where there is "
        "none) can feed by multicast.",
    )
    batched_side: Count = Field(
        default=64,
        description="Side of the square tiles in which the vendor's library multiplies batches of "
        "fp32 matrices (GPU).",
    )


class SharedBuffer(Section):
    """Memory that all cores share on the chip: L2, CMEM, global SRAM."""

    name: str = "L2"
    capacity_bytes: Bytes = Field(alias="capacity")
    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    spread_stride_bytes: Bytes | None = Field(
        default=None,
        alias="spread_stride",
        description="Largest power-of-two stride between rows that the hash of addresses spreads "
        "over all slices. Without: every stride is spread.",
    )


class Memory(Section):
    """The chip's main memory. `type` names a file of arch_specs/memory (or 'sram', 'host')."""

    type: str
    stacks: Count | None = Field(default=None, description="Stacks or devices in use.")
    channels: Count | None = None
    capacity_bytes: Bytes = Field(alias="capacity")
    bandwidth_bytes_per_s: BytesPerSecond = Field(alias="bandwidth")
    latency_s: Seconds | None = Field(default=None, alias="latency", description="Idle load.")


class Link(Section):
    """A group of equal links from the chip to its peers."""

    kind: str
    count: Count = 1
    bandwidth_bytes_per_s: LinkBandwidth = Field(
        alias="bandwidth", description="ONE link, with basis; stored per direction."
    )
    topology: Topology | None = None
    latency_s: Seconds | None = Field(default=None, alias="latency", description="One hop.")


class Host(Section):
    """How the chip hangs on its host."""

    interface: str
    bandwidth_bytes_per_s: LinkBandwidth | None = Field(default=None, alias="bandwidth")


class Power(Section):
    """Power of the chip with its memory. A measured maximum is not a design limit."""

    tdp_w: Watts | None = Field(default=None, alias="tdp")
    idle_w: Watts | None = Field(default=None, alias="idle")
    mean_measured_w: Watts | None = Field(default=None, alias="mean_measured")
    max_measured_w: Watts | None = Field(default=None, alias="max_measured")

    @model_validator(mode="after")
    def _idles_below_its_limit(self) -> Self:
        if self.tdp_w is not None and self.idle_w is not None and self.idle_w >= self.tdp_w:
            raise ValueError(
                f"idle {self.idle_w:g} W leaves nothing of tdp {self.tdp_w:g} W to work with"
            )
        return self


class Sparsity(Section):
    """Structured sparsity of the matrix units (never part of a peak given elsewhere)."""

    kept: Count
    of: Count
    speedup: Ratio = 2.0


class Calibration(Section):
    """The few scalars that tie the physics to a device; unset ones come from `inherits`.

    Each has a physical meaning; `accelsim show CHIP` prints the values in force.
    """

    inherits: str = Field(description="A family of arch_specs/families.yaml.")
    matrix_efficiency: Fraction | None = Field(
        default=None, description="Sustained over peak issue rate of the matrix units."
    )
    vector_efficiency: Fraction | None = None
    memory_efficiency: Fraction | None = Field(
        default=None,
        description="Sustained over peak bandwidth of the main memory, two bytes read for one "
        "written; without, what the bank model derives from the memory's timing.",
    )
    shared_efficiency: Fraction | None = None
    kernel_overhead_s: Seconds | None = Field(
        default=None, alias="kernel_overhead", description="Device-side gap and ramp per kernel."
    )
    host_dispatch_s: Seconds | None = Field(
        default=None,
        alias="host_dispatch",
        description="Work of the host to launch a sum of two tensors when not captured.",
    )
    memory_latency_s: Seconds | None = Field(default=None, alias="memory_latency")


class ChipSpec(Section):
    """One chip. See docs/specs.md for the story of each section."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=64)
    title: str
    vendor: str
    kind: Kind
    year: Count
    sources: dict[str, str] = Field(default_factory=dict)
    process: Process
    die: Die | None = None
    clock_hz: Hertz = Field(
        alias="clock", description="Clock at which the stated peaks hold, not the maximum boost."
    )
    boost_clock_hz: Hertz | None = Field(default=None, alias="boost_clock")
    base_clock_hz: Hertz | None = Field(default=None, alias="base_clock")
    cores: Count
    core: Core
    shared: SharedBuffer | None = None
    memory: Memory
    links: tuple[Link, ...] = ()
    host: Host | None = None
    power: Power
    sparsity: Sparsity | None = None
    price_usd: Dollars | None = Field(default=None, alias="price")
    programming_model: ProgrammingModel | None = Field(
        default=None,
        description="Who decides what runs and moves when. thread_blocks: the hardware, from grids "
        "of thread blocks; caches (GPU). threads: the threads of a program; caches (CPU). "
        "compiled: a compiler, which plans transfers into memories that software manages (others).",
    )
    attention_library: AttentionLibrary = Field(
        default="flash",
        description="Whose attention kernels serve the chip (GPU). flash: FlashAttention-2 in "
        "every phase; serving: decode kernels of its own beside it (XQA and masked multi-head "
        "attention of TensorRT-LLM).",
    )
    published_peaks: PeakByDType = Field(
        default_factory=dict, description="Dense peaks of the datasheet, to check the derived ones."
    )
    calibration: Calibration
