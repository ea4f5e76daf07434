"""Points to outcomes, in this process or in several spawned ones."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

import numpy as np
import numpy.typing as npt

from accelsim.errors import SimulationError
from accelsim.explore.evaluate import Evaluate, Outcome, outcome
from accelsim.explore.grid import Space

Batches = Generator[list[Outcome], None, None]
_MAX_CHUNK = 8
# What a spawned worker was started with: a space is sent once, not with every chunk.
_work: dict[str, tuple[Space, Evaluate]] = {}


def outcomes(
    space: Space, indices: npt.NDArray[np.int64], workers: int, evaluate: Evaluate
) -> Batches:
    """Yield the outcomes of some points in batches; close the generator to stop early.

    Parameters
    ----------
    space : Space
        The grid.
    indices : ndarray of int64, shape [n]
        Points to run. With one worker they come back in this order.
    workers : int
        Processes at most; no more than there are points are started.
    evaluate : callable
        From a point to a `RunResult`.

    Raises
    ------
    SimulationError
        If a worker process dies.
    """
    workers = min(workers, len(indices))
    if workers > 1:
        yield from _in_parallel(space, indices, workers, evaluate)
        return
    for index in indices.tolist():
        yield [outcome(index, space.point(index), evaluate)]


def _in_parallel(
    space: Space, indices: npt.NDArray[np.int64], workers: int, evaluate: Evaluate
) -> Batches:
    size = max(1, min(_MAX_CHUNK, len(indices) // (4 * workers)))
    chunks = (indices[i : i + size].tolist() for i in range(0, len(indices), size))
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(space, evaluate),
    )
    with pool:
        # Two chunks per worker under way: none idles, and little is lost on an interruption.
        with _interrupts_held():
            running = {pool.submit(_run_chunk, chunk) for chunk in islice(chunks, 2 * workers)}
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_run_chunk, c) for c in islice(chunks, len(finished))}
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise SimulationError(
                "a worker process of the sweep died, perhaps for want of memory; the finished "
                "points are kept: go on with --resume and fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: they inherit the hold, this one gets it after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(space: Space, evaluate: Evaluate) -> None:
    # Ctrl-C goes to the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work["job"] = (space, evaluate)


def _run_chunk(indices: Sequence[int]) -> list[Outcome]:
    space, evaluate = _work["job"]
    return [outcome(index, space.point(index), evaluate) for index in indices]
