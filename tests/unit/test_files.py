"""Packaged data found, output written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from accelsim.errors import AccelsimError
from accelsim.files import SEARCH_PATH_VARIABLE, atomic_path, data_roots, find_data, write_text


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_arrives_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "out.txt"
    write_text(target, "µ\nline\n")
    assert target.read_bytes() == "µ\nline\n".encode()
    assert contents(target.parent) == ["out.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert contents(tmp_path) == ["out.txt"]


def test_an_error_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "out.csv"):
        raise RuntimeError
    assert contents(tmp_path) == []


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    # Writers such as matplotlib choose the format by suffix.
    with atomic_path(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"")


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "out.txt", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.txt").stat().st_mode) == 0o640


def test_a_folder_that_is_a_file_is_an_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AccelsimError, match=r"cannot write .*file/out\.txt"):
        write_text(tmp_path / "file" / "out.txt", "")


def test_a_target_that_is_a_folder_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(AccelsimError, match=r"cannot write .*out"):
        write_text(tmp_path / "out", "text")
    assert contents(tmp_path) == ["out"]


def test_packaged_chips_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "h100_sxm" in find_data("arch_specs/chips", ".yaml")


def test_the_current_folder_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "arch_specs" / "chips").mkdir(parents=True)
    (tmp_path / "arch_specs" / "chips" / "stray.yaml").write_text("name: stray\n")
    monkeypatch.chdir(tmp_path)
    assert "stray" not in find_data("arch_specs/chips", ".yaml")


def test_the_search_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in ("one", "two"):
        chips = tmp_path / root / "arch_specs" / "chips"
        chips.mkdir(parents=True)
        (chips / "h100_sxm.yaml").write_text(root)
        (chips / f"only_{root}.yaml").write_text(root)
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
    found = find_data("arch_specs/chips", ".yaml")
    assert found["h100_sxm"].read_text() == "one"
    assert {"only_one", "only_two"} <= set(found)
    assert list(found) == sorted(found)


def test_an_empty_search_path_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEARCH_PATH_VARIABLE, raising=False)
    without = data_roots()
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, os.pathsep)
    assert data_roots() == without


def test_devices_are_left_alone_and_links_written_through(tmp_path: Path) -> None:
    with pytest.raises(AccelsimError, match="/dev/null: it is no ordinary file"):
        write_text("/dev/null", "text")
    with pytest.raises(AccelsimError, match="it is no ordinary file"):
        write_text(tmp_path, "text")
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    write_text(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"
