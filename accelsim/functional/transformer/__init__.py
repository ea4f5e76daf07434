"""Transformers that execute: weights by canonical names, layers, caches, decoders and encoders."""
