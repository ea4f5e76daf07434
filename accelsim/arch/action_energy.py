"""What one action of a chip costs: joules per multiply-add, per byte moved, per link byte.

Bottom-up device values are used throughout (arithmetic, SRAM, DRAM device, interface); measured
path energies serve as validation and are never mixed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from accelsim.arch.chip import Chip
from accelsim.arch.energy import ArithmeticEnergy, EnergyTable, load_energy_table
from accelsim.arch.schema import SystolicUnit, TensorCoreUnit
from accelsim.dtypes import dtype as find_dtype

BOARD_OVER_COUNTED = 1.46
"""Power of a board under load over that of the counted actions: regulators, clock tree, leakage,
and instructions that are not counted (a fit to the clocks of large GEMMs on A100 and H100; boards
of H200 that draw 690 W agree, 1.4 to 1.6)."""
_TABLE_MULTIPLIERS = ("int8", "bf16", "fp16", "fp32")
_LEAST_SHARE = 0.1  # of the limit that is left above idle, however a spec states the two
_SRAM_BANK_BYTES = 1024.0 * 1024.0  # large buffers are banked; an access opens one bank


# Share of an fp32 addition's energy that goes with the width of what is added, and the significand
# of a product of two bf16 numbers; one of fp8 has 8 bits, of fp4 4 (a fit to H100, whose clock
# under large fp8 matmuls says 0.50 pJ per multiply-add where bf16 has 0.83).
_WITH_PRODUCT = 0.5
_FULL_PRODUCT_BITS = 16


@dataclass(frozen=True)
class EnergyPerAction:
    """Joules per action of one chip.

    Attributes
    ----------
    mac_j : dict of str to float
        Multiply-add by input dtype, control included [J].
    vector_flop_j, special_j : float
        Of the vector unit [J].
    scratchpad_j_per_byte, shared_j_per_byte, dram_read_j_per_byte, dram_write_j_per_byte,
    link_j_per_byte : float
        Of data movement [J/B].
    idle_w : float
        Power that flows whatever happens [W].
    limit_w : float
        Power that the board may draw in the long run; infinite where none is stated [W].
    """

    mac_j: dict[str, float]
    vector_flop_j: float
    special_j: float
    scratchpad_j_per_byte: float
    shared_j_per_byte: float
    dram_read_j_per_byte: float
    dram_write_j_per_byte: float
    link_j_per_byte: float
    idle_w: float
    limit_w: float

    @property
    def deliverable_w(self) -> float:
        """Counted dynamic power at which the board reaches its limit [W]."""
        left_w = max(self.limit_w - self.idle_w, _LEAST_SHARE * self.limit_w)
        return left_w / BOARD_OVER_COUNTED


@lru_cache(maxsize=256)
def energy_per_action(chip: Chip) -> EnergyPerAction:
    """Price list of a chip from its process node, memory and power section.

    Notes
    -----
    Between 45 and 7 nm energies are interpolated geometrically in the node; below 7 nm between
    the foundry's announced power steps. Memory energy is the device's plus the chip-side
    interface. What crosses the die (shared buffer, main memory) also pays for half a die edge of
    wire; where the main memory is the cores' own SRAM, whose access the scratchpad pays for, a
    byte pays for the way to the next core.
    """
    table = load_energy_table()
    node = chip.spec.process.node_m
    lanes = 1.0 + table.control_overhead.lanes
    add = at_node(table, table.add, "fp32", node)
    pad = sram_j_per_byte(table, chip.spec.core.scratchpad.capacity_bytes, node)
    shared = chip.spec.shared
    wires = table.wire_j_per_byte_m * _mean_wire_m(chip)
    buffer = sram_j_per_byte(table, shared.capacity_bytes, node) + wires if shared else 0.0
    read, write = _memory_j_per_byte(chip, table, wires)
    power = chip.spec.power
    limit = power.tdp_w or power.max_measured_w or 0.0
    return EnergyPerAction(
        mac_j={name: _mac_with_control_j(chip, table, name) for name in chip.dtypes},
        vector_flop_j=0.5 * lanes * (_multiply_j(table, "fp32", node) + add),
        special_j=table.special_in_adds * add * lanes,
        scratchpad_j_per_byte=pad,
        shared_j_per_byte=buffer,
        dram_read_j_per_byte=read,
        dram_write_j_per_byte=write,
        link_j_per_byte=table.link_j_per_byte,
        idle_w=power.idle_w or table.idle_share_of_tdp * limit,
        limit_w=power.tdp_w or math.inf,
    )


def _mac_with_control_j(chip: Chip, table: EnergyTable, name: str) -> float:
    """Multiply-add of a dtype on the unit that runs it, control of its style included [J]."""
    unit = chip.matrix_unit(name)
    overhead = table.control_overhead
    control = overhead.systolic if isinstance(unit, SystolicUnit) else overhead.tensor_core
    if unit is None:
        control = overhead.lanes
    elif isinstance(unit, TensorCoreUnit) and unit.control_overhead is not None:
        control = unit.control_overhead
    return (1.0 + control) * _mac_j(table, name, chip.spec.process.node_m)


def _memory_j_per_byte(chip: Chip, table: EnergyTable, wires: float) -> tuple[float, float]:
    """Read and write energy of the main memory, seen from the cores [J/B]."""
    interface = table.memory_interface_j_per_byte + wires
    if chip.memory is not None:
        return (
            chip.memory.read_energy_j_per_byte + interface,
            chip.memory.write_energy_j_per_byte + interface,
        )
    if chip.spec.memory.type == "host":  # across a link; the host's DRAM itself is not counted
        return table.link_j_per_byte + interface, table.link_j_per_byte + interface
    pitch_m = 2.0 * _mean_wire_m(chip) / math.sqrt(chip.spec.cores)
    return table.wire_j_per_byte_m * pitch_m, table.wire_j_per_byte_m * pitch_m


def _mean_wire_m(chip: Chip) -> float:
    """Mean way across one die: half its edge [m]; 10 mm where no area is known."""
    die = chip.spec.die
    if die is None or die.area_m2 is None:
        return 0.010
    return 0.5 * math.sqrt(die.area_m2 / die.count)


def at_node(
    table: EnergyTable, pair: tuple[ArithmeticEnergy, ArithmeticEnergy], name: str, node_m: float
) -> float:
    """Energy of an operation at any node [J]."""
    old, new = pair
    ends = (old.node_m, old.energy_j[name]), (new.node_m, new.energy_j[name])
    return _interpolate(table, ends, node_m)


def sram_j_per_byte(table: EnergyTable, capacity_bytes: float, node_m: float) -> float:
    """Energy of moving a byte in or out of an SRAM, opened one bank at a time [J/B]."""
    size = min(capacity_bytes, _SRAM_BANK_BYTES)
    old, new = table.sram_64_bit
    ends = (
        (old.node_m, _geometric(old.energy_j_per_byte, size)),
        (new.node_m, _geometric(new.energy_j_per_byte, size)),
    )
    return _interpolate(table, ends, node_m)


def _geometric(points: dict[float, float], size: float) -> float:
    """Interpolate geometrically between array sizes or nodes; clamp outside."""
    sizes = sorted(points)
    size = min(max(size, sizes[0]), sizes[-1])
    for low, high in pairwise(sizes):
        if size <= high:
            at = math.log(size / low) / math.log(high / low)
            return points[low] * math.pow(points[high] / points[low], at)
    return points[sizes[-1]]


def _interpolate(
    table: EnergyTable, ends: tuple[tuple[float, float], tuple[float, float]], node_m: float
) -> float:
    """Interpolate (node, energy) pairs geometrically; scale by announced steps below them."""
    (old_m, old_j), (new_m, new_j) = ends
    if node_m < new_m * (1 - 1e-9):
        return new_j * _geometric({new_m: 1.0, **table.beyond_7_nm.scale}, node_m)
    at = math.log(node_m / old_m) / math.log(new_m / old_m)
    return old_j * math.pow(new_j / old_j, max(at, -1.0))  # at most one step beyond 45 nm


def _multiply_j(table: EnergyTable, name: str, node_m: float) -> float:
    """Multiplier energy [J]; formats that no paper lists scale with the product of the widths."""
    if name in _TABLE_MULTIPLIERS:
        return at_node(table, table.multiply, name, node_m)
    wide = find_dtype(name)
    if name == "tf32":  # 11-bit significand, like fp16
        return at_node(table, table.multiply, "fp16", node_m)
    if name == "fp64":  # 53-bit significand against 24
        return at_node(table, table.multiply, "fp32", node_m) * (53 / 24) ** 2
    base = "int8" if wide.bits <= 12 else "int32"
    reference = 8.0 if base == "int8" else 32.0
    return at_node(table, table.multiply, base, node_m) * (wide.bits / reference) ** 2


def _mac_j(table: EnergyTable, name: str, node_m: float) -> float:
    """Bare multiply-add [J]: accumulate in fp32, in int32 for integers, in fp64 for fp64.

    Products of floats below 16 bits are shifted and summed together before they meet the fp32
    sum; half of an addition's energy goes with the bits of the product.
    """
    wide = find_dtype(name)
    if wide.kind == "int":
        add = at_node(table, table.add, "int32", node_m)
    else:
        add = at_node(table, table.add, "fp32", node_m) * (2.2 if name == "fp64" else 1.0)
        add *= 1.0 - _WITH_PRODUCT * (1.0 - min(1.0, math.floor(wide.bits) / _FULL_PRODUCT_BITS))
    return _multiply_j(table, name, node_m) + add
