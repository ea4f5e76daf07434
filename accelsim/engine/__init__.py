"""Fidelities: each engine composes mapping, timing and energy into one result."""
