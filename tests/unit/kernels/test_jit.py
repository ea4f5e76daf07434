"""Compiled code is forgotten once any source beside it has changed, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from accelsim.kernels.jit import COMPILED, forget_stale, kernel, parallel_kernel, prange, threads


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sources whose compiled code is marked as that of theirs."""
    (tmp_path / "norms.py").write_text("eps = 1\n")
    (tmp_path / "sums.py").write_text("block = 4\n")
    assert forget_stale(tmp_path)
    _compile(tmp_path)
    return tmp_path


def _compile(folder: Path) -> None:
    for name in ("norms.norm-1.py311.nbi", "norms.norm-1.py311.1.nbc", "sums.dot-2.py311.nbi"):
        (folder / "__pycache__" / name).write_bytes(b"code")
    (folder / "__pycache__" / "norms.cpython-311.pyc").write_bytes(b"bytes")


def _compiled(folder: Path) -> set[str]:
    return {path.suffix for path in (folder / "__pycache__").iterdir()}


def test_nothing_is_forgotten_while_nothing_changes(folder: Path) -> None:
    assert not forget_stale(folder)
    assert not forget_stale(folder)
    assert _compiled(folder) == {".nbi", ".nbc", ".pyc", ".sha256"}


def _grown(folder: Path) -> None:
    (folder / "sums.py").write_text("block = 16\n")


def _same_size(folder: Path) -> None:
    source = folder / "sums.py"
    changed_ns = source.stat().st_mtime_ns + 10**9
    source.write_text("block = 8\n")
    os.utime(source, ns=(changed_ns, changed_ns))


def _touched(folder: Path) -> None:
    os.utime(folder / "norms.py", ns=(1, 1))


def _added(folder: Path) -> None:
    (folder / "lanes.py").write_text("")


def _removed(folder: Path) -> None:
    (folder / "norms.py").unlink()


def _renamed(folder: Path) -> None:
    (folder / "norms.py").rename(folder / "forms.py")


def _mark_lost(folder: Path) -> None:
    (folder / "__pycache__" / "kernels.sha256").unlink()


def _mark_cut(folder: Path) -> None:
    (folder / "__pycache__" / "kernels.sha256").write_text("")


@pytest.mark.parametrize(
    "change", [_grown, _same_size, _touched, _added, _removed, _renamed, _mark_lost, _mark_cut]
)
def test_all_code_is_forgotten_once_a_source_changes(folder: Path, change: object) -> None:
    assert callable(change)
    change(folder)
    assert forget_stale(folder)
    assert _compiled(folder) == {".pyc", ".sha256"}
    _compile(folder)
    assert not forget_stale(folder)
    assert ".nbc" in _compiled(folder)


def test_other_files_do_not_matter(folder: Path) -> None:
    (folder / "notes.md").write_text("text")
    (folder / "inner").mkdir()
    assert not forget_stale(folder)


def test_folders_below_matter(folder: Path) -> None:
    inner = folder / "inner"
    (inner / "__pycache__").mkdir(parents=True)
    (inner / "sums.py").write_text("block = 4\n")
    (inner / "__pycache__" / "sums.nbi").write_text("compiled")
    assert forget_stale(folder)
    assert not (inner / "__pycache__" / "sums.nbi").exists()
    assert not forget_stale(folder)


def test_a_folder_without_a_cache_gets_one(tmp_path: Path) -> None:
    assert forget_stale(tmp_path)
    assert _compiled(tmp_path) == {".sha256"}
    assert not forget_stale(tmp_path)


def test_a_cache_that_cannot_be_written_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    _grown(folder)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert not forget_stale(folder)
    assert _compiled(folder) == {".nbi", ".nbc", ".pyc", ".sha256"}


def test_a_file_in_the_place_of_the_cache_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").write_text("no folder")
    assert not forget_stale(tmp_path)
    assert (tmp_path / "__pycache__").read_text() == "no folder"


def test_a_folder_that_does_not_exist_does_no_harm(tmp_path: Path) -> None:
    assert not forget_stale(tmp_path / "absent")


def test_a_mark_that_is_no_text_is_replaced(folder: Path) -> None:
    (folder / "__pycache__" / "kernels.sha256").write_bytes(b"\xff\xfe")
    assert forget_stale(folder)
    assert not forget_stale(folder)


@kernel
def _twice(x: float) -> float:
    return 2.0 * x


@parallel_kernel
def _doubled(count: int) -> int:
    total = 0
    for i in prange(count):
        total += 2 * i
    return total


def test_kernels_keep_their_options() -> None:
    if not COMPILED:
        pytest.skip("nothing is compiled under NUMBA_DISABLE_JIT=1")
    for function, parallel in ((_twice, False), (_doubled, True)):
        options = function.targetoptions  # type: ignore[attr-defined]
        assert options["nogil"]
        assert options["error_model"] == "numpy"
        assert not options.get("fastmath", False)
        assert bool(options.get("parallel", False)) == parallel
    assert threads() >= 1
