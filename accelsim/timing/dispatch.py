"""What an op costs the host that launches it, op by op."""

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
# A call of a compiled function checks guards on its arguments, then a wrapper allocates and
# launches. One study fixed both numbers, with GeLU on A100 (Zhang et al., LLMCompass, ISCA 2024,
# data beside its code): 48 us whatever the size, of which 12 pass beside a long kernel. Its layer
# norms, 52 us, bear them out; no other host or chip has been looked at.
_COMPILED, _COMPILED_AFTER_LAUNCH = 4.1, 1.0


def host_work(op: Op) -> float:
    """Work of an eager framework's host for an op, in times of a sum of two tensors [1]."""
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


def dispatched_s(op: Op, device_s: float, host_dispatch_s: float, launch: str) -> float:
    """Time from one launch of an op to the next, the device idle before it [s].

    Parameters
    ----------
    op : Op
    device_s : float
        Of the kernel, its start included [s].
    host_dispatch_s : float
        That the host works on a sum of two tensors [s].
    launch : str
        One of `accelsim.timing.launch.LAUNCH`.

    Notes
    -----
    ``T = max(w h, (w - a) h + device)``: the kernel starts when the host has launched it, and the
    host goes on meanwhile; a is 0.4, and 1.0 of a compiled function. Matrix products, attention
    and all that is no vector op are launched by the same libraries whether compiled or not. Each
    op waits for the one before, as in a measurement of single ops; a queue of launches that runs
    ahead of the device is not modelled, nor are the kernels that a compiler writes other than the
    framework's.
    """
    before_s, after_s = host_parts_s(op, host_dispatch_s, launch)
    return max(before_s + after_s, before_s + device_s)


def host_parts_s(op: Op, host_dispatch_s: float, launch: str) -> tuple[float, float]:
    """Work of the host before it launches an op, and after that until the next [s].

    Parameters are those of `dispatched_s`.
    """
    if launch == "graph":
        return 0.0, 0.0
    work, after = host_work(op), _AFTER_LAUNCH
    if launch == "compiled" and isinstance(op, Vector):
        work, after = _COMPILED, _COMPILED_AFTER_LAUNCH
    return (work - after) * host_dispatch_s, after * host_dispatch_s
