"""The search over tilings and the exact closed form must tell one story about an array."""

from __future__ import annotations

import pytest

from accelsim.arch.loader import load_chip
from accelsim.kernels.machine import fill_cycles, tile_cycles
from accelsim.mapping.machine import machine_for
from accelsim.timing.systolic import array_cycles

TPUS = ("tpu_v1", "tpu_v2", "tpu_v3", "tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e", "tpu_v7")
SIZES = [(2048, 1024, 1024), (64, 2048, 768), (1, 1000, 300), (300, 600, 600), (4096, 128, 128)]


@pytest.mark.parametrize("name", TPUS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_tile_takes_the_search_what_the_array_needs(
    name: str, sizes: tuple[int, int, int]
) -> None:
    chip = load_chip(name)
    dtype = "bf16" if "bf16" in chip.dtypes else "int8"
    array = chip.systolic_array(dtype)
    machine = machine_for(chip, dtype)._replace(macs_per_pe=float(array.features.packing))
    exact = array_cycles(array, *sizes).cycles
    searched = tile_cycles(machine, *sizes) + fill_cycles(machine)
    # The search lets every fold hold the array for at least a load; the last one need not.
    assert exact <= searched <= exact + array.rows


def test_every_dtype_of_a_tpu_has_its_array() -> None:
    chip = load_chip("tpu_v6e")
    assert chip.systolic_array("int8").features.packing == 2
    assert chip.systolic_array("bf16").features.arrays == 4
    assert chip.systolic_array("bf16").pes == 256 * 256
