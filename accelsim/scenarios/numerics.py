"""Real weights in a chip's arithmetic: quality against fp32, time and energy of the same run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.arithmetic import Arithmetic
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError
from accelsim.formats import dtype_of
from accelsim.functional.arithmetics import preferred_dtype
from accelsim.functional.faults import FaultInjector
from accelsim.functional.linear import scheme_arithmetic
from accelsim.functional.loading import load_weights
from accelsim.functional.quality import compare_logits, divergence, perplexity
from accelsim.functional.quant.schemes import Scheme
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.layers import Setting
from accelsim.functional.transformer.orders import PLAIN, Orders
from accelsim.functional.transformer.sources import FileWeights
from accelsim.results.run_result import RunResult
from accelsim.scenarios.calibration import smoothing_of
from accelsim.scenarios.mapped_orders import MappedOrders
from accelsim.scenarios.numerics_check import Problems, check_variant, scheme_of
from accelsim.scenarios.numerics_options import NumericsOptions
from accelsim.scenarios.numerics_result import NumericsResult, spaced_logits
from accelsim.scenarios.numerics_runs import Execution, Progress, Runs
from accelsim.scenarios.numerics_warnings import (
    damage_warnings,
    quality_warnings,
    system_warnings,
)
from accelsim.scenarios.run import run
from accelsim.workload.phases import PhaseOptions

__all__ = ["NumericsOptions", "NumericsStudy", "Progress", "load_decoder"]

_INTEGERS = ("int8", "int4")


@dataclass(frozen=True)
class _Plan:
    """One variant: what the functional core and the timing engine are told.

    Attributes
    ----------
    name : str
    arithmetic : Arithmetic
    scheme : Scheme or None
    dtype, weight_dtype : str
        Of the timed run; the second is where weights are stored narrower.
    """

    name: str
    arithmetic: Arithmetic
    scheme: Scheme | None
    dtype: str
    weight_dtype: str | None

    @property
    def attention_dtype(self) -> str:
        """Dtype in which attention and the head are timed: that in which they are executed."""
        return dtype_of(self.arithmetic.attention.operand)


class NumericsStudy:
    """A model on a chip in several variants, each against one fp32 run.

    Parameters
    ----------
    model : DecoderModel
    system : System
        One of its chips runs the model.
    options : NumericsOptions
    progress : callable, optional
        Called with (what, done, total).
    """

    def __init__(
        self,
        model: DecoderModel,
        system: System,
        options: NumericsOptions,
        progress: Progress | None = None,
    ) -> None:
        self.model, self.system, self.options, self.progress = model, system, options, progress
        self._runs = Runs(model, options, progress)
        self._prefix = ""

    @classmethod
    def load(
        cls,
        model: str | Path,
        on: str | Path,
        options: NumericsOptions | None = None,
        progress: Progress | None = None,
    ) -> NumericsStudy:
        """Open weights and chip by name or path.

        Raises
        ------
        WorkloadError
            If the weights are missing, damaged, or those of no decoder.
        SpecError
            If there is no such chip.
        """
        system = load_system(str(on))
        return cls(load_decoder(model), system, options or NumericsOptions(), progress)

    def on(self, system: System | str | Path) -> NumericsStudy:
        """Return the study of the same model on another system, with the same fp32 run.

        Its results are named after system and variant, "mi300x bf16", so that those of several
        chips can stand in one table.

        Raises
        ------
        SpecError
            If there is no such chip.
        """
        found = system if isinstance(system, System) else load_system(str(system))
        study = NumericsStudy(self.model, found, self.options, self.progress)
        study._runs, study._prefix = self._runs, f"{found.name} "
        return study

    def prompt_tokens(self) -> list[int]:
        """Return the tokens of the prompt."""
        return self._runs.prompt_tokens

    def text_tokens(self) -> list[int]:
        """Return the tokens of the evaluated text."""
        return self._runs.text_tokens

    def check(self, variants: Sequence[str | None]) -> list[Arithmetic]:
        """Return the arithmetic of variants; refuse now what `measure` would refuse after a run.

        Raises
        ------
        MappingError
            If the chip lacks the dtype that a variant needs.
        WorkloadError
            If a variant, the prompt, the text or the plan of faults is unusable. Several problems
            are told together.
        """
        problems = Problems()
        with problems.noted():
            self._runs.check()
        found = []
        for variant in variants:
            with problems.noted():
                found.append(self.arithmetic(variant))
        problems.refuse()
        return found

    def arithmetic(self, variant: str | None = None) -> Arithmetic:
        """Return the arithmetic of a variant.

        Raises
        ------
        MappingError, WorkloadError
            As `check` does.
        """
        plan = self._plan(variant)
        check_variant(self.model, plan.arithmetic, plan.scheme, self.options.faults)
        return plan.arithmetic

    def measure(self, variant: str | None = None) -> NumericsResult:
        """Run one variant: a dtype of the chip, a quantisation by name, or None for the default.

        Raises
        ------
        MappingError
            If the chip lacks the dtype that the variant needs.
        WorkloadError
            If the variant, the prompt, the text or the plan of faults is unusable.
        """
        self.check([variant])
        plan = self._plan(variant)
        reference = self._runs.reference()
        injector = FaultInjector(self.options.faults) if self.options.faults else None
        orders = self._orders(plan)
        setting = Setting(
            plan.arithmetic, plan.scheme, orders, injector,
            smoothing=smoothing_of(self.model, plan.scheme),
        )  # fmt: skip
        found = self._runs.execute(plan.name, setting)
        timing = self._timed(plan, len(self.prompt_tokens()), len(found.tokens))
        result = self._result(plan, reference, found, timing, injector)
        warnings = (*timing.warnings, *orders.warnings, *result.warnings)
        return replace(result, sums=orders.describe(), warnings=warnings)

    def _plan(self, variant: str | None) -> _Plan:
        """Find out what a variant asks of the functional core and of the timing engine."""
        chip, o = self.system.chip, self.options
        dtype = o.dtype or preferred_dtype(chip)
        scheme = scheme_of(variant)
        name = self._prefix + (variant or dtype)
        if scheme is None:
            dtype = variant.lower() if variant else dtype
            native = chip.compute_dtype(dtype, o.emulate_dtype)
            arithmetic = chip.arithmetic(native, kv_dtype=o.kv_dtype)
            return _Plan(name, arithmetic, None, dtype, None)
        native = chip.compute_dtype(dtype, o.emulate_dtype)
        base = chip.arithmetic(native, kv_dtype=o.kv_dtype)
        stored = find_dtype(dtype_of(scheme.weights.format)).name
        if scheme.activations is None:
            of = scheme.weights
            grouped = f"{stored}-g{of.group}" if of.group and stored in _INTEGERS else stored
            return _Plan(name, base, scheme, dtype, grouped)
        linear = scheme_arithmetic(chip.matrix_arithmetic, scheme, dtype)
        arithmetic = replace(base, name=f"{chip.name} {variant}", linear=linear)
        return _Plan(name, arithmetic, scheme.taken_by(linear.operand), stored, None)

    def _orders(self, plan: _Plan) -> Orders:
        if self.options.order == "plain":
            return PLAIN
        given = PhaseOptions(
            phase="prefill", batch=1, input_len=1, dtype=plan.dtype,
            weight_dtype=plan.weight_dtype, kv_dtype=_timed_kv(self.options.kv_dtype),
            attention_dtype=plan.attention_dtype,
        )  # fmt: skip
        return MappedOrders(
            self.model.spec.config, self.system.chip, given, self.options.emulate_dtype
        )

    def _timed(self, plan: _Plan, prompt_tokens: int, made: int) -> RunResult:
        """Time the same prompt and the tokens made; logits that gave none were computed as well."""
        o = self.options
        one = System.of_chip(self.system.chip)  # whose warnings are those of one chip
        return run(
            self.model.spec.config, one, phase="generate" if o.tokens else "prefill",
            batch=1, input_len=prompt_tokens, output_len=max(1, made), dtype=plan.dtype,
            weight_dtype=plan.weight_dtype, kv_dtype=_timed_kv(o.kv_dtype),
            attention_dtype=plan.attention_dtype, emulate_dtype=o.emulate_dtype,
        )  # fmt: skip

    def _result(
        self,
        plan: _Plan,
        reference: Execution,
        found: Execution,
        timing: RunResult,
        injector: FaultInjector | None,
    ) -> NumericsResult:
        text, tokenizer, scheme = self.text_tokens(), self.model.tokenizer, plan.scheme
        assert tokenizer is not None
        bad = _nonfinite(self.model)
        quality = compare_logits(reference.logits, found.logits)
        stops = (("fp32", reference.stopped), (plan.name, found.stopped))
        return NumericsResult(
            variant=plan.name,
            chip=self.system.chip.name,
            model=self.model.name,
            arithmetic=plan.arithmetic.name,
            scheme=scheme.describe() if scheme else "",
            weight_bits=scheme.weight_bits if scheme else find_dtype(plan.dtype).bits,
            prompt=self.options.prompt,
            text=tokenizer.decode(found.tokens, skip_special=True, unknown="replace"),
            reference_text=tokenizer.decode(reference.tokens, skip_special=True, unknown="replace"),
            tokens=found.tokens,
            reference_tokens=reference.tokens,
            diverges_at=divergence(reference.tokens, found.tokens),
            stopped=found.stopped,
            quality=quality,
            perplexity=perplexity(found.logits, text),
            reference_perplexity=perplexity(reference.logits, text),
            errors=tuple(self._runs.probe.errors()),
            timing=timing,
            nonfinite_weights=bad,
            faults=_tallies(injector),
            ecc=injector.plan.ecc if injector else "none",
            logits=spaced_logits(found.logits),
            reference_logits=spaced_logits(reference.logits),
            warnings=(
                *system_warnings(self.system),
                *self._runs.text_warnings(),
                *quality_warnings(plan.name, quality),
                *(f"{name}: {stopped}" for name, stopped in stops if stopped),
                *damage_warnings(bad, injector),
            ),
        )


def load_decoder(model: str | Path) -> DecoderModel:
    """Open weights that generate text, by name or path.

    Raises
    ------
    WorkloadError
        If the weights are missing, damaged, or those of no decoder.
    """
    opened = load_weights(model)
    if not isinstance(opened, DecoderModel):
        raise WorkloadError(
            f"{opened.name} is an encoder: it generates no text. In Python, "
            "accelsim.functional.load_weights(...).embed(sentences, arithmetic=...) runs it"
        )
    return opened


def _nonfinite(model: DecoderModel) -> dict[str, int]:
    """Return how many weights of a file are NaN or infinite, by tensor."""
    weights = model.weights
    found = weights.nonfinite if isinstance(weights, FileWeights) else {}
    return {name: count.nan + count.inf for name, count in found.items()}


def _timed_kv(fmt: str | None) -> str | None:
    return None if fmt is None else dtype_of(fmt)


def _tallies(injector: FaultInjector | None) -> dict[str, dict[str, int]]:
    if injector is None:
        return {}
    return {target: asdict(tally) for target, tally in injector.tally.items()}
