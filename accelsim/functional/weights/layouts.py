"""How tensors of a model lie in the tensors of its files: fused, interleaved, transposed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.workload.config import ModelConfig

Floats = NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Where the values of a tensor lie in a stored one; of experts, in that of one expert.

    Attributes
    ----------
    rows : range or None
        Which rows of the stored matrix (elements of a stored bias) are the tensor's; None: all.
    of : int
        How many there are.
    groups : int
        The stored tensor is so many groups of `of` rows, and `rows` are those of each.
    transposed : bool
        The file has [in, out]: `rows` are columns there.
    offset : float
        Added to every value (Gemma's norms multiply by ``1 + w``).

    Raises
    ------
    WorkloadError
        If the stored matrix has no such rows.
    """

    rows: range | None = None
    of: int = 0
    groups: int = 1
    transposed: bool = False
    offset: float = 0.0

    def __post_init__(self) -> None:
        if self.rows is not None and not (
            self.rows and 0 <= self.rows[0] <= self.rows[-1] < self.of
        ):
            raise WorkloadError(f"{self.rows} are no rows of a tensor of {self.of}")

    def stored_shape(self, shape: Shape) -> Shape:
        """Return the shape of the stored tensor of which a part has this shape."""
        whole = shape if self.rows is None else (self.groups * self.of, *shape[1:])
        return whole[::-1] if self.transposed else whole

    @property
    def picked(self) -> NDArray[np.int64]:
        """Numbers of the stored rows that are the tensor's."""
        rows = self.rows if self.rows is not None else range(0)
        first = self.of * np.arange(self.groups, dtype=np.int64)
        return (first[:, None] + np.array(rows, dtype=np.int64)).reshape(-1)

    def cut(self, stored: Floats) -> Floats:
        """Return the tensor [out, in] or [out] from the stored one."""
        found = stored.T if self.transposed else stored
        if self.rows is not None:
            found = found[self.picked]
        if self.offset:
            found = found + np.float32(self.offset)
        return np.ascontiguousarray(found)


AS_IT_IS = Layout()


def hf_layout(config: ModelConfig, canonical: str) -> Layout:
    """Return how a tensor lies in files of the transformers library."""
    part, kind = _part(canonical)
    find = _HF_LAYOUTS.get(config.family)
    return (find(config, part, kind == "weight") if find else None) or AS_IT_IS


def gguf_layout(config: ModelConfig, canonical: str) -> Layout:
    """Return how a tensor lies in a GGUF file."""
    part, _ = _part(canonical)
    if part in GGUF_NAMES.get(config.family, {}):
        return _phi3(config, part, True) or AS_IT_IS
    return AS_IT_IS


def gguf_name(config: ModelConfig, canonical: str) -> str:
    """Name of a tensor in a GGUF file."""
    part, _ = _part(canonical)
    own = GGUF_NAMES.get(config.family, {}).get(part, part)
    return canonical.replace(f".{part}.", f".{own}.")


_QKV = dict.fromkeys(("attn_q", "attn_k", "attn_v"), "attn_qkv")
GGUF_NAMES: dict[str, dict[str, str]] = {
    "gpt-oss": {"ffn_norm": "post_attention_norm"},
    "gpt2": _QKV,
    "phi3": _QKV | {"ffn_gate": "ffn_up", "ffn_up": "ffn_up"},
}
"""Names that are not the canonical ones, by architecture: most are of tensors that hold others."""


def _part(canonical: str) -> tuple[str, str]:
    """Return "attn_q" and "weight" of "blk.0.attn_q.weight"."""
    name, _, kind = canonical.rpartition(".")
    return name.split(".", 2)[-1], kind


def _fused_heads(config: ModelConfig, part: str) -> Layout | None:
    """q, k and v one below the other."""
    attention = config.attention
    q, k = attention.n_heads * attention.head_dim, attention.n_kv_heads * attention.head_dim
    ends = {"attn_q": (0, q), "attn_k": (q, q + k), "attn_v": (q + k, attention.qkv_width)}
    return Layout(range(*ends[part]), attention.qkv_width) if part in ends else None


def _gpt_neox(config: ModelConfig, part: str, weight: bool) -> Layout | None:
    """q, k and v of the first head, then of the second."""
    size, places = config.attention.head_dim, ("attn_q", "attn_k", "attn_v")
    if part not in places:
        return None
    first = size * places.index(part)
    return Layout(range(first, first + size), 3 * size, groups=config.attention.n_heads)


def _halves(config: ModelConfig, part: str) -> Layout | None:
    """Gate above, up below."""
    if config.mlp is None or part not in ("ffn_gate", "ffn_up"):
        return None
    d_ff = config.mlp.d_ff
    first = 0 if part == "ffn_gate" else d_ff
    return Layout(range(first, first + d_ff), 2 * d_ff)


def _gemma(config: ModelConfig, part: str, weight: bool) -> Layout | None:
    """Norms less their one."""
    return Layout(offset=1.0) if part.endswith("norm") else None


def _phi3(config: ModelConfig, part: str, weight: bool) -> Layout | None:
    """q, k and v in one, gate and up in another."""
    return _fused_heads(config, part) or _halves(config, part)


def _gpt2(config: ModelConfig, part: str, weight: bool) -> Layout | None:
    """Matrices [in, out]; q, k and v in one."""
    fused = _fused_heads(config, part)
    if fused is not None:
        return replace(fused, transposed=weight)
    return Layout(transposed=weight and part in ("attn_output", "ffn_up", "ffn_down"))


def _gpt_oss(config: ModelConfig, part: str, weight: bool) -> Layout | None:
    """Experts [in, out], rows of gate and up in turn."""
    if config.moe is None or not part.endswith("_exps"):
        return None
    if part == "ffn_down_exps":
        return Layout(transposed=weight)
    both = 2 * config.moe.expert.d_ff
    return Layout(range(int(part == "ffn_up_exps"), both, 2), both, transposed=weight)


_HF_LAYOUTS: dict[str, Callable[[ModelConfig, str, bool], Layout | None]] = {
    "gemma2": _gemma, "gemma3_text": _gemma, "phi3": _phi3, "gpt2": _gpt2, "gpt_neox": _gpt_neox,
    "gpt_oss": _gpt_oss,
}  # fmt: skip
"""By family: from the model, a part such as "attn_q", and whether it is its weight."""
