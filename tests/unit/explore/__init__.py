"""Unit tests of accelsim.explore."""
