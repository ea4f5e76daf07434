"""Numba-compiled arithmetic on arrays and scalars: no I/O, no objects, no knowledge of chips."""
