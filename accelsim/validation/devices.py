"""Which chip a measured device is, and which scalars of a chip measurements have fixed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from accelsim.arch.chip import CalibrationValues, Chip
from accelsim.arch.raw import is_path, read_raw, spec_files
from accelsim.errors import AccelsimError, suggest

SCALARS = tuple(name for name in CalibrationValues.__dataclass_fields__ if name != "family")
"""The calibrated scalars of a chip."""
FITTED = "fitted to"
"""How the note of a calibrated value begins that was fitted to measurements of whole kernels."""

# Names that sources of data use, lower case; names of chips stand for themselves.
_DEVICES = {
    "a100": "a100_sxm_80gb", "a100_sxm": "a100_sxm_80gb", "a100_80gb_vidur": "a100_sxm_80gb",
    "a100_pcie": "a100_pcie_80gb", "h100_sxm_80gb": "h100_sxm", "h100_80gb_vidur": "h100_sxm",
    "h100_llmservingsim": "h100_sxm", "h200_sxm_141gb": "h200_sxm", "b200_sxm_180gb": "b200_sxm",
    "gb200_189gb": "gb200", "l40s_48gb": "l40s", "rtx_pro_6000_server": "rtx_pro_6000",
    "rtx_pro_6000_server_96gb": "rtx_pro_6000", "rtx_pro_6000_96gb": "rtx_pro_6000",
    "v100_pcie_32gb": "v100_pcie", "p100_pcie_16gb": "p100_pcie", "p4_8gb": "p4",
    "t4_16gb": "t4", "l4_24gb": "l4", "a40_48gb": "a40", "mi100_32gb": "mi100",
    "mi210_64gb": "mi210", "rtx4090_24gb": "rtx4090", "rtx3090_24gb": "rtx3090",
    "rtx_a6000_48gb": "a6000", "tpu_v6e_1": "tpu_v6e", "h100": "h100_sxm", "h200": "h200_sxm",
    "b200": "b200_sxm", "b300": "b300_sxm", "v100": "v100_sxm",
}  # fmt: skip


def chip_of_device(device: str) -> str | None:
    """Return the name of the chip that a device is; None where there is no spec of it."""
    name = device.strip().lower().replace("-", "_").replace(" ", "_")
    name = _DEVICES.get(name, name)
    return name if name in spec_files("chip") else None


def chips_of_devices(devices: Iterable[str]) -> dict[str, str]:
    """Map the devices of a user's table to chips.

    Raises
    ------
    AccelsimError
        If one is neither a known device nor a chip.
    """
    known = {device: chip_of_device(device) for device in dict.fromkeys(devices)}
    for device, chip in known.items():
        if chip is None:
            near = suggest(device, spec_files("chip"))
            raise AccelsimError(
                f"device '{device}' is no chip: {near} (see 'accelsim list chips'; leave the "
                "column out and name the chip's file with --on for a chip of your own)"
            )
    return {device: chip for device, chip in known.items() if chip is not None}


def lineage(chip: Chip | str | Path) -> tuple[str, ...]:
    """Name a chip and what it extends, itself first: data of an ancestor serve it too."""
    if isinstance(chip, Chip):
        return (chip.name, *(n for n in lineage(chip.path) if n != chip.name))
    name = str(chip)
    files = [path.stem for path, _ in read_raw(name, "chip").files]
    return tuple(dict.fromkeys(files if is_path(name) else [name, *files]))


def fitted_scalars(chip: Chip) -> tuple[str, ...]:
    """Return the scalars of a chip that were fitted to measured kernels of its own.

    Notes
    -----
    A value counts as fitted when the chip's own file states it, its status is *measured* and its
    note begins with "fitted to", as ``accelsim calibrate`` writes it. A microbenchmark's figure
    does not count, nor does a value of a chip that this one extends: its data are another chip's.
    """
    own = read_raw(chip.path, "chip").document.lines
    found = {
        row.path.removeprefix("calibration.")
        for row in chip.provenance
        if tuple(row.path.split(".")) in own
        and row.path.startswith("calibration.")
        and row.status == "measured"
        and row.note.startswith(FITTED)
    }
    return tuple(name for name in SCALARS if name in found or name.removesuffix("_s") in found)
