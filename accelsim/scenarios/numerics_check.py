"""What a variant would be refused for, found on single rows before anything long runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from accelsim.arithmetic import Arithmetic
from accelsim.errors import AccelsimError, WorkloadError, suggest
from accelsim.formats import find_format
from accelsim.functional.fault_places import check_plan, struck_arrays
from accelsim.functional.faults import FaultPlan
from accelsim.functional.linear import make_linear
from accelsim.functional.quant.schemes import SCHEME_NAMES, Scheme, parse_scheme
from accelsim.functional.transformer.cache import kept_as
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.scenarios.calibration import check_smoothing

WIDE = ("fp64", "fp32", "tf32", "bf16", "fp16")
"""Dtypes that are variants by themselves; narrower ones are schemes, which scale."""
_NAME = "blk.*"


class Problems:
    """Problems of a request, to be told together."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[type[AccelsimError], list[str]]] = {}

    @contextmanager
    def noted(self, where: str = "") -> Iterator[None]:
        """Note the problem that ends the block.

        Parameters
        ----------
        where : str
            Put in front of a message that does not name it.
        """
        try:
            yield
        except AccelsimError as problem:
            _, places = self._found.setdefault(str(problem), (type(problem), []))
            if where not in str(problem):
                places.append(where)

    def refuse(self) -> None:
        """Raise what was noted, each message once.

        Raises
        ------
        AccelsimError
            If there is anything; of the type of the first problem.
        """
        if not self._found:
            return
        texts = [
            f"{', '.join(places)}: {text}" if places else text
            for text, (_, places) in self._found.items()
        ]
        kind = next(iter(self._found.values()))[0]
        if len(texts) == 1:
            raise kind(texts[0])
        told = "; ".join(f"({i}) {text}" for i, text in enumerate(texts, 1))
        raise kind(f"{len(texts)} problems: {told}")


def scheme_of(variant: str | None) -> Scheme | None:
    """Return the scheme of a variant; None for a wide dtype, or for the chip's own.

    Raises
    ------
    WorkloadError
        If it is neither a dtype nor a scheme.
    """
    name = "" if variant is None else variant.strip().lower()
    if variant is None or name in WIDE:
        return None
    base = name.partition(":")[0].partition("-")[0]
    try:
        known = base == "smoothquant" or find_format(base) is not None
    except WorkloadError:
        known = False
    if not known:
        raise WorkloadError(
            f"'{variant}' is no dtype and no quantisation scheme: "
            f"{suggest(name, (*WIDE, *SCHEME_NAMES))}"
        )
    return parse_scheme(name)


def check_variant(
    model: DecoderModel, arithmetic: Arithmetic, scheme: Scheme | None, faults: FaultPlan | None
) -> None:
    """Try a variant on one row of each width: weights, head and cache; look up what faults strike.

    Parameters
    ----------
    model : DecoderModel
    arithmetic : Arithmetic
    scheme : Scheme or None
    faults : FaultPlan or None

    Raises
    ------
    WorkloadError
        If scheme and arithmetic disagree, SmoothQuant does not suit the model, or a place or bit
        that the plan strikes does not exist.
    """
    check_smoothing(model, scheme)
    for k in _widths(model):
        row = np.ones((1, k), np.float32)
        smoothing = row[0] if scheme is not None and scheme.smooth is not None else None
        make_linear(row, arithmetic.linear, scheme=scheme, smoothing=smoothing, name=_NAME)
    make_linear(np.ones((1, model.spec.config.d_model), np.float32), arithmetic.attention,
                name=_NAME)  # fmt: skip
    heads = model.spec.config.attention
    latent = () if heads.latent is None else (heads.latent.cache_width,)
    for width in latent or (heads.head_dim, heads.v_head_dim):
        kept_as(np.ones((1, 1, width), np.float32), arithmetic.kv)
    if faults is not None:
        check_plan(faults, struck_arrays(model.spec, arithmetic, scheme))


def _widths(model: DecoderModel) -> list[int]:
    """Return every k of the matmuls of layers."""
    shapes = model.weights.shapes.items()
    return sorted({s[-1] for name, s in shapes if name.startswith("blk.") and len(s) > 1})
