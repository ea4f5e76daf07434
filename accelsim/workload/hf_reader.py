"""Checked access to the fields of a Hugging Face config: every key is understood or refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from accelsim.documents import Document, Path_, dotted
from accelsim.errors import WorkloadError, suggest
from accelsim.workload.layer_config import Activation
from accelsim.workload.sizes import LAYER_LIMIT, SIZE_LIMIT

_REQUIRED: Any = object()

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu", "gelu_fast": "gelu",
    "gelu_python": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu", "relu2": "relu2",
}  # fmt: skip

RUNTIME_KEYS = frozenset({
    "_name_or_path", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
    "attention_dropout", "auto_map", "bos_token_id", "cache_implementation",
    "chunk_size_feed_forward", "cls_token_id", "decoder_start_token_id", "do_sample",
    "eos_token_id", "finetuning_task", "gradient_checkpointing", "id2label", "initializer_range",
    "label2id", "layer_norm_eps", "layer_norm_epsilon", "mask_token_id", "max_length",
    "output_attentions", "output_hidden_states", "pad_token_id", "pretraining_tp", "problem_type",
    "return_dict", "rms_norm_eps", "rope_scaling", "rope_theta", "sep_token_id", "source",
    "task_specific_params", "temperature", "tokenizer_class", "top_k", "top_p",
    "torchscript", "transformers.js_config", "transformers_version", "unk_token_id",
    "unsloth_fixed", "use_bfloat16", "use_cache",
})  # fmt: skip
"""Keys of any family that change numerics, training or the tokenizer, but no shape."""

_NEUTRAL_VALUES: dict[str, Any] = {
    "add_cross_attention": False, "cross_attention_hidden_size": None, "is_decoder": False,
    "is_encoder_decoder": False, "pruned_heads": {}, "tie_encoder_decoder": False,
}  # fmt: skip
"""Keys of any family that are understood only as long as they have this value."""

_ARCHITECTURES = (
    "ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForPreTraining", "Model",
    "ForConditionalGeneration",
)  # fmt: skip


class ConfigReader:
    """Reads typed values from one object of a config and remembers which keys were asked for.

    Parameters
    ----------
    document : Document
        The file.
    keys : tuple of str
        Where the object lies in it.

    Raises
    ------
    WorkloadError
        From every method: names the file, the field, the value and what is expected.
    """

    def __init__(self, document: Document, keys: Path_ = ()) -> None:
        tree = document.tree
        for key in keys:
            tree = tree[key]
        self.document = document
        self.keys = keys
        if not isinstance(tree, dict):
            raise WorkloadError(f"{document.where(keys)}: expected an object of config fields")
        self.tree: dict[str, Any] = tree
        self._understood: set[str] = {"model_type"}

    def error(self, key: str, problem: str) -> WorkloadError:
        """Return an error about the field `key`."""
        path = (*self.keys, key)
        return WorkloadError(f"{self.document.where(path)}: {dotted(path)}: {problem}")

    def raw(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return the value as it stands; null counts as absent."""
        self._understood.add(key)
        value = self.tree.get(key)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise self.error(key, "missing, the architecture is not complete without it")
        return default

    def size(
        self, key: str, default: Any = _REQUIRED, least: int = 1, most: int = SIZE_LIMIT
    ) -> int:
        """Return a whole number from `least` to `most`."""
        value = self.raw(key, default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise self.error(key, f"got {value!r}, expected a whole number from {least} to {most}")
        return int(value)

    def layers(self, key: str = "num_hidden_layers") -> int:
        """Return the depth of the model."""
        return self.size(key, most=LAYER_LIMIT)

    def optional_size(self, key: str) -> int | None:
        """Return a whole number, or None where the field is absent or null."""
        return None if self.raw(key, None) is None else self.size(key)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"got {value!r}, expected true or false")
        return value

    def fraction(self, key: str, default: float) -> float:
        """Return a number from 0 to 1."""
        value = self.raw(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not 0 <= value <= 1:
            raise self.error(key, f"got {value!r}, expected a number from 0 to 1")
        return float(value)

    def activation(self, key: str, default: Any = _REQUIRED) -> Activation:
        """Return our name of an activation function."""
        value = self.raw(key, default)
        if not isinstance(value, str) or value not in _ACTIVATIONS:
            known = suggest(str(value), _ACTIVATIONS)
            raise self.error(key, f"unknown activation function {value!r}: {known}")
        return _ACTIVATIONS[value]

    def only(self, key: str, expected: Any) -> None:
        """Accept the field only when it is absent, null or `expected`."""
        value = self.raw(key, expected)
        if value != expected or isinstance(value, bool) != isinstance(expected, bool):
            raise self.error(key, f"{value!r} is not understood, only {expected!r} is")

    def per_head(self, d_model: int, n_heads: int, key: str = "head_dim") -> int:
        """Return head_dim, or d_model / n_heads, which must then be whole."""
        given = self.optional_size(key)
        if given is not None:
            return given
        if d_model % n_heads:
            raise self.error(
                key, f"missing, and the hidden size {d_model} is no multiple of {n_heads} heads"
            )
        return d_model // n_heads

    def layer_types(self, n_layers: int) -> tuple[int, ...] | None:
        """Return the indices of sliding-window layers, or None without the field."""
        types = self.raw("layer_types", None)
        if types is None:
            return None
        known = ("full_attention", "sliding_attention")
        if not isinstance(types, list) or len(types) != n_layers:
            raise self.error("layer_types", f"expected a list of {n_layers} layer types")
        for kind in types:
            if kind not in known:
                raise self.error("layer_types", f"{kind!r}: {suggest(str(kind), known)}")
        return tuple(i for i, kind in enumerate(types) if kind == "sliding_attention")

    def dtype(self) -> str:
        """Return the checkpoint's format; bf16 where the config does not say."""
        value = self.raw("dtype", self.raw("torch_dtype", "bf16"))
        if not isinstance(value, str):
            raise self.error("torch_dtype", f"got {value!r}, expected a name such as 'bfloat16'")
        return value.removeprefix("torch.")

    def quantization(self, known: dict[str, str]) -> str | None:
        """Return the storage format of a quantized checkpoint, by its quant_method."""
        given = self.raw("quantization_config", None)
        if given is None:
            return None
        method = given.get("quant_method") if isinstance(given, dict) else given
        if not isinstance(method, str) or method not in known:
            listed = ", ".join(sorted(known)) or "none for this model_type"
            raise self.error(
                "quantization_config.quant_method", f"{method!r} is not understood, known: {listed}"
            )
        return known[method]

    def finish(self, ignorable: Iterable[str] = ()) -> None:
        """Refuse what nobody asked for and no table excuses."""
        for key, value in _NEUTRAL_VALUES.items():
            if key in self.tree and key not in self._understood:
                self.only(key, value)
        self._check_architectures()
        if "quantization_config" not in self._understood:
            self.quantization({})
        excused = RUNTIME_KEYS | set(ignorable)
        for key in self.tree:
            if key not in self._understood and key not in excused:
                known = suggest(key, self._understood | excused)
                raise self.error(
                    key,
                    f"not understood for model_type '{self.tree.get('model_type')}', and it may "
                    f"change the architecture ({known})",
                )

    def _check_architectures(self) -> None:
        names = self.raw("architectures", [])
        if not isinstance(names, list):
            raise self.error("architectures", f"got {names!r}, expected a list of class names")
        for name in names:
            if not isinstance(name, str) or not name.endswith(_ARCHITECTURES):
                raise self.error("architectures", f"the head of {name!r} is not understood")
