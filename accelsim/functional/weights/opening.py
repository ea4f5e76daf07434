"""Weights by what the file is, not by what it is called."""

from __future__ import annotations

from pathlib import Path

from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.functional.weights.gguf import MAGIC, open_gguf
from accelsim.functional.weights.gguf_splits import open_all_splits
from accelsim.functional.weights.mapped_file import MappedFile
from accelsim.functional.weights.safetensors import open_safetensors, open_shards
from accelsim.functional.weights.tensor_file import TensorFile

_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ZIP = b"PK\x03\x04"


def open_weights(path: str | Path) -> TensorFile:
    """Open a file of weights.

    Parameters
    ----------
    path : str or Path
        A GGUF file (or any one of a model in several, all in its folder), a safetensors file, or
        the ``model.safetensors.index.json`` of one in parts. The first bytes decide, not the
        extension.

    Returns
    -------
    TensorFile
        Close it, or use it in a `with` block.

    Raises
    ------
    WorkloadError
        If the file is none of these, is malformed, or is a pickle, which is never loaded.
    """
    file = Path(path)
    part = MappedFile(file)
    head, size = bytes(part.buffer[:16]), part.size_bytes
    part.close()
    name = printable(str(file))
    if head.startswith(MAGIC):
        return open_all_splits(open_gguf(file))
    if head.startswith(_ZIP) or head.startswith(_PICKLES):
        raise WorkloadError(
            f"{name}: looks like a PyTorch checkpoint, which is a pickle; a pickle can run code "
            "and is never loaded here: convert it to safetensors"
        )
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return open_safetensors(file)
    if head.lstrip()[:1] == b"{":
        return open_shards(file)
    if head[8:9] == b"{":
        return open_safetensors(file)  # says which length its header claims
    raise WorkloadError(
        f"{name}: starts with {head[:8].hex(' ')}, neither GGUF nor safetensors; give a .gguf, a "
        ".safetensors or a model.safetensors.index.json"
    )
