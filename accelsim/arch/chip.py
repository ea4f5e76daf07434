"""A chip ready for simulation: the spec with its memory, calibration and derived quantities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from accelsim.arch.arithmetic import CoreArithmetic
from accelsim.arch.array import ArrayFeatures, SystolicArray, known_dataflow
from accelsim.arch.memory import MemorySpec
from accelsim.arch.memory_rates import MemoryRates, TransferLaw
from accelsim.arch.provenance import Provenance
from accelsim.arch.schema import ChipSpec, MatrixUnit, SystolicUnit, TensorCoreUnit
from accelsim.arithmetic import Arithmetic, MatrixArithmetic
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import MappingError
from accelsim.formats import find_format

_16_BIT_FLOATS = ("bf16", "fp16")
_USUAL_MODEL = {"gpu": "thread_blocks", "cpu": "threads"}


@dataclass(frozen=True)
class CalibrationValues:
    """The calibrated scalars in force: the chip's own, else its family's.

    Attributes
    ----------
    family : str
        The family that supplied the defaults.
    matrix_efficiency, vector_efficiency, shared_efficiency : float
        Sustained over peak rate [1].
    memory_efficiency : float or None
        The same of the main memory, two bytes read for one written; None: as the bank model says.
    kernel_overhead_s : float
        Device-side gap and ramp of one kernel [s].
    host_dispatch_s : float
        Work of the host for a sum of two tensors that it dispatches, events included [s].
    memory_latency_s : float
        Of a load that goes to the main memory, as kernels see it under load [s].
    """

    family: str
    matrix_efficiency: float
    vector_efficiency: float
    memory_efficiency: float | None
    shared_efficiency: float
    kernel_overhead_s: float
    host_dispatch_s: float
    memory_latency_s: float


@dataclass(frozen=True, eq=False)  # identity: a chip is a cache key
class Chip:
    """One chip: its spec and what follows from it.

    Attributes
    ----------
    spec : ChipSpec
        The validated specification.
    memory : MemorySpec or None
        The DRAM standard; None where the main memory is on-chip SRAM or the host's.
    calibration : CalibrationValues
        Resolved scalars.
    units : CoreArithmetic
        How its units multiply and add.
    provenance : tuple of Provenance
        One row per value.
    path : str
        The file it came from.
    memory_rates : MemoryRates or None
        What the bank model says of its memory; None where that has no timing.
    """

    spec: ChipSpec
    memory: MemorySpec | None
    calibration: CalibrationValues
    units: CoreArithmetic
    provenance: tuple[Provenance, ...]
    path: str
    memory_rates: MemoryRates | None = None

    @property
    def name(self) -> str:
        """Lower-case name."""
        return self.spec.name

    @property
    def source_texts(self) -> tuple[str, ...]:
        """The spec's sources, as printed in results."""
        return tuple(f"{key}: {text}" for key, text in self.spec.sources.items())

    @property
    def programming_model(self) -> str:
        """Who decides what runs and moves when: the spec's word, or that of its kind of chip."""
        return self.spec.programming_model or _USUAL_MODEL.get(self.spec.kind, "compiled")

    @property
    def software_managed(self) -> bool:
        """Whether software moves data into the chip's memories ahead of their use.

        So it is where a compiler plans transfers (TPU, NPU, ASIC, FPGA); GPUs and CPUs have caches,
        and their kernels fetch for themselves.
        """
        return self.programming_model == "compiled"

    @property
    def capacity_bytes(self) -> float:
        """Main memory [B]."""
        return self.spec.memory.capacity_bytes

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Peak main memory bandwidth [B/s]."""
        return self.spec.memory.bandwidth_bytes_per_s

    @property
    def sustained_bytes_per_s(self) -> float:
        """Main memory bandwidth that long reads reach: calibration applied [B/s]."""
        return self.transfers.read_bytes_per_s

    @property
    def memory_efficiency(self) -> float:
        """Bandwidth over peak of two bytes read for one written: calibrated, else derived."""
        calibrated = self.calibration.memory_efficiency
        if calibrated is not None:
            return calibrated
        if self.memory_rates is not None:
            return self.memory_rates.triad
        stated = self.memory.streaming_efficiency if self.memory else None
        return stated or 1.0

    @cached_property
    def transfers(self) -> TransferLaw:
        """Time of long transfers to and from the main memory."""
        return TransferLaw.of(self.bandwidth_bytes_per_s, self.memory_efficiency, self.memory_rates)

    @property
    def port_bytes_per_s(self) -> float:
        """Rate at which one core takes data in from outside [B/s].

        Half of the scratchpad's cycles serve the units, half take in the next tile (an estimate).
        """
        return 0.5 * self.spec.core.scratchpad.bandwidth_bytes_per_cycle * self.spec.clock_hz

    @property
    def shared_bytes(self) -> float:
        """Capacity of the shared buffer (L2, CMEM, ...), 0 where there is none [B]."""
        return self.spec.shared.capacity_bytes if self.spec.shared else 0.0

    @cached_property
    def scales_blocks(self) -> bool:
        """Whether matrix units scale blocks of their operands themselves (mx and nv formats)."""
        return any(find_dtype(name).block_scaled for name in self.matrix_flop_per_cycle)

    @property
    def on_chip_bytes(self) -> float:
        """Shared buffer plus all scratchpads [B]."""
        return self.shared_bytes + self.spec.cores * self.spec.core.scratchpad.capacity_bytes

    @cached_property
    def matrix_flop_per_cycle(self) -> dict[str, float]:
        """FLOP per cycle of one core's matrix units by input dtype (lanes where they serve)."""
        rates: dict[str, float] = {}
        for unit in self.spec.core.matrix:
            for name, rate in _unit_rates(unit).items():
                rates[name] = max(rates.get(name, 0.0), rate)
        if self.spec.core.vector.runs_matmul:
            for name, rate in self.spec.core.vector.flop_per_cycle.items():
                rates.setdefault(name, rate)
        return rates

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Input dtypes that a matmul can run in natively."""
        return tuple(self.matrix_flop_per_cycle)

    def matrix_unit(self, dtype: str) -> MatrixUnit | None:
        """Return the unit that runs matmuls of `dtype`; None when the vector lanes do."""
        return self._fastest_units.get(dtype)

    @cached_property
    def _fastest_units(self) -> dict[str, MatrixUnit]:
        """By dtype, the unit of a core with the highest rate; the first of equals."""
        found: dict[str, tuple[float, MatrixUnit]] = {}
        for unit in self.spec.core.matrix:
            for name, rate in _unit_rates(unit).items():
                if name not in found or rate > found[name][0]:
                    found[name] = (rate, unit)
        return {name: unit for name, (_, unit) in found.items()}

    def systolic_array(self, dtype: str) -> SystolicArray:
        """Return one core's arrays for `dtype`, without buffers.

        Raises
        ------
        MappingError
            If matmuls of this dtype do not run on systolic arrays here.
        """
        name = find_dtype(dtype).name
        unit = self.matrix_unit(name)
        if not isinstance(unit, SystolicUnit):
            dtypes = [n for n in self.dtypes if isinstance(self.matrix_unit(n), SystolicUnit)]
            has = f"it has one for {', '.join(dtypes)}" if dtypes else "it has none at all"
            raise MappingError(f"{self.name} has no systolic array for {name}: {has}")
        packing = unit.macs_per_pe[name]
        if packing != int(packing):
            raise MappingError(
                f"a PE of {self.name} does {packing:g} {name} multiply-adds per cycle: only whole "
                "numbers can be laid out PE by PE; choose another dtype, or accelsim run"
            )
        features = ArrayFeatures(
            arrays=unit.count, double_buffer=unit.weight_double_buffer, packing=int(packing)
        )
        return SystolicArray(
            known_dataflow(unit.dataflow), unit.rows, unit.cols, features, name=self.name
        )

    def peak_flop_per_s(self, dtype: str) -> float:
        """Dense matmul peak at the spec's clock [FLOP/s].

        Raises
        ------
        MappingError
            If the chip does not run matmuls of this dtype.
        """
        rates = self.matrix_flop_per_cycle
        if dtype not in rates:
            raise MappingError(self._unsupported(dtype))
        return rates[dtype] * self.spec.cores * self.spec.clock_hz

    def vector_flop_per_s(self, dtype: str = "fp32") -> float:
        """Peak of the vector lanes [FLOP/s]; a dtype they lack runs at the fp32 rate."""
        rates = self.spec.core.vector.flop_per_cycle
        rate = rates.get(dtype) or rates.get("fp32") or max(rates.values())
        return rate * self.spec.cores * self.spec.clock_hz

    @property
    def special_per_s(self) -> float:
        """exp, rsqrt and tanh results per second of the whole chip [1/s]."""
        return self.spec.core.vector.special_per_cycle * self.spec.cores * self.spec.clock_hz

    def ridge_flop_per_byte(self, dtype: str) -> float:
        """Arithmetic intensity at which peak compute and peak bandwidth meet [FLOP/B]."""
        return self.peak_flop_per_s(dtype) / self.bandwidth_bytes_per_s

    def compute_dtype(self, dtype: str, emulate: bool = False) -> str:
        """Return the dtype in which a matmul of `dtype` runs here.

        Parameters
        ----------
        dtype : str
            What the workload asks for.
        emulate : bool
            Accept a wider format where the chip lacks `dtype`.

        Raises
        ------
        MappingError
            If the chip lacks the dtype and `emulate` is false, or nothing can stand in.
        """
        wanted = find_dtype(dtype)
        if wanted.name in self.matrix_flop_per_cycle:
            return wanted.name
        stand_in = next((f for f in wanted.fallbacks if f in self.matrix_flop_per_cycle), None)
        if stand_in is None or not emulate:
            raise MappingError(self._unsupported(wanted.name))
        return stand_in

    def matrix_arithmetic(self, dtype: str) -> MatrixArithmetic:
        """Return what a matmul of `dtype` does to its operands and sums here.

        Raises
        ------
        MappingError
            If the chip does not run matmuls of this dtype, or its spec does not say how it
            sums them.
        """
        name = self.compute_dtype(dtype)
        unit = self.matrix_unit(name)
        place, stated = "core.vector", self.units.lanes
        if unit is not None:
            index = self.spec.core.matrix.index(unit)
            place, stated = f"core.matrix.{index}", self.units.matrix[index]
        if name not in stated:
            raise MappingError(
                f"{self.name} does not say how it sums {name}: {place}.arithmetic covers "
                f"{', '.join(stated) or 'none'}; choose one of them, or give it a table with {name}"
            )
        return stated[name]

    def arithmetic(self, dtype: str, *, kv_dtype: str | None = None) -> Arithmetic:
        """Return the arithmetic in which a model runs whose weights are of `dtype`.

        Parameters
        ----------
        dtype : str
            Of matmuls with weights.
        kv_dtype : str, optional
            Of cached keys and values, any name of `accelsim.formats`; by default as activations
            are stored.

        Raises
        ------
        MappingError
            If the chip does not run matmuls of this dtype.
        WorkloadError
            If one of the dtypes is unknown.

        Notes
        -----
        Matmuls of attention run in the same dtype where it is a float of 16 bits or more, else
        in the first of bf16, fp16 and fp32 that the chip multiplies (in the same integers where
        it multiplies no float). Norms, softmax and activations run in fp32, or in bf16 where the
        vector unit has no fp32. Activations are stored in 16 bits, or in fp32 for wider dtypes.
        """
        wanted = find_dtype(self.compute_dtype(dtype))
        wide = wanted.kind == "float" and wanted.bits >= 16
        lanes = self.spec.core.vector.flop_per_cycle
        attention = stored = wanted.name
        if not wide:
            floats = (f for f in (*_16_BIT_FLOATS, "fp32") if f in self.dtypes)
            attention = next(floats, wanted.name)
            held = (f for f in _16_BIT_FLOATS if f in self.dtypes or f in lanes)
            stored = next(held, "bf16")
        elif wanted.bits > 16:
            stored = "fp32"
        return Arithmetic(
            name=f"{self.name} {wanted.name}",
            linear=self.matrix_arithmetic(wanted.name),
            attention=self.matrix_arithmetic(attention),
            vector="fp32" if "fp32" in lanes else "bf16",
            stored=stored,
            kv=find_format(kv_dtype).name if kv_dtype else stored,
        )

    def _unsupported(self, name: str) -> str:
        native = ", ".join(self.dtypes)
        fallbacks = [f for f in find_dtype(name).fallbacks if f in self.matrix_flop_per_cycle]
        advice = (
            f"it would run as {fallbacks[0]}: pass --emulate-dtype to accept that; or"
            if fallbacks
            else "nothing it has can stand in:"
        )
        return f"{self.name} has no {name} matmul; {advice} choose a dtype it has: {native}"

    def link_bandwidth_bytes_per_s(self) -> float:
        """Bandwidth of all chip-to-chip links together, per direction [B/s]."""
        return sum(link.count * link.bandwidth_bytes_per_s for link in self.spec.links)


def _unit_rates(unit: TensorCoreUnit | SystolicUnit) -> dict[str, float]:
    """FLOP per cycle of all a core's units of this kind, by dtype."""
    if isinstance(unit, TensorCoreUnit):
        return {name: rate * unit.count for name, rate in unit.flop_per_cycle.items()}
    cells = 2.0 * unit.rows * unit.cols * unit.count
    return {name: macs * cells for name, macs in unit.macs_per_pe.items()}
