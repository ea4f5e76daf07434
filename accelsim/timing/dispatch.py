"""What an op costs the host that launches it from an eager framework."""

from __future__ import annotations

from accelsim.workload.ops import Conv, MatMul, Op, Vector

# Work of the host for one op, over that for a sum of two tensors, which host_dispatch is: floors
# of small ops on hosts of A100, V100 and MI210 agree to a tenth. A scalar is wrapped into a tensor
# and an activation called through a layer's function; a softmax checks its axis; a norm has three
# results; a matrix product asks its library for an algorithm.
_ELEMENTWISE, _WRAPPED, _REDUCED, _NORMED = 1.0, 1.17, 1.26, 1.77
_BATCHED_PRODUCT, _LAYER_PRODUCT = 1.2, 2.4
_DIRECT = frozenset(("tanh", "copy", "exp"))
# Of the work for a sum of two tensors, what follows the launch: freeing, return, the next call.
# The kernel runs beside it.
_AFTER_LAUNCH = 0.4


def host_work(op: Op) -> float:
    """Work of the host to launch an op, in times of that for a sum of two tensors [1]."""
    if isinstance(op, MatMul | Conv):
        batched = isinstance(op, MatMul) and op.batch > 1
        return _BATCHED_PRODUCT if batched else _LAYER_PRODUCT
    if not isinstance(op, Vector):
        return _ELEMENTWISE
    if op.fn == "layernorm":
        return _NORMED
    if op.function.reductions:
        return _REDUCED
    return _ELEMENTWISE if op.function.inputs > 1 or op.fn in _DIRECT else _WRAPPED


def eager_s(op: Op, device_s: float, host_dispatch_s: float) -> float:
    """Time from one call of an eager framework to the next, the device idle before it [s].

    Parameters
    ----------
    op : Op
    device_s : float
        Of the kernel, its start included [s].
    host_dispatch_s : float
        That the host works on a sum of two tensors [s].

    Notes
    -----
    ``T = max(w h, (w - 0.4) h + device)``: the kernel starts when the host has launched it, and
    the host goes on meanwhile. Each op waits for the one before, as in a measurement of single
    ops; a queue of launches that runs ahead of the device is not modelled.
    """
    work = host_work(op)
    return max(work * host_dispatch_s, (work - _AFTER_LAUNCH) * host_dispatch_s + device_s)
