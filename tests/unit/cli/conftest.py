"""Runs command lines in this process: fast, and with the exit status that the shell would see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from accelsim.cli.main import run_cli


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What ``--json -`` printed; fails if anything else stands beside it."""
        return json.loads(self.out)


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path) -> Cli:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ACCELSIM_DEBUG", raising=False)

    def call(*arguments: object) -> Outcome:
        status = run_cli([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call
