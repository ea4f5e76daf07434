"""Sweeps with a stand-in engine: rows, failures, workers, interruptions, bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import accelsim
from accelsim.errors import AccelsimError, SimulationError, SpecError
from accelsim.explore.grid import METRICS, Point
from accelsim.explore.sweep import SweepResult, sweep
from accelsim.results.run_result import RunResult
from tests.unit.explore.small_sweep import (
    SMALL,
    no_big_bandwidth,
    nothing_runs,
    space_of,
    stand_in,
    worker_dies,
)

PART = Path("results") / "part-0000.parquet"


def test_one_typed_row_per_point(tmp_path: Path) -> None:
    result = sweep(space_of(tmp_path), tmp_path / "out", evaluate=stand_in)
    frame = pd.read_parquet(tmp_path / "out" / "results")
    assert list(frame.columns) == [
        "point", "memory.bandwidth", "memory.bandwidth_bytes_per_s", "cores", "status", "reason",
        *METRICS, "bottleneck",
    ]  # fmt: skip
    assert frame["memory.bandwidth"].tolist() == ["2 TB/s"] * 2 + ["4 TB/s"] * 2 + ["8 TB/s"] * 2
    assert frame["memory.bandwidth_bytes_per_s"].tolist() == [2e12, 2e12, 4e12, 4e12, 8e12, 8e12]
    assert frame["cores"].dtype == "int64"
    assert frame["latency_s"].tolist() == pytest.approx([512 / (66 * 2), 512 / (132 * 2),
                                           512 / (66 * 4), 512 / (132 * 4),
                                           512 / (66 * 8), 512 / (132 * 8)])  # fmt: skip
    assert frame["ttft_s"].isna().all()
    assert set(frame["status"]) == {"ok"}
    assert set(frame["bottleneck"]) == {"memory"}
    pd.testing.assert_frame_equal(frame, result.frame)
    assert (result.points, result.failed, result.reused) == (6, 0, 0)


def test_the_front_is_over_the_objectives(tmp_path: Path) -> None:
    result = sweep(space_of(tmp_path), tmp_path / "out", evaluate=stand_in)
    # Energy does not depend on the cores here, so the fastest design is also a cheapest one.
    assert result.objectives == ("latency_s", "energy_j")
    assert result.pareto.tolist() == [False] * 5 + [True]


def test_metadata_tells_where_the_rows_come_from(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    sweep(space, tmp_path / "out", evaluate=stand_in)
    metadata = pq.read_schema(tmp_path / "out" / PART).metadata
    assert metadata[b"accelsim.version"].decode() == accelsim.__version__
    assert metadata[b"accelsim.space"].decode() == SMALL
    assert metadata[b"accelsim.fingerprint"].decode() == space.fingerprint
    assert json.loads(metadata[b"accelsim.objectives"])[0] == {
        "name": "latency_s", "maximize": False
    }  # fmt: skip
    assert (tmp_path / "out" / "space.yaml").read_text(encoding="utf-8") == SMALL


def test_an_illegal_point_is_a_row_with_its_reason(tmp_path: Path) -> None:
    result = sweep(space_of(tmp_path), tmp_path / "out", evaluate=no_big_bandwidth)
    frame = result.frame
    assert frame["status"].tolist() == ["ok"] * 4 + ["error"] * 2
    assert frame["reason"][5] == "CapacityError: 8 TB/s is more than this test has"
    assert frame["reason"][0] is None or pd.isna(frame["reason"][0])
    assert frame["latency_s"].isna().tolist() == [False] * 4 + [True] * 2
    assert result.failed == 2
    assert result.pareto.tolist() == [False, False, False, True, False, False]


def test_when_nothing_runs_there_is_an_error_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none of the 6 points can run.*gpt2 needs more memory"):
        sweep(space_of(tmp_path), tmp_path / "out", evaluate=nothing_runs)
    assert not (tmp_path / "out" / "results").exists()


def test_bytes_do_not_depend_on_workers_or_time(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    sweep(space, tmp_path / "one", evaluate=no_big_bandwidth)
    sweep(space, tmp_path / "two", workers=2, evaluate=no_big_bandwidth)
    assert (tmp_path / "one" / PART).read_bytes() == (tmp_path / "two" / PART).read_bytes()


class Interrupted:
    """Evaluates some points, then acts as if the user pressed Ctrl-C; counts its calls."""

    def __init__(self, points: int) -> None:
        self.points = points
        self.calls = 0

    def __call__(self, point: Point) -> RunResult:
        if self.calls == self.points:
            raise KeyboardInterrupt
        self.calls += 1
        return stand_in(point)


def interrupted_then_resumed(folder: Path, points: int) -> tuple[SweepResult, Interrupted]:
    space = space_of(folder)
    with pytest.raises(KeyboardInterrupt):
        sweep(space, folder / "out", evaluate=Interrupted(points))
    assert len(pd.read_parquet(folder / "out" / "results")) == points
    rest = Interrupted(99)
    return sweep(space, folder / "out", resume=True, evaluate=rest), rest


def test_resume_runs_only_what_is_missing(tmp_path: Path) -> None:
    result, rest = interrupted_then_resumed(tmp_path, points=4)
    assert (rest.calls, result.reused) == (2, 4)
    sweep(space_of(tmp_path), tmp_path / "straight", evaluate=stand_in)
    assert (tmp_path / "out" / PART).read_bytes() == (tmp_path / "straight" / PART).read_bytes()


def test_resume_keeps_errors_and_a_finished_sweep_runs_nothing(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    first = sweep(space, tmp_path / "out", evaluate=no_big_bandwidth)
    before = (tmp_path / "out" / PART).read_bytes()
    again = sweep(space, tmp_path / "out", resume=True, evaluate=Interrupted(0))
    assert again.reused == 6
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert (tmp_path / "out" / PART).read_bytes() == before


def test_resume_without_earlier_results_starts(tmp_path: Path) -> None:
    result = sweep(space_of(tmp_path), tmp_path / "out", resume=True, evaluate=stand_in)
    assert result.reused == 0


def test_resume_refuses_another_sweep_but_not_new_objectives(tmp_path: Path) -> None:
    sweep(space_of(tmp_path), tmp_path / "out", evaluate=stand_in)
    other = space_of(tmp_path, SMALL.replace("512", "513"))
    with pytest.raises(SpecError, match=r"holds another sweep.*--resume"):
        sweep(other, tmp_path / "out", resume=True, evaluate=stand_in)
    same = space_of(tmp_path, SMALL.replace("energy_j", "mfu"))
    result = sweep(same, tmp_path / "out", resume=True, evaluate=Interrupted(0))
    assert result.objectives == ("latency_s", "mfu")
    assert len(sweep(other, tmp_path / "out", evaluate=stand_in).frame) == 6


@pytest.mark.parametrize("content", [b"", b"PAR1 not really PAR1"])
def test_resume_from_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / PART).write_bytes(content)
    with pytest.raises(SpecError, match="not a readable sweep result"):
        sweep(space_of(tmp_path), tmp_path / "out", resume=True, evaluate=stand_in)


def test_finished_points_are_saved_on_the_way(tmp_path: Path) -> None:
    rows: list[int] = []

    def count_saved(label: str, done: int, total: int) -> None:
        part = tmp_path / "out" / PART
        rows.append(pq.read_metadata(part).num_rows if part.exists() else 0)

    space = space_of(tmp_path)
    sweep(space, tmp_path / "out", evaluate=stand_in, progress=count_saved, checkpoint_s=0.0)
    assert max(rows) > 0
    assert rows == sorted(rows)
    left = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert left == ["part-0000.parquet", "space.yaml"]


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    sweep(
        space_of(tmp_path), tmp_path / "out", evaluate=stand_in,
        progress=lambda *event: seen.append(event),
    )  # fmt: skip
    assert seen == [("sweep", done, 6) for done in range(1, 7)]


def test_a_dying_worker_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"worker process.*died"):
        sweep(space_of(tmp_path), tmp_path / "out", workers=2, evaluate=worker_dies)


def test_bad_arguments(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    for workers in (0, -1, True, 10**6):
        with pytest.raises(AccelsimError, match=r"workers is"):
            sweep(space, tmp_path / "out", workers=workers, evaluate=stand_in)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(AccelsimError, match="cannot write"):
        sweep(space, tmp_path / "file", evaluate=stand_in)
