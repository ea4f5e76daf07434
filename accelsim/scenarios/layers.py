"""The layers of a topology on one systolic array, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.arch.array import Sparsity, SystolicArray
from accelsim.arch.scalesim import ScaleSimConfig, load_scalesim_config
from accelsim.errors import AccelsimError, SpecError
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles
from accelsim.timing.systolic_conv import buffered_conv
from accelsim.workload.topology import Topology, TopologyLayer, load_topology

if TYPE_CHECKING:
    import pandas as pd

_RUNNING = ("compute", "mapping", "fill")
_WAITING = ("prefetch", "stall_a", "stall_b", "stall_c", "drain")
_TRAFFIC = ("dram_reads_a", "dram_reads_b", "dram_reads_c", "dram_writes_c")


@dataclass(frozen=True)
class LayerReport:
    """One layer on an array; counts are of all its `repeat` matrix multiplications.

    Attributes
    ----------
    layer : TopologyLayer
        What was run.
    array : SystolicArray
        On what, with the sparsity that it exploits.
    ideal : SystolicCycles
        The array alone, never waiting.
    buffered : BufferedRun or None
        The same behind the array's buffers; None if it has none.
    """

    layer: TopologyLayer
    array: SystolicArray
    ideal: SystolicCycles
    buffered: BufferedRun | None

    @property
    def compute_cycles(self) -> int:
        """Cycles of the array alone [cycle]."""
        return int(self.ideal.cycles)

    @property
    def prefetch_cycles(self) -> int:
        """Before the first operands are there and the array can start [cycle]."""
        return self.buffered.prefetch_cycles if self.buffered else 0

    @property
    def stall_cycles(self) -> int:
        """Cycles that the array waits for a port once it has started [cycle]."""
        return self.buffered.stall_cycles if self.buffered else 0

    @property
    def drain_cycles(self) -> int:
        """After the array's last cycle, until the last result is written [cycle]."""
        return self.buffered.drain_cycles if self.buffered else 0

    @property
    def running_cycles(self) -> int:
        """From the array's first cycle to its last, stalls included [cycle].

        More bandwidth may lengthen it: an array that starts earlier waits for more while it runs.
        """
        return self.compute_cycles + self.stall_cycles

    @property
    def total_cycles(self) -> int:
        """From the first request to the last word written [cycle]."""
        return self.prefetch_cycles + self.running_cycles + self.drain_cycles

    @property
    def macs(self) -> int:
        """Multiply-adds, those with pruned weights excluded."""
        return int(self.ideal.macs)

    @property
    def utilization(self) -> float:
        """Multiply-adds over the most that the array could do in `total_cycles` [1]."""
        return float(self.ideal.utilization) * self.compute_cycles / self.total_cycles

    @cached_property
    def spent_cycles(self) -> dict[str, float]:
        """Where `total_cycles` go, as parts that sum up to them [cycle].

        ``compute``: multiply-adds on full arrays; ``mapping``: PEs that folds leave idle;
        ``fill``: loading, skew and draining of folds; ``prefetch``: waiting for the first
        operands; ``stall_a``, ``stall_b``, ``stall_c``: waiting for the port of an operand;
        ``drain``: writing what is left after the array's last cycle.
        """
        busy = float(self.ideal.utilization) * self.compute_cycles
        streamed = busy / float(self.ideal.mapping_efficiency)
        waits = {name: getattr(self.buffered, f"{name}_cycles", 0) for name in _WAITING}
        return {
            "compute": busy,
            "mapping": streamed - busy,
            "fill": self.compute_cycles - streamed,
            **waits,
        }

    @property
    def bound(self) -> str:
        """The largest part of `spent_cycles`; waits count together, and the longest is named."""
        spent = self.spent_cycles
        running = max(_RUNNING, key=spent.__getitem__)
        if self.total_cycles - self.compute_cycles <= spent[running]:
            return running
        return max(_WAITING, key=spent.__getitem__)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: sizes, cycles and words, each with its unit in the name.

        What lies behind the buffers is None without buffers: it is not modelled.
        """
        ideal, sparsity = self.ideal, self.array.features.sparsity
        return {
            "name": self.layer.name,
            **self.layer.gemm._asdict(),
            "sparsity": str(sparsity) if sparsity else "",
            "folds": int(ideal.folds),
            "total_cycles": self.total_cycles,
            "compute_cycles": self.compute_cycles,
            **{f"{name}_cycles": self.spent_cycles[name] for name in _WAITING},
            "stall_cycles": self.stall_cycles,
            "bound": self.bound,
            "mapping_efficiency": float(ideal.mapping_efficiency),
            "utilization": self.utilization,
            "macs": self.macs,
            "sram_reads_a_words": int(ideal.sram_reads_a),
            "sram_reads_b_words": int(ideal.sram_reads_b),
            "sram_reads_c_words": int(ideal.sram_reads_c),
            "sram_writes_c_words": int(ideal.sram_writes_c),
            **{f"{name}_words": getattr(self.buffered, name, None) for name in _TRAFFIC},
            "sums_spilled": self.buffered.sums_spilled if self.buffered else None,
        }


@dataclass(frozen=True)
class ArrayReport:
    """What `run_layers` returns.

    Attributes
    ----------
    array : SystolicArray
        On what the layers ran.
    topology : str
        Its name.
    layers : tuple of LayerReport
        In order.
    warnings : tuple of str
        What in the files could not be taken as it stands.
    unused : tuple of str
        Keys of the configuration that have no effect.
    """

    array: SystolicArray
    topology: str
    layers: tuple[LayerReport, ...]
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def total_cycles(self) -> int:
        """Of all layers, one after the other [cycle]."""
        return sum(row.total_cycles for row in self.layers)

    @property
    def compute_cycles(self) -> int:
        """Cycles of the array alone, all layers [cycle]."""
        return sum(row.compute_cycles for row in self.layers)

    @property
    def prefetch_cycles(self) -> int:
        """Before each layer's first operands are there [cycle]."""
        return sum(row.prefetch_cycles for row in self.layers)

    @property
    def stall_cycles(self) -> int:
        """Waiting for a port while a layer runs, all layers [cycle]."""
        return sum(row.stall_cycles for row in self.layers)

    @property
    def drain_cycles(self) -> int:
        """After each layer's last cycle, until its last result is written [cycle]."""
        return sum(row.drain_cycles for row in self.layers)

    @property
    def utilization(self) -> float:
        """Multiply-adds over the most that the array could do in `total_cycles` [1]."""
        return sum(row.utilization * row.total_cycles for row in self.layers) / self.total_cycles

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the model simplifies for these layers."""
        buffers = self.array.buffers
        shapes = [row.layer.conv for row in self.layers if row.layer.conv is not None]
        if buffers is None or all(s.filter_height == s.filter_width == 1 for s in shapes):
            return ()
        return (
            "inputs of a convolution are fetched once if the SRAM of A holds them all; if not, "
            "every fold fetches its own: once where that SRAM holds them as long as windows share "
            "them, and once per window where it does not",
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per layer; the unit of a column is the end of its name."""
        import pandas as pd

        return pd.DataFrame([row.as_dict() for row in self.layers])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "array": self.array.as_dict(),
            "topology": self.topology,
            "layers": [row.as_dict() for row in self.layers],
            "total_cycles": self.total_cycles,
            "compute_cycles": self.compute_cycles,
            "prefetch_cycles": self.prefetch_cycles,
            "stall_cycles": self.stall_cycles,
            "drain_cycles": self.drain_cycles,
            "utilization": self.utilization,
            "macs": sum(row.macs for row in self.layers),
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
            "unused": list(self.unused),
        }


def run_layers(
    topology: str | Path | Topology, array: str | Path | SystolicArray | ScaleSimConfig
) -> ArrayReport:
    """Run the layers of a topology one after the other on a systolic array.

    Parameters
    ----------
    topology : str, Path or Topology
        A SCALE-Sim topology CSV, or layers.
    array : str, Path, SystolicArray or ScaleSimConfig
        A SCALE-Sim ``.cfg`` file, or an array. The N:M sparsity of a layer counts if the
        configuration has SparsitySupport; a SystolicArray applies its own to every layer.

    Returns
    -------
    ArrayReport

    Raises
    ------
    WorkloadError, SpecError
        If a file is malformed; the message names its line.
    CapacityError
        If a layer does not fit the buffers.

    Notes
    -----
    No data stay in the buffers from one layer to the next.
    """
    work = topology if isinstance(topology, Topology) else load_topology(topology)
    if isinstance(array, SystolicArray):
        config = ScaleSimConfig(array)
    else:
        config = array if isinstance(array, ScaleSimConfig) else _config(array)
    rows = tuple(_run(layer, config) for layer in work.layers)
    warnings = [*work.warnings, *config.warnings]
    if not config.sparse and any(layer.sparsity for layer in work.layers):
        warnings.append(
            f"the sparsity of layers in {work.name} is not exploited: {config.array.name} does not "
            "have SparsitySupport"
        )
    return ArrayReport(config.array, work.name, rows, tuple(warnings), config.unused)


def _config(path: str | Path) -> ScaleSimConfig:
    if Path(path).suffix == "" and not Path(path).exists():
        raise SpecError(
            f"'{path}' is no configuration: give a SCALE-Sim .cfg or a SystolicArray; a chip's "
            "is load_chip(name).systolic_array(dtype)"
        )
    return load_scalesim_config(path)


def _run(layer: TopologyLayer, config: ScaleSimConfig) -> LayerReport:
    array = config.array
    try:
        if config.sparse and layer.sparsity:
            features = replace(array.features, sparsity=Sparsity(*layer.sparsity))
            array = replace(array, features=features)
        ideal = array_cycles(array, *layer.gemm)
        buffered = _buffered(layer, array) if array.buffers is not None else None
    except AccelsimError as error:
        place = f"{layer.where}: " if layer.where else ""
        raise type(error)(f"{place}{layer.name}: {error}") from None
    return LayerReport(layer, array, ideal, buffered)


def _buffered(layer: TopologyLayer, array: SystolicArray) -> BufferedRun:
    if layer.conv is not None:
        return buffered_conv(array, layer.conv)
    m, n, k, repeat = layer.gemm
    return buffered_cycles(array, m, n, k, repeat=repeat)
