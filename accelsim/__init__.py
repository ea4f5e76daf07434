"""accelsim: how fast, how much energy and why, for a model on a chip that may not exist yet."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.arch.array import ArrayBuffers, ArrayFeatures, Sparsity, SystolicArray
    from accelsim.arch.loader import load_chip, load_system
    from accelsim.arch.scalesim import load_scalesim_config
    from accelsim.errors import (
        AccelsimError,
        CapacityError,
        MappingError,
        SimulationError,
        SpecError,
        WorkloadError,
    )
    from accelsim.explore.space import load_space
    from accelsim.explore.sweep import sweep
    from accelsim.results.accuracy import ValidationResult
    from accelsim.results.calibration import CalibrationResult
    from accelsim.results.run_result import RunResult
    from accelsim.scenarios.dram import simulate_dram
    from accelsim.scenarios.layers import ArrayReport, run_layers
    from accelsim.scenarios.options import RunOptions
    from accelsim.scenarios.predict import predict
    from accelsim.scenarios.run import run
    from accelsim.scenarios.together import Tenant, run_together
    from accelsim.timing.dram.legality import dram_violations
    from accelsim.timing.pe_level import simulate_array
    from accelsim.timing.systolic import SystolicCycles, systolic_cycles
    from accelsim.timing.systolic_buffers import buffered_cycles
    from accelsim.timing.systolic_conv import conv_cycles
    from accelsim.validation.calibrate import calibrate
    from accelsim.validation.validate import validate
    from accelsim.workload.conv import ConvShape
    from accelsim.workload.models import load_model
    from accelsim.workload.network_reader import load_network

__version__ = "0.1.0"
__all__ = [
    "AccelsimError",
    "ArrayBuffers",
    "ArrayFeatures",
    "ArrayReport",
    "CalibrationResult",
    "CapacityError",
    "ConvShape",
    "MappingError",
    "RunOptions",
    "RunResult",
    "SimulationError",
    "Sparsity",
    "SpecError",
    "SystolicArray",
    "SystolicCycles",
    "Tenant",
    "ValidationResult",
    "WorkloadError",
    "__version__",
    "buffered_cycles",
    "calibrate",
    "conv_cycles",
    "dram_violations",
    "load_chip",
    "load_model",
    "load_network",
    "load_scalesim_config",
    "load_space",
    "load_system",
    "predict",
    "run",
    "run_layers",
    "run_together",
    "simulate_array",
    "simulate_dram",
    "sweep",
    "systolic_cycles",
    "validate",
]
# Imported on first use (PEP 562): `import accelsim` stays fast, whatever a script needs of it.
_HOMES = {
    "AccelsimError": "accelsim.errors",
    "ArrayBuffers": "accelsim.arch.array",
    "ArrayFeatures": "accelsim.arch.array",
    "ArrayReport": "accelsim.scenarios.layers",
    "CalibrationResult": "accelsim.results.calibration",
    "CapacityError": "accelsim.errors",
    "ConvShape": "accelsim.workload.conv",
    "MappingError": "accelsim.errors",
    "RunOptions": "accelsim.scenarios.options",
    "RunResult": "accelsim.results.run_result",
    "SimulationError": "accelsim.errors",
    "Sparsity": "accelsim.arch.array",
    "SpecError": "accelsim.errors",
    "SystolicArray": "accelsim.arch.array",
    "SystolicCycles": "accelsim.timing.systolic",
    "Tenant": "accelsim.scenarios.together",
    "ValidationResult": "accelsim.results.accuracy",
    "WorkloadError": "accelsim.errors",
    "buffered_cycles": "accelsim.timing.systolic_buffers",
    "calibrate": "accelsim.validation.calibrate",
    "conv_cycles": "accelsim.timing.systolic_conv",
    "dram_violations": "accelsim.timing.dram.legality",
    "load_chip": "accelsim.arch.loader",
    "load_model": "accelsim.workload.models",
    "load_network": "accelsim.workload.network_reader",
    "load_scalesim_config": "accelsim.arch.scalesim",
    "load_space": "accelsim.explore.space",
    "load_system": "accelsim.arch.loader",
    "predict": "accelsim.scenarios.predict",
    "run": "accelsim.scenarios.run",
    "run_layers": "accelsim.scenarios.layers",
    "run_together": "accelsim.scenarios.together",
    "simulate_array": "accelsim.timing.pe_level",
    "simulate_dram": "accelsim.scenarios.dram",
    "sweep": "accelsim.explore.sweep",
    "systolic_cycles": "accelsim.timing.systolic",
    "validate": "accelsim.validation.validate",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'accelsim' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what is public, imported or not yet."""
    return sorted(__all__)
