"""Measured and published data against predictions, and scalars fitted to measurements."""
