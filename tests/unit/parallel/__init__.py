"""Unit tests of accelsim.parallel."""
