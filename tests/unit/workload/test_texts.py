"""Packaged texts: there, plain ASCII, of the promised size, found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import WorkloadError
from accelsim.workload.texts import packaged_text


@pytest.mark.parametrize(("name", "words"), [("evaluation", 1700), ("calibration", 1200)])
def test_packaged_texts(name: str, words: int) -> None:
    text = packaged_text(name)
    assert text.isascii()
    assert "\r" not in text
    assert len(text.split()) >= words


def test_unknown_texts_are_refused_with_a_suggestion() -> None:
    with pytest.raises(WorkloadError, match="did you mean 'evaluation'"):
        packaged_text("evaluate")


def test_texts_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "workloads" / "texts"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("na\u00efve", encoding="utf-8")
    (folder / "broken.txt").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("ACCELSIM_PATH", str(tmp_path))
    assert packaged_text("mine") == "na\u00efve"
    with pytest.raises(WorkloadError, match=r"cannot read .*broken"):
        packaged_text("broken")
