"""Weights that are numbers by themselves, told from codes that mean nothing without scales."""

from __future__ import annotations

from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.functional.weights.tensor_file import TensorFile

_BYTES = ("F8_E4M3", "F8_E5M2")
_INTEGERS = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "BOOL")
_SCALES = (
    "weight_scale", "weight_scale_inv", "weight_scale_2", "scale_weight", "scale", "scales", "SCB",
)  # fmt: skip
_CODES = "_blocks"
_PACKED = ("qweight", "weight_packed")


def require_plain(file: TensorFile, name: str) -> None:
    """Refuse a tensor whose stored values are codes of a quantised checkpoint.

    Parameters
    ----------
    file : TensorFile
    name : str
        Of the tensor in the file, such as "lm_head.weight"; it need not be there.

    Raises
    ------
    WorkloadError
        If the tensor is packed under another name, holds integers, or holds fp8 numbers with
        scales beside it, which are not applied here.

    Notes
    -----
    Block types of GGUF carry their scales themselves and are plain in this sense. The names are
    those that GPTQ, AWQ, bitsandbytes, compressed-tensors, the fp8 checkpoints of DeepSeek and
    Llama and the mxfp4 ones of gpt-oss give to scales and packed codes.
    """
    part, _, kind = name.rpartition(".")
    info = file.tensors.get(name)
    if info is None:
        codes = f"{name}{_CODES}"
        found = codes if codes in file.tensors else None
        if kind == "weight":
            found = found or _beside(file, part, _PACKED)
        stored = "packed codes"
    else:
        stored = info.storage.name
        found = _beside(file, part, _SCALES) if stored in _BYTES else None
    if found is None and stored not in _INTEGERS:
        return
    scales = f" beside '{printable(found[:80])}'" if found else ""
    raise WorkloadError(
        f"{printable(str(file.path))}: tensor '{printable(name[:80])}' is stored as {stored}"
        f"{scales}: a quantised checkpoint, whose scales are not applied here; take the model in "
        "BF16, F16 or F32, or as GGUF, and quantise it with a scheme"
    )


def _beside(file: TensorFile, part: str, kinds: tuple[str, ...]) -> str | None:
    """First tensor of the same layer with one of these names."""
    return next((f"{part}.{kind}" for kind in kinds if f"{part}.{kind}" in file.tensors), None)
