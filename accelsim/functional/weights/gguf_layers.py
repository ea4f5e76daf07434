"""Which layers of a GGUF file are executed, and whether all of its tensors are."""

from __future__ import annotations

from collections.abc import Container

from accelsim.documents import printable
from accelsim.functional.weights.gguf_keys import GgufKeys
from accelsim.functional.weights.gguf_rope import ROPE_TABLE
from accelsim.functional.weights.tensor_file import require_none_left

_PREDICTS = "nextn."
"""Begins the own tensors of a layer that predicts tokens further ahead."""


def gguf_layers(keys: GgufKeys) -> int:
    """Return the number of layers to execute: all but those of multi-token prediction.

    Raises
    ------
    WorkloadError
        If a layer has no tensors, or there are tensors of more layers than the file counts.

    Notes
    -----
    Layers of multi-token prediction are the last ones. Some files count them in `block_count`,
    others do not.
    """
    stated, extra = keys.size("block_count"), keys.count("nextn_predict_layers")
    present, predicting = _present(keys)
    layers = stated - sum(layer < stated for layer in predicting)
    missing = next((layer for layer in range(layers) if layer not in present), None)
    if missing is not None:
        raise keys.error(
            f"block_count is {stated}, but no tensor is named blk.{missing}.*; "
            f"there are tensors of {len(present)} layers: download the file again"
        )
    if any(layer < layers for layer in predicting):
        raise keys.error(
            f"layer {min(predicting)} predicts tokens further ahead (blk.{min(predicting)}."
            f"{_PREDICTS}*), but is not among the last ones"
        )
    beyond = sorted(n for n in present - predicting if n >= max(layers, stated + extra))
    if beyond:
        raise keys.error(
            f"there are tensors of layer {beyond[0]} (blk.{beyond[0]}.*), but block_count is "
            f"{stated} and nextn_predict_layers {extra}: the file's counts are not those of its "
            "tensors; convert it again"
        )
    return layers


def _present(keys: GgufKeys) -> tuple[set[int], set[int]]:
    """Layers that have tensors, and those of them that predict further tokens."""
    present, predicting = set(), set()
    for name in keys.opened.tensors:
        head, _, rest = name.removeprefix("blk.").partition(".")
        if name.startswith("blk.") and head.isascii() and head.isdigit():
            present.add(int(head))
            if rest.startswith(_PREDICTS):
                predicting.add(int(head))
    return present, predicting


def require_all_executed(keys: GgufKeys, executed: Container[str], layers: int) -> None:
    """Refuse a file with tensors that would be left out silently.

    Parameters
    ----------
    keys : GgufKeys
    executed : container of str
        Names in the file of the tensors that the model runs with.
    layers : int
        Layers that are executed; those behind them are known and left out.

    Raises
    ------
    WorkloadError
        If there are others: the model has parts that are not built here.
    """
    skipped = tuple(f"blk.{n}." for n in sorted(_present(keys)[0]) if n >= layers)
    left = [
        name
        for name in keys.opened.tensors
        if name not in executed and name != ROPE_TABLE and not name.startswith(skipped or ("\0",))
    ]
    model = f"a model of architecture '{printable(keys.family)}' as it is executed here"
    require_none_left(keys.opened, left, model)
