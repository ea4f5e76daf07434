"""Do the architecture tests see what they claim to see? Each rule meets an offender."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.source_tree import Module, module_of
from tests.architecture.test_layers import hidden_imports, homeless_imports, upward_imports
from tests.architecture.test_style import (
    banned_calls,
    banned_imports,
    body_lines,
    is_command,
    nesting,
    prints,
    thawed_dataclasses,
)
from tests.architecture.test_unit_suffixes import bare_names

Rule = Callable[[Module], Iterator[str]]

OFFENDERS = [
    (upward_imports, "arch", "from accelsim.workload.ops import Op"),
    (upward_imports, "arch", "from accelsim import workload"),
    (upward_imports, "arch", "from ..engine import analytic"),
    (upward_imports, "energy", "import accelsim.timing.roofline"),
    (upward_imports, "workload", "from accelsim import load_chip"),
    (upward_imports, "kernels", "from accelsim.units import TIME"),
    (hidden_imports, "engine", "def run():\n    from accelsim.arch import chip"),
    (homeless_imports, "timing", "from numba import njit"),
    (homeless_imports, "explore", "def plot():\n    import matplotlib.pyplot as plt"),
    (prints, "engine", "print(1)"),
    (prints, "engine", "import sys\nsys.stderr.write('x')"),
    (thawed_dataclasses, "results", "@dataclass\nclass Row: ..."),
    (thawed_dataclasses, "results", "@dataclasses.dataclass(slots=True)\nclass Row: ..."),
    (banned_calls, "units", "eval('1')"),
    (banned_calls, "engine", "importlib.import_module('accelsim.cli')"),
    (banned_calls, "files", "subprocess.run('ls', shell=True)"),
    (banned_calls, "files", "subprocess.run('ls', shell=really)"),
    (banned_imports, "files", "import pickle"),
    (banned_imports, "workload", "from urllib import request"),
    (bare_names, "timing", "def cost(bandwidth: float): ..."),
    (bare_names, "timing", "def cost(*, peak_flops: float): ..."),
    (bare_names, "results", "class Row:\n    total_latency: float"),
    (bare_names, "results", "class Row:\n    @property\n    def energy(self) -> float: ..."),
]

INNOCENTS = [
    (upward_imports, "engine", "from accelsim.arch.chip import Chip\nfrom accelsim import units"),
    (upward_imports, "arch", "from . import schema\nfrom accelsim.errors import SpecError"),
    (upward_imports, "cli", "from accelsim import __version__"),
    (hidden_imports, "report", "def plot():\n    import pandas"),
    (homeless_imports, "report", "def plot():\n    import matplotlib.pyplot as plt"),
    (banned_calls, "cli", "importlib.import_module('accelsim.report')"),
    (banned_calls, "files", "subprocess.run(['ls'], shell=False)"),
    (banned_imports, "files", "from urllib.parse import quote"),
    (thawed_dataclasses, "results", "@dataclass(frozen=True)\nclass Row: ..."),
    (bare_names, "timing", "def cost(bandwidth_bytes_per_s: float, latency_s: float): ..."),
    (bare_names, "arch", "class Link:\n    rate_bytes_per_s: float = Field(alias='bandwidth')"),
]


def written_in(package: str, text: str) -> Module:
    return module_of(Path(f"accelsim/{package}/example.py"), text)


@pytest.mark.parametrize(("rule", "package", "text"), OFFENDERS)
def test_an_offender_is_seen(rule: Rule, package: str, text: str) -> None:
    [offence] = set(rule(written_in(package, text)))
    assert offence.startswith(f"accelsim/{package}/example.py:")


@pytest.mark.parametrize(("rule", "package", "text"), INNOCENTS)
def test_an_innocent_is_left_alone(rule: Rule, package: str, text: str) -> None:
    assert list(rule(written_in(package, text))) == []


def test_nesting_counts_blocks_and_not_elif() -> None:
    text = "def f():\n  for a in b:\n    if a:\n      pass\n    elif b:\n      with c: pass"
    [function] = written_in("arch", text).functions()
    assert nesting(function) == 3


def test_body_lines_leave_docstring_and_signature_out() -> None:
    text = 'def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    b = a\n    return b\n'
    [function] = written_in("arch", text).functions()
    assert body_lines(function) == 2


def test_commands_are_recognised() -> None:
    text = "def run(model: Annotated[str, typer.Argument()]): ...\n\ndef load(name: str): ..."
    run, load = written_in("cli", text).functions()
    assert is_command(run)
    assert not is_command(load)
