"""Communication among devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelsim.errors import WorkloadError, suggest
from accelsim.workload.ops.base import Op, require_positive

COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")


@dataclass(frozen=True, kw_only=True)
class Collective(Op):
    """Communication among `devices` equal partners.

    Attributes
    ----------
    fn : str
        One of `COLLECTIVES`.
    size_bytes : float
        As nccl-tests counts: per-rank buffer of all_reduce, all_to_all and send_recv; total
        gathered of all_gather; total input of reduce_scatter [B].
    devices : int
        Partners.
    """

    kind: ClassVar[str] = "collective"

    fn: str
    size_bytes: float
    devices: int

    def __post_init__(self) -> None:
        require_positive(self, "size_bytes", "devices")
        if self.fn not in COLLECTIVES:
            known = suggest(self.fn, COLLECTIVES)
            raise WorkloadError(f"{self.name}: unknown collective '{self.fn}', {known}")
