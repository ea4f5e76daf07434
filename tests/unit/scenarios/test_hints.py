"""Does a run warn of what makes its answer doubtful, and do its suggestions work?"""

from __future__ import annotations

import re
import shlex

import pytest

from accelsim.cli.main import run_cli
from accelsim.errors import CapacityError, MappingError, SpecError
from accelsim.scenarios.capacity import system_with
from accelsim.scenarios.run import run


def warnings_of(model: str, on: str, **options) -> str:
    return " | ".join(run(model, on, **options).warnings)


def test_a_usual_run_has_no_warning() -> None:
    assert run("llama3.1-8b", "h100_sxm", phase="decode").warnings == ()


@pytest.mark.parametrize(
    ("model", "on", "options", "says"),
    [
        ("llama3.1-70b", "h100_sxm", {"allow_oversubscribe": True}, "does not fit"),
        ("llama3.1-8b", "a100_sxm_80gb", {"dtype": "fp8", "emulate_dtype": True}, "emulated"),
        ("smollm2-135m", "h100_sxm", {"dtype": "fp32"}, "vector lanes.*--dtype bf16"),
        ("smollm2-135m", "h100_sxm", {"phase": "decode", "input_len": 9000}, "exceed the 8192"),
        ("llama3.1-8b", "dgx_h100", {}, "1 of the 8 chips"),
    ],
)
def test_a_doubtful_run_says_so(model: str, on: str, options: dict, says: str) -> None:
    assert re.search(says, warnings_of(model, on, **options))


def test_a_chip_without_matrix_units_is_not_blamed_for_it() -> None:
    assert "lanes" not in warnings_of("smollm2-135m", "p100_pcie", dtype="fp32")


@pytest.mark.parametrize(
    ("model", "on"), [("llama3.1-70b", "h100_sxm"), ("llama3.1-70b", "dgx_h100")]
)
def test_the_suggested_command_runs(model: str, on: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(CapacityError) as caught:
        run(model, on)
    suggested = re.search(r"it would fit with (.*?)(?: or with|;)", str(caught.value))
    assert suggested is not None
    command = ["run", model, "--on", on, *shlex.split(suggested[1]), "--engine", "roofline"]
    assert run_cli(command) == 0, capsys.readouterr().err


def test_too_many_devices_name_a_system_that_has_them() -> None:
    with pytest.raises(MappingError, match="--on hgx_h100_ib_64"):
        run("llama3.1-70b", "dgx_h100", tp=16)
    assert system_with("edge_tpu", 2) is None


@pytest.mark.parametrize("path", ["memory.stacks", "links.0.count", "boost_clock"])
def test_a_change_that_would_do_nothing_is_refused(path: str) -> None:
    with pytest.raises(SpecError, match="would change no result"):
        run("smollm2-135m", "h100_sxm", overrides={path: 2})
