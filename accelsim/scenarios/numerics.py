"""Real weights in a chip's arithmetic: quality against fp32, time and energy of the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.arithmetic import FP32, Arithmetic
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError
from accelsim.formats import dtype_of
from accelsim.functional.arithmetics import preferred_dtype
from accelsim.functional.faults import FaultInjector, FaultPlan
from accelsim.functional.layer_errors import ErrorProbe
from accelsim.functional.linear import scheme_arithmetic
from accelsim.functional.loading import load_weights
from accelsim.functional.quality import compare_logits, divergence, perplexity
from accelsim.functional.quant.schemes import Scheme, parse_scheme
from accelsim.functional.sampler import GREEDY, NoTokenError, Sampler
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.layers import Setting
from accelsim.functional.transformer.orders import PLAIN, Orders
from accelsim.functional.transformer.sources import FileWeights
from accelsim.results.run_result import RunResult
from accelsim.scenarios.calibration import smoothing_of
from accelsim.scenarios.mapped_orders import MappedOrders
from accelsim.scenarios.numerics_check import check_variant
from accelsim.scenarios.numerics_result import NumericsResult, damage_warnings
from accelsim.scenarios.run import run
from accelsim.workload.phases import PhaseOptions
from accelsim.workload.texts import packaged_text

Progress = Callable[[str, int, int], None]
Floats = NDArray[np.float32]
_INTEGERS = ("int8", "int4")
_WIDE = ("fp64", "fp32", "tf32", "bf16", "fp16")
_LAST_OF_LAYER = ("ffn_add", "layer_output_norm")
DEFAULT_PROMPT = "Explain in two sentences why a matrix unit needs on-chip memory."


@dataclass(frozen=True)
class NumericsOptions:
    """How real weights are run.

    Attributes
    ----------
    dtype : str or None
        Of the chip's matmuls; None: the first it has of bf16, fp16, tf32, fp32, int8.
    kv_dtype : str or None
        Of the KV cache; None: as activations are stored.
    prompt : str
    chat : bool or None
        Wrap the prompt as a user's turn; None: if the tokenizer names a known chat format.
    tokens : int
        Most tokens to generate: a run that ends its text earlier has, and times, fewer.
    text : str or None
        Evaluated text; None: the packaged one.
    eval_tokens : int
        Tokens of that text.
    order : str
        "mapped": sums in the order that the chip's mapping makes; "plain": k ascending.
    sampler : Sampler
    faults : FaultPlan or None
        Bit flips in the measured run (the fp32 run has none).
    emulate_dtype : bool
        A dtype that the chip lacks runs in a wider one.
    """

    dtype: str | None = None
    kv_dtype: str | None = None
    prompt: str = DEFAULT_PROMPT
    chat: bool | None = None
    tokens: int = 32
    text: str | None = None
    eval_tokens: int = 256
    order: str = "mapped"
    sampler: Sampler = GREEDY
    faults: FaultPlan | None = None
    emulate_dtype: bool = False

    def __post_init__(self) -> None:
        if self.order not in ("mapped", "plain"):
            raise WorkloadError(f"order is '{self.order}', expected mapped or plain")
        if not self.prompt.strip():
            raise WorkloadError("the prompt is empty: a model continues a text, give it one")
        for name, least in (("tokens", 0), ("eval_tokens", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise WorkloadError(
                    f"{name} is {value!r}, expected {least} or more, a whole number"
                )


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


@dataclass(frozen=True, eq=False)
class _Reference:
    """The fp32 run that all variants are compared with."""

    logits: Floats
    tokens: tuple[int, ...]
    probe: ErrorProbe


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
        self._reference: _Reference | None = None

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
        opened = load_weights(model)
        if not isinstance(opened, DecoderModel):
            raise WorkloadError(
                f"{opened.name} is an encoder: it generates no text. In Python, "
                "accelsim.functional.load_weights(...).embed(sentences, arithmetic=...) runs it"
            )
        return cls(opened, load_system(str(on)), options or NumericsOptions(), progress)

    def prompt_tokens(self) -> list[int]:
        """Return the tokens of the prompt."""
        tokenizer, o = self.model.tokenizer, self.options
        if tokenizer is None:
            raise WorkloadError(f"{self.model.name} has no tokenizer, so it takes no prompt")
        talks = tokenizer.chat_format.name != "plain" if o.chat is None else o.chat
        text = tokenizer.chat([{"role": "user", "content": o.prompt}]) if talks else o.prompt
        return tokenizer.encode(text)

    def text_tokens(self) -> list[int]:
        """Return the tokens of the evaluated text."""
        tokenizer, o = self.model.tokenizer, self.options
        assert tokenizer is not None
        text = packaged_text("evaluation") if o.text is None else o.text
        tokens = tokenizer.encode(text)[: min(o.eval_tokens, self.model.context)]
        if len(tokens) < 2:
            raise WorkloadError("the evaluated text has fewer than two tokens")
        return tokens

    def check(self, variants: Sequence[str | None]) -> list[Arithmetic]:
        """Return the arithmetic of variants; refuse now what `measure` would refuse after a run.

        Raises
        ------
        MappingError
            If the chip lacks the dtype that a variant needs.
        WorkloadError
            If a variant, the prompt, the text or the plan of faults is unusable.
        """
        self.model.check_room(len(self.prompt_tokens()), self.options.tokens)
        self.text_tokens()
        plans = [self._plan(variant) for variant in variants]
        for plan in plans:
            check_variant(self.model, plan.arithmetic, plan.scheme, self.options.faults)
        return [plan.arithmetic for plan in plans]

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
        prompt, text = self.prompt_tokens(), self.text_tokens()
        reference = self._referred(prompt, text)
        reference.probe.measure()
        injector = FaultInjector(self.options.faults) if self.options.faults else None
        orders = self._orders(plan)
        setting = Setting(
            plan.arithmetic, plan.scheme, orders, injector,
            smoothing=smoothing_of(self.model, plan.scheme),
        )  # fmt: skip
        logits, tokens = self._run(plan.name, setting, (prompt, text), reference.probe)
        timing = self._timed(plan, len(prompt), len(tokens))
        warnings = (*timing.warnings, *orders.warnings)
        return self._result(plan, reference, (logits, tokens, timing), injector, warnings)

    def _plan(self, variant: str | None) -> _Plan:
        """Find out what a variant asks of the functional core and of the timing engine."""
        chip, o = self.system.chip, self.options
        dtype = o.dtype or preferred_dtype(chip)
        if variant is None or variant.lower() in _WIDE:
            dtype = variant.lower() if variant else dtype
            native = chip.compute_dtype(dtype, o.emulate_dtype)
            arithmetic = chip.arithmetic(native, kv_dtype=o.kv_dtype)
            return _Plan(variant or dtype, arithmetic, None, dtype, None)
        scheme = parse_scheme(variant)
        native = chip.compute_dtype(dtype, o.emulate_dtype)
        base = chip.arithmetic(native, kv_dtype=o.kv_dtype)
        stored = find_dtype(dtype_of(scheme.weights.format)).name
        if scheme.activations is None:
            of = scheme.weights
            grouped = f"{stored}-g{of.group}" if of.group and stored in _INTEGERS else stored
            return _Plan(variant, base, scheme, dtype, grouped)
        linear = scheme_arithmetic(chip.matrix_arithmetic, scheme, dtype)
        arithmetic = replace(base, name=f"{chip.name} {variant}", linear=linear)
        return _Plan(variant, arithmetic, scheme, stored, None)

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

    def _referred(self, prompt: list[int], text: list[int]) -> _Reference:
        """Run fp32 once; it is what every variant is compared with."""
        if self._reference is None:
            probe = ErrorProbe()
            logits, tokens = self._run("fp32", Setting(FP32), (prompt, text), probe)
            self._reference = _Reference(logits, tokens, probe)
        return self._reference

    def _run(
        self, name: str, setting: Setting, texts: tuple[list[int], list[int]], probe: ErrorProbe
    ) -> tuple[Floats, tuple[int, ...]]:
        """Read the evaluated text, then continue the prompt."""
        prompt, text = texts
        o, layers = self.options, self.model.spec.config.n_layers
        total = layers + o.tokens

        def watch(op: str, values: Floats) -> None:
            if not op.endswith("_exps"):  # the tokens that visit an expert differ between runs
                probe(op, values)
            if op.endswith(_LAST_OF_LAYER):
                self._tell(f"{name}: evaluating", int(op.split(".")[1]) + 1, total)

        weights = len(self.model.weights.shapes)
        prepared = 0

        def packed(_: str) -> None:
            nonlocal prepared
            prepared += 1
            self._tell(f"{name}: preparing weights", prepared, weights)

        self.model.ops(setting, tell=packed)
        logits = self.model.logits(text, replace(setting, observe=watch))
        tokens = []
        stop = self.model.tokenizer.eos_ids if self.model.tokenizer else ()
        stream = self.model.stream(prompt, o.tokens, setting, sampler=o.sampler, stop=stop)
        with suppress(NoTokenError):  # the result says how many logits were no numbers
            for token, _ in stream:
                tokens.append(token)
                self._tell(f"{name}: generating", layers + len(tokens), total)
        return logits, tuple(tokens)

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(what, done, total)

    def _timed(self, plan: _Plan, prompt_tokens: int, made: int) -> RunResult:
        """Time the same prompt and the tokens made; logits that gave none were computed as well."""
        o = self.options
        return run(
            self.model.spec.config, self.system, phase="generate" if o.tokens else "prefill",
            batch=1, input_len=prompt_tokens, output_len=max(1, made), dtype=plan.dtype,
            weight_dtype=plan.weight_dtype, kv_dtype=_timed_kv(o.kv_dtype),
            attention_dtype=plan.attention_dtype, emulate_dtype=o.emulate_dtype,
        )  # fmt: skip

    def _result(
        self,
        plan: _Plan,
        reference: _Reference,
        found: tuple[Floats, tuple[int, ...], RunResult],
        injector: FaultInjector | None,
        warnings: tuple[str, ...],
    ) -> NumericsResult:
        logits, tokens, timing = found
        text, tokenizer, weights = self.text_tokens(), self.model.tokenizer, self.model.weights
        assert tokenizer is not None
        bad = {
            name: count.nan + count.inf
            for name, count in (
                weights.nonfinite if isinstance(weights, FileWeights) else {}
            ).items()
        }
        scheme = plan.scheme
        return NumericsResult(
            variant=plan.name,
            chip=self.system.chip.name,
            model=self.model.name,
            arithmetic=plan.arithmetic.name,
            scheme=scheme.describe() if scheme else "",
            weight_bits=scheme.weight_bits if scheme else find_dtype(plan.dtype).bits,
            prompt=self.options.prompt,
            text=tokenizer.decode(tokens, skip_special=True, unknown="replace"),
            reference_text=tokenizer.decode(reference.tokens, skip_special=True, unknown="replace"),
            tokens=tokens,
            reference_tokens=reference.tokens,
            diverges_at=divergence(reference.tokens, tokens),
            quality=compare_logits(reference.logits, logits),
            perplexity=perplexity(logits, text),
            reference_perplexity=perplexity(reference.logits, text),
            errors=tuple(reference.probe.errors()),
            timing=timing,
            nonfinite_weights=bad,
            faults=_tallies(injector),
            logits=logits,
            reference_logits=reference.logits,
            warnings=(*warnings, *damage_warnings(bad, injector)),
        )


def _timed_kv(fmt: str | None) -> str | None:
    return None if fmt is None else dtype_of(fmt)


def _tallies(injector: FaultInjector | None) -> dict[str, dict[str, int]]:
    if injector is None:
        return {}
    return {target: asdict(tally) for target, tally in injector.tally.items()}
