"""The layers of a topology on one systolic array, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.arch.array import Sparsity, SystolicArray
from accelsim.arch.scalesim import ScaleSimConfig, load_scalesim_config
from accelsim.errors import AccelsimError
from accelsim.timing.systolic import SystolicCycles, array_cycles
from accelsim.timing.systolic_buffers import BufferedRun, buffered_cycles
from accelsim.timing.systolic_conv import distinct_share
from accelsim.workload.topology import Topology, TopologyLayer, load_topology

if TYPE_CHECKING:
    import pandas as pd

_RUNNING = ("compute", "mapping", "fill")
_STALLS = ("stall_a", "stall_b", "stall_c")


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
        One of its matrix multiplications, never waiting.
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
        return int(self.ideal.cycles) * self.layer.gemm.repeat

    @property
    def stall_cycles(self) -> int:
        """Cycles that the array waits for a port [cycle]."""
        return self._count("stall_cycles")

    @property
    def cycles(self) -> int:
        """From the first load to the last result [cycle]."""
        return self.compute_cycles + self.stall_cycles

    @property
    def total_cycles(self) -> int:
        """`cycles`, with the first fill of the buffers and the last write [cycle]."""
        return self._count("total_cycles") if self.buffered else self.cycles

    @property
    def macs(self) -> int:
        """Multiply-adds, those with pruned weights excluded."""
        return int(self.ideal.macs) * self.layer.gemm.repeat

    @property
    def utilization(self) -> float:
        """Multiply-adds over the most that the array could do in `cycles` [1]."""
        return float(self.ideal.utilization) * self.compute_cycles / self.cycles

    @cached_property
    def spent_cycles(self) -> dict[str, float]:
        """Where `cycles` go, as parts that sum up to them [cycle].

        ``compute``: multiply-adds on full arrays; ``mapping``: PEs that folds leave idle;
        ``fill``: loading, skew and draining; ``stall_a``, ``stall_b``, ``stall_c``: waiting for
        the port of an operand.
        """
        busy = float(self.ideal.utilization) * self.compute_cycles
        streamed = busy / float(self.ideal.mapping_efficiency)
        stalls = {name: self._count(f"{name}_cycles") for name in _STALLS}
        return {
            "compute": busy,
            "mapping": streamed - busy,
            "fill": self.compute_cycles - streamed,
            **stalls,
        }

    @property
    def bound(self) -> str:
        """The largest part of `spent_cycles`; stalls count together, and the longest is named."""
        spent = self.spent_cycles
        running = max(_RUNNING, key=spent.__getitem__)
        if self.stall_cycles <= spent[running]:
            return running
        return max(_STALLS, key=spent.__getitem__)

    def _count(self, name: str) -> int:
        """Return a count of the buffered run, of all repeats; 0 without buffers."""
        return int(getattr(self.buffered, name, 0)) * self.layer.gemm.repeat

    def as_dict(self) -> dict[str, Any]:
        """Plain data: sizes, cycles and words, each with its unit in the name."""
        layer, ideal, repeat = self.layer, self.ideal, self.layer.gemm.repeat
        sparsity = self.array.features.sparsity
        return {
            "name": layer.name,
            **layer.gemm._asdict(),
            "sparsity": str(sparsity) if sparsity else "",
            "folds": int(ideal.folds) * repeat,
            "compute_cycles": self.compute_cycles,
            **{f"{name}_cycles": self._count(f"{name}_cycles") for name in _STALLS},
            "stall_cycles": self.stall_cycles,
            "cycles": self.cycles,
            "prefetch_cycles": self._count("prefetch_cycles"),
            "drain_cycles": self._count("drain_cycles"),
            "total_cycles": self.total_cycles,
            "bound": self.bound,
            "mapping_efficiency": float(ideal.mapping_efficiency),
            "utilization": self.utilization,
            "macs": self.macs,
            "sram_reads_a_words": int(ideal.sram_reads_a) * repeat,
            "sram_reads_b_words": int(ideal.sram_reads_b) * repeat,
            "sram_writes_c_words": int(ideal.sram_writes_c) * repeat,
            "dram_reads_a_words": self._count("dram_reads_a"),
            "dram_reads_b_words": self._count("dram_reads_b"),
            "dram_reads_c_words": self._count("dram_reads_c"),
            "dram_writes_c_words": self._count("dram_writes_c"),
            "sums_spilled": bool(self._count("sums_spilled")),
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
    def cycles(self) -> int:
        """Of all layers, one after the other [cycle]."""
        return sum(row.cycles for row in self.layers)

    @property
    def stall_cycles(self) -> int:
        """Waiting for a port, all layers [cycle]."""
        return sum(row.stall_cycles for row in self.layers)

    @property
    def total_cycles(self) -> int:
        """`cycles`, with every layer's first fill and last write [cycle]."""
        return sum(row.total_cycles for row in self.layers)

    @property
    def utilization(self) -> float:
        """Multiply-adds over the most that the array could do in `cycles` [1]."""
        return sum(row.utilization * row.cycles for row in self.layers) / self.cycles

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the model simplifies for these layers."""
        buffers = self.array.buffers
        shapes = [row.layer.conv for row in self.layers if row.layer.conv is not None]
        if buffers is None or all(s.filter_height == s.filter_width == 1 for s in shapes):
            return ()
        return (
            "inputs of a convolution are fetched once per pass where the SRAM of A holds the rows "
            "under one row of windows, and once per window otherwise",
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per layer; the unit of a column is the end of its name."""
        import pandas as pd

        return pd.DataFrame([row.as_dict() for row in self.layers])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "array": _array_dict(self.array),
            "topology": self.topology,
            "layers": [row.as_dict() for row in self.layers],
            "cycles": self.cycles,
            "stall_cycles": self.stall_cycles,
            "total_cycles": self.total_cycles,
            "utilization": self.utilization,
            "macs": sum(row.macs for row in self.layers),
            "assumptions": list(self.assumptions),
            "warnings": list(self.warnings),
            "unused": list(self.unused),
        }


def _array_dict(array: SystolicArray) -> dict[str, Any]:
    buffers = array.buffers
    data: dict[str, Any] = {
        "name": array.name, "dataflow": array.dataflow, "rows": array.rows, "cols": array.cols
    }  # fmt: skip
    for operand in "abc":
        rate = getattr(buffers, f"{operand}_words_per_cycle", None)
        data[f"{operand}_sram_words"] = getattr(buffers, f"{operand}_words", None)
        data[f"{operand}_words_per_cycle"] = None if rate is None else float(rate)
    return data


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
        config = array if isinstance(array, ScaleSimConfig) else load_scalesim_config(array)
    rows = tuple(_run(layer, config) for layer in work.layers)
    warnings = [*work.warnings, *config.warnings]
    if not config.sparse and any(layer.sparsity for layer in work.layers):
        warnings.append(
            f"the sparsity of layers in {work.name} is not exploited: {config.array.name} does not "
            "have SparsitySupport"
        )
    return ArrayReport(config.array, work.name, rows, tuple(warnings), config.unused)


def _run(layer: TopologyLayer, config: ScaleSimConfig) -> LayerReport:
    m, n, k, _ = layer.gemm
    array = config.array
    try:
        if config.sparse and layer.sparsity:
            features = replace(array.features, sparsity=Sparsity(*layer.sparsity))
            array = replace(array, features=features)
        ideal = array_cycles(array, m, n, k)
        buffered = None
        if array.buffers is not None:
            share = distinct_share(layer.conv, array.buffers.a_words) if layer.conv else Fraction(1)
            buffered = buffered_cycles(array, m, n, k, distinct_a=share)
    except AccelsimError as error:
        place = f"{layer.where}: " if layer.where else ""
        raise type(error)(f"{place}{layer.name}: {error}") from None
    return LayerReport(layer, array, ideal, buffered)
