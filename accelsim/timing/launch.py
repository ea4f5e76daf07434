"""The words for how kernels are launched, apart from what it costs: options need them alone."""

from __future__ import annotations

LAUNCH = ("graph", "eager", "compiled")
"""How kernels are launched: captured and replayed, the host hidden; by the ops of an eager
framework, one by one; as eager, but each vector op a function that a compiler made of it."""
