"""Unit tests of accelsim.workload."""
