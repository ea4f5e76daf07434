"""Who is told what happens: nobody, or a recorder."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """Work of one server: `label` from `start_ps` to `end_ps`."""

    track: str
    label: str
    start_ps: int
    end_ps: int


class Sample(NamedTuple):
    """Value of a counter from `time_ps` on."""

    counter: str
    time_ps: int
    value: float


class Tracer(Protocol):
    """Is told of work and of counters."""

    def span(self, track: str, label: str, start_ps: int, end_ps: int) -> None:
        """A server works on something."""

    def sample(self, counter: str, time_ps: int, value: float) -> None:
        """A counter has a new value."""


class _Silent:
    """Tells nobody."""

    def span(self, track: str, label: str, start_ps: int, end_ps: int) -> None:
        """Forget it."""

    def sample(self, counter: str, time_ps: int, value: float) -> None:
        """Forget it."""


SILENT = _Silent()
"""The tracer that forgets everything."""


class Recorder:
    """Keeps everything, in the order in which it was told.

    A server tells of a span as soon as its times are known, which may be before it begins.

    Attributes
    ----------
    spans : list of Span
    samples : list of Sample
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.samples: list[Sample] = []

    def span(self, track: str, label: str, start_ps: int, end_ps: int) -> None:
        """Keep a span."""
        self.spans.append(Span(track, label, start_ps, end_ps))

    def sample(self, counter: str, time_ps: int, value: float) -> None:
        """Keep a sample."""
        self.samples.append(Sample(counter, time_ps, value))
