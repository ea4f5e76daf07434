"""A model and a phase in, the graph of ops out."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError, suggest
from accelsim.workload.config import ModelConfig
from accelsim.workload.context import BuildContext, Formats
from accelsim.workload.graph import Graph
from accelsim.workload.memory import MemoryPolicy, PhaseGraph, TrainingMemory
from accelsim.workload.training import gradient_dtype, optimizer_bytes, training_blocks
from accelsim.workload.transformer import model_blocks

GRAPH_PHASES = ("prefill", "decode", "train")
RECOMPUTE_MODES = ("none", "selective", "full")


@dataclass(frozen=True)
class PhaseOptions:
    """What is run of a model.

    Attributes
    ----------
    phase : str
        ``prefill`` (all input tokens, logits of the last), ``decode`` (one token per sequence
        with `input_len` tokens in the cache) or ``train`` (forward, backward, optimizer).
    batch, input_len : int
        Sequences, and tokens per sequence.
    dtype, weight_dtype, kv_dtype, attention_dtype : str or None
        Arithmetic of matmuls, stored weights, KV cache, arithmetic of attention and logits; None
        means the checkpoint's own, or `dtype` (see `accelsim.workload.context.Formats.resolve`).
    recompute : str
        Training: ``none``, ``selective`` (attention again) or ``full`` (the layers again).
    keep_scores : bool
        Training without recomputation: attention is unfused and keeps its scores, so that its
        backward pass has 4 matmuls instead of 5.
    """

    phase: str = "prefill"
    batch: int = 1
    input_len: int = 1024
    dtype: str | None = None
    weight_dtype: str | None = None
    kv_dtype: str | None = None
    attention_dtype: str | None = None
    recompute: str = "none"
    keep_scores: bool = False

    def __post_init__(self) -> None:
        for name, known in (("phase", GRAPH_PHASES), ("recompute", RECOMPUTE_MODES)):
            value = getattr(self, name)
            if value not in known:
                raise WorkloadError(f"unknown {name} '{value}': {suggest(str(value), known)}")
        for name in ("batch", "input_len"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**8:
                raise WorkloadError(f"{name} is {value!r}, expected a whole number from 1 to 10^8")
        for name in ("dtype", "weight_dtype", "kv_dtype", "attention_dtype"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, find_dtype(value).name)


def build_graph(config: ModelConfig, options: PhaseOptions) -> Graph:
    """Return the ops of one phase of a model on one device.

    Parameters
    ----------
    config : ModelConfig
    options : PhaseOptions

    Returns
    -------
    Graph
        A `PhaseGraph`, whose footprint is recomputed when it is sharded.

    Raises
    ------
    WorkloadError
        If an encoder is asked to decode, the context exceeds a learned position table, or
        training is asked for in an integer format.
    """
    context = _context(config, options)
    _check_phase(config, options, context.kv_len)
    blocks = model_blocks(context)
    training = None
    if options.phase == "train":
        blocks = training_blocks(context, blocks, options.recompute, options.keep_scores)
        training = _training_memory(config, options, context.formats)
    formats = context.formats
    memory = MemoryPolicy(
        residual_bytes=_residual_bytes(context), cache_dtype=formats.cache, training=training
    )
    return PhaseGraph(
        model=config.name, phase=options.phase, blocks=blocks, batch=options.batch,
        new_tokens=context.q_len, footprint=memory.footprint(blocks), dtype=formats.matmul,
        notes=(*config.notes, *_phase_notes(config, options)), memory=memory,
    )  # fmt: skip


def _context(config: ModelConfig, options: PhaseOptions) -> BuildContext:
    """Return the sizes of the phase; a decode step sees the cache and its own token."""
    formats = Formats.resolve(
        config.precision, options.dtype, options.weight_dtype, options.kv_dtype,
        options.attention_dtype,
    )  # fmt: skip
    if options.phase == "train":
        formats = formats.for_training(options.weight_dtype)
    decode = options.phase == "decode"
    return BuildContext(
        config=config,
        batch=options.batch,
        q_len=1 if decode else options.input_len,
        kv_len=options.input_len + (1 if decode else 0),
        formats=formats,
        cached=not config.is_encoder and options.phase != "train",
        absorbed=decode and config.attention.latent is not None,
    )


def _residual_bytes(context: BuildContext) -> float:
    width = find_dtype(context.formats.activation).bytes
    return float(context.tokens) * context.config.d_model * width


def _check_phase(config: ModelConfig, options: PhaseOptions, kv_len: int) -> None:
    if options.phase == "decode" and config.is_encoder:
        raise WorkloadError(
            f"{config.name} is an encoder and has no decode phase, use prefill or train"
        )
    if options.phase == "train" and find_dtype(options.dtype or config.dtype).kind == "int":
        raise WorkloadError(
            f"{config.name}: training in {options.dtype or config.dtype} has no gradients to speak "
            "of, use a floating-point dtype such as bf16 or fp8"
        )
    position = config.position
    if position.kind == "learned" and kv_len > position.max_positions:
        raise WorkloadError(
            f"{config.name}: {kv_len} tokens, but its learned position table has "
            f"{position.max_positions}; use a shorter input_len"
        )


def _training_memory(
    config: ModelConfig, options: PhaseOptions, formats: Formats
) -> TrainingMemory:
    return TrainingMemory(
        recompute=options.recompute,
        keep_scores=options.keep_scores,
        dropout=config.dropout,
        gradient_bytes=find_dtype(gradient_dtype(formats.linear)).bytes,
        optimizer_bytes=optimizer_bytes(formats.linear),
        layers=config.n_layers,
    )


def _phase_notes(config: ModelConfig, options: PhaseOptions) -> tuple[str, ...]:
    notes = []
    if options.phase == "prefill" and config.head.lm_head:
        notes.append("logits of the last token of each sequence only")
    if config.attention.softcap:
        notes.append("the softcap of attention scores is not counted")
    if options.phase == "train" and not config.head.lm_head:
        notes.append("no loss: the model has no logits")
    return tuple(notes)
