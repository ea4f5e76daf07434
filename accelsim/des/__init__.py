"""Discrete-event vocabulary on SimPy: clocks, servers, buffers, shared bandwidth, tracing."""
