"""Is a user who waits for the compiler told so, once, and nobody else?"""

from __future__ import annotations

import sys

import numba
import pytest

from accelsim.cli.main import run_cli
from accelsim.kernels.compiling import compiling, on_first_compile
from accelsim.kernels.jit import COMPILED


@pytest.fixture(autouse=True)
def nobody_listens():
    compiling()
    yield
    compiling()


@pytest.mark.skipif(not COMPILED, reason="kernels are not compiled in this process")
def test_a_new_kernel_is_heard_once() -> None:
    heard = []
    on_first_compile(lambda: heard.append("first"))
    double = numba.njit(lambda x: 2 * x)
    assert heard == []
    assert double(2) == 4
    assert double(2.5) == 5.0
    assert heard == ["first"]


@pytest.mark.parametrize(("terminal", "lines"), [(True, 1), (False, 0)])
def test_only_a_terminal_is_told(terminal: bool, lines: int, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert run_cli(["--version"]) == 0
    compiling()
    compiling()
    said = capsys.readouterr()
    assert said.out.startswith("accelsim ")
    assert said.err.count("compiling kernels") == said.err.count("\n") == lines
