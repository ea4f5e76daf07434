"""Quantisation of weights and activations: schemes, clipping, SmoothQuant."""
