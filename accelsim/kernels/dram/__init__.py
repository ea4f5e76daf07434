"""Compiled bank-level DRAM controller: commands, queues, scheduling, channels, addresses."""
