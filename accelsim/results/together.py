"""What happens to models that share a chip: each alone, and all together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from accelsim.results.execution import Execution, PathShare, StagePass
from accelsim.results.execution_tables import utilisation
from accelsim.results.passes import passes_power, passes_timeline
from accelsim.units import PS_PER_S

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TenantResult:
    """One model on its part of the cores.

    Attributes
    ----------
    name, model, phase : str
    cores, passes : int
    alone_s : float
        One pass on its cores with the rest of the chip idle, mean over the passes [s].
    together_s : float
        The same with the other tenants at work [s].
    start_s, end_s : float
        Of all its passes, together with the others [s].
    alone_path, together_path : tuple of PathShare
        Its own critical path through all its passes, most time first.
    """

    name: str
    model: str
    phase: str
    cores: int
    passes: int
    alone_s: float
    together_s: float
    start_s: float
    end_s: float
    alone_path: tuple[PathShare, ...] = ()
    together_path: tuple[PathShare, ...] = ()

    @property
    def slowdown(self) -> float:
        """Time together over time alone [1]."""
        return self.together_s / self.alone_s


@dataclass(frozen=True)
class TogetherResult:
    """Outcome of `accelsim.run_together`.

    Attributes
    ----------
    chip : str
    tenants : tuple of TenantResult
    execution : Execution
        What happened when all ran together.
    """

    chip: str
    tenants: tuple[TenantResult, ...]
    execution: Execution

    @property
    def table(self) -> pd.DataFrame:
        """One row per tenant."""
        import pandas as pd

        return pd.DataFrame([self._row(tenant) for tenant in self.tenants])

    @property
    def paths(self) -> pd.DataFrame:
        """What each tenant's time goes to, one row per tenant and resource.

        Columns: name; resource, as in `PathShare`; alone_s and together_s, of one pass on its
        critical path [s]. Where these differ is what the neighbours take.
        """
        import pandas as pd

        rows = [
            (tenant.name, resource, alone_s, together_s)
            for tenant in self.tenants
            for resource, (alone_s, together_s) in _compared(tenant).items()
        ]
        return pd.DataFrame(rows, columns=["name", "resource", "alone_s", "together_s"])

    @property
    def idle_j(self) -> float:
        """Energy that flows whatever happens, until the last has ended [J]."""
        return self.execution.idle_w * self.execution.end_ps / PS_PER_S

    @property
    def energy_j(self) -> float:
        """Counted energy of all tenants, and idle power [J]."""
        return self.idle_j + float(self.timeline["dynamic_j"].sum())

    @property
    def executions(self) -> tuple[StagePass, ...]:
        """What happened, as `RunResult.executions` has it: one pass of all tenants."""
        return (StagePass("together", 1, self.execution),)

    @property
    def shown_passes(self) -> tuple[tuple[str, StagePass], ...]:
        """The pass with words for it: what pictures show."""
        return (("all models together", self.executions[0]),)

    @property
    def timeline(self) -> pd.DataFrame:
        """One row per op, as `RunResult.timeline`; ``unit`` is the tenant's name."""
        return passes_timeline(self.executions)

    @property
    def power(self) -> pd.DataFrame:
        """Power of the chip over time, as `RunResult.power`."""
        return passes_power(self.executions)

    @property
    def utilisation(self) -> pd.DataFrame:
        """Use of each engine over time, see `accelsim.results.execution_tables.utilisation`."""
        return utilisation(self.execution)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        timeline, paths = self.timeline, self.paths
        return {
            "chip": self.chip,
            "energy_j": self.energy_j,
            "idle_j": self.idle_j,
            "tenants": [
                {
                    **self._row(tenant),
                    "dynamic_j": float(timeline.dynamic_j[timeline.unit == tenant.name].sum()),
                    "critical_path": paths[paths["name"] == tenant.name]
                    .drop(columns="name")
                    .to_dict("records"),
                }
                for tenant in self.tenants
            ],
        }

    def _row(self, tenant: TenantResult) -> dict[str, Any]:
        row = {**asdict(tenant), "slowdown": tenant.slowdown}
        del row["alone_path"], row["together_path"]
        return row


def _compared(tenant: TenantResult) -> dict[str, tuple[float, float]]:
    """Time of a pass on each resource, alone and together [s]; most together first."""
    alone, together = (
        {share.resource: share.path_ps / PS_PER_S / tenant.passes for share in path}
        for path in (tenant.alone_path, tenant.together_path)
    )
    names = dict.fromkeys([*together, *alone])
    return {name: (alone.get(name, 0.0), together.get(name, 0.0)) for name in names}
