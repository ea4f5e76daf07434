"""What a variant would be refused for, found on single rows before anything long runs."""

from __future__ import annotations

import numpy as np

from accelsim.arithmetic import Arithmetic
from accelsim.functional.faults import FaultInjector, FaultPlan
from accelsim.functional.linear import make_linear
from accelsim.functional.quant.schemes import Scheme
from accelsim.functional.transformer.cache import kept_as
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.scenarios.calibration import check_smoothing

_NAME = "blk.*"


def check_variant(
    model: DecoderModel, arithmetic: Arithmetic, scheme: Scheme | None, faults: FaultPlan | None
) -> None:
    """Try a variant on one row of each width: weights, head, cache and sums, with its faults.

    Parameters
    ----------
    model : DecoderModel
    arithmetic : Arithmetic
    scheme : Scheme or None
    faults : FaultPlan or None

    Raises
    ------
    WorkloadError
        If scheme and arithmetic disagree, SmoothQuant does not suit the model, or a bit that the
        plan strikes is in no code of a target.
    """
    check_smoothing(model, scheme)
    damage = None if faults is None else FaultInjector(faults)
    for k in _widths(model):
        row = np.ones((1, k), np.float32)
        smoothing = row[0] if scheme is not None and scheme.smooth is not None else None
        make_linear(
            row, arithmetic.linear, scheme=scheme, smoothing=smoothing, name=_NAME,
            allow_nonfinite=True, damage=damage,
        )  # fmt: skip
    make_linear(np.ones((1, model.spec.config.d_model), np.float32), arithmetic.attention,
                name=_NAME, allow_nonfinite=True, damage=damage)  # fmt: skip
    heads = model.spec.config.attention
    latent = () if heads.latent is None else (heads.latent.cache_width,)
    for width in latent or (heads.head_dim, heads.v_head_dim):
        kept_as(np.ones((1, 1, width), np.float32), arithmetic.kv, damage, (_NAME, 0))
    if damage is not None:
        damage.accumulators(_NAME, np.ones(1, np.float32))


def _widths(model: DecoderModel) -> list[int]:
    """Return every k of the matmuls of layers."""
    shapes = model.weights.shapes.items()
    return sorted({s[-1] for name, s in shapes if name.startswith("blk.") and len(s) > 1})
