"""The options of a run, validated once, whoever asks: Python, command line or sweep."""

from __future__ import annotations

from dataclasses import dataclass, fields

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError, suggest
from accelsim.timing.launch import LAUNCH
from accelsim.workload.sizes import COUNT_LIMIT

PHASES = ("prefill", "decode", "generate", "train", "forward")
ENGINES = ("roofline", "analytic", "event")
DRAM = ("fluid", "bank")
MOST_BUFFERS = 16
ATTENTION = ("fused", "unfused")
RECOMPUTE = ("none", "selective", "full")


@dataclass(frozen=True)
class RunOptions:
    """How a model is run.

    Attributes
    ----------
    phase : str
        ``prefill`` (all input tokens to the first output token), ``decode`` (one step with
        `input_len` tokens in the cache), ``generate`` (prefill, then `output_len` tokens) or
        ``train`` (one step over `input_len` tokens per sequence). Networks without tokens have
        one phase, ``forward``, whatever the default says.
    batch : int or None
        Sequences, or samples of a network; None means 1, or what the network's file says.
    output_len : int
        Tokens to generate for each sequence.
    input_len : int or None
        Prompt tokens (cached tokens in decode); None means 1024, or half of a learned position
        table where that is less.
    dtype, kv_dtype, weight_dtype, attention_dtype : str or None
        Arithmetic, KV cache, weight storage, and arithmetic of attention and logits; None means
        the model's own dtype, or `dtype`.
    tp : int
        Devices that share every layer (tensor parallelism).
    engine : str
        ``event`` (default: mapped ops compete for engines and bandwidth over time), ``analytic``
        (mapped, one op after another) or ``roofline`` (bound only).
    attention : str
        ``fused`` (online softmax, scores never leave the core) or ``unfused``.
    recompute : str
        Activations recomputed in the backward pass of training.
    launch : str
        ``graph`` (host dispatch hidden), ``eager`` or ``compiled`` (each vector op a function of
        its own).
    emulate_dtype, allow_oversubscribe : bool
        Accept a wider arithmetic, or a model that does not fit, and say so.
    every_chip : bool
        The event engine simulates each of the `tp` chips, not one for all of them.
    what_if : bool
        The event engine also finds the latency if each resource were infinite: seven runs more.
    dram : str
        Main memory of the event engine: ``fluid`` (bandwidth that long transfers reach) or
        ``bank`` (the bank model runs a sample of each op's tiles).
    buffers : int
        Operand buffers of the event engine: 2 is double buffering, 1 overlaps nothing.
    """

    phase: str = "prefill"
    batch: int | None = None
    input_len: int | None = None
    output_len: int = 128
    dtype: str | None = None
    kv_dtype: str | None = None
    weight_dtype: str | None = None
    attention_dtype: str | None = None
    tp: int = 1
    engine: str = "event"
    attention: str = "fused"
    recompute: str = "none"
    launch: str = "graph"
    emulate_dtype: bool = False
    allow_oversubscribe: bool = False
    every_chip: bool = False
    what_if: bool = False
    dram: str = "fluid"
    buffers: int = 2

    def __post_init__(self) -> None:
        _one_of("phase", self.phase, PHASES)
        _one_of("engine", self.engine, ENGINES)
        _one_of("attention", self.attention, ATTENTION)
        _one_of("recompute", self.recompute, RECOMPUTE)
        _one_of("launch", self.launch, LAUNCH)
        _one_of("dram", self.dram, DRAM)
        if self.dram == "bank" and self.engine != "event":
            raise WorkloadError(
                f"dram 'bank' needs the event engine, got engine '{self.engine}', whose memory is "
                "a bandwidth: take engine event, or dram fluid"
            )
        self._check_event_options()
        for name in ("emulate_dtype", "allow_oversubscribe", "every_chip", "what_if"):
            if not isinstance(getattr(self, name), bool):
                raise WorkloadError(f"{name} is {getattr(self, name)!r}, expected True or False")
        if type(self.buffers) is not int or not 1 <= self.buffers <= MOST_BUFFERS:
            raise WorkloadError(
                f"buffers is {self.buffers!r}, expected a whole number from 1 to {MOST_BUFFERS}; "
                "2 is double buffering"
            )
        for name in ("batch", "input_len", "output_len", "tp"):
            value = getattr(self, name)
            if value is None and name in {"batch", "input_len"}:
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or not 1 <= value <= COUNT_LIMIT:
                raise WorkloadError(f"{name} is {value!r}, expected a whole number from 1 to 10^8")
        for name in ("dtype", "kv_dtype", "weight_dtype", "attention_dtype"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, find_dtype(value).name)

    def _check_event_options(self) -> None:
        """Refuse what other engines than the event engine would ignore."""
        ignored = [
            name
            for name in ("every_chip", "what_if", "buffers")
            if self.engine != "event" and getattr(self, name) != type(self).__dict__[name]
        ]
        if ignored:
            raise WorkloadError(
                f"{' and '.join(_as_typed(name) for name in ignored)} need"
                f"{'s' if len(ignored) == 1 else ''} the event engine, got engine '{self.engine}', "
                f"which simulates nothing over time: leave {'it' if len(ignored) == 1 else 'them'} "
                "out"
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all options."""
        return tuple(f.name for f in fields(cls))

    @classmethod
    def kind(cls, name: str) -> type:
        """Type of an option's value, None apart: str, int or bool."""
        words = {"str": str, "int": int, "bool": bool}
        return words[cls.__annotations__[name].removesuffix(" | None")]


def _as_typed(name: str) -> str:
    """Name an option as on the command line; the name in Python is behind it where it differs."""
    typed = f"--{name.replace('_', '-')}"
    return f"{typed} ({name})" if "_" in name else typed


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise WorkloadError(f"unknown {name} '{value}': {suggest(str(value), known)}")
