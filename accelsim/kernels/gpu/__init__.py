"""Kernels of programs that GPUs run: thread blocks on cores, waves of them, and their waits."""
