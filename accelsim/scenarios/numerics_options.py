"""How real weights are run: prompt, text, dtype, order of sums, draws and faults."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.errors import WorkloadError
from accelsim.functional.faults import FaultPlan
from accelsim.functional.sampler import GREEDY, Sampler

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
