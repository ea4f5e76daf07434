"""What only a real process shows: start-up, closed pipes, terminals, lazy public names."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

ACCELSIM = (sys.executable, "-m", "accelsim.cli.main")
HEAVY = ("numba", "pandas", "matplotlib", "pyarrow", "pydantic_core._pydantic_core", "pint")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from accelsim.cli.main import run_cli; run_cli(['--help']); "
        f"print(*[m for m in {HEAVY[:-2]!r} if m in sys.modules], sep=',', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_importing_accelsim_is_light_and_names_are_public():
    code = (
        "import sys, accelsim; "
        f"assert not [m for m in {HEAVY!r} if m in sys.modules]; "
        "assert set(accelsim.__all__) <= set(dir(accelsim)); "
        "print(accelsim.load_chip('h100_sxm').ridge_flop_per_byte('bf16'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(295, rel=1e-2)


def test_public_names_lead_home():
    import accelsim

    for name in accelsim.__all__:
        assert getattr(accelsim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = accelsim.rnu


def test_closed_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*ACCELSIM, "list", "memories"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("columns", [60, 200])
def test_terminal_gets_whole_names_at_any_width(columns):
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(
        [*ACCELSIM, "list", "memories"], stdout=slave, stderr=subprocess.DEVNULL, env=environment
    )
    os.close(slave)
    text = b""
    try:
        while chunk := os.read(master, 4096):
            text += chunk
    except OSError:  # Linux reports the closed terminal as an error
        pass
    os.close(master)
    assert process.wait(timeout=60) == 0
    assert b"lpddr5x_8533" in text


def test_progress_goes_to_a_terminal_on_stderr_only():
    master, slave = pty.openpty()
    command = ("run", "smollm2-135m", "--on", "h100_sxm", "--phase", "generate", "--json", "-")
    with subprocess.Popen([*ACCELSIM, *command], stdout=subprocess.PIPE, stderr=slave) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        os.close(slave)
    assert out.startswith(b"{\n")
    assert b"\x1b[" in os.read(master, 65536)
    os.close(master)
