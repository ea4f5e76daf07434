"""What happens to models that share a chip: each alone, and all together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from accelsim.results.execution import Execution, StagePass
from accelsim.results.execution_tables import utilisation
from accelsim.results.passes import passes_power, passes_timeline

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
        return {"chip": self.chip, "tenants": [self._row(tenant) for tenant in self.tenants]}

    def _row(self, tenant: TenantResult) -> dict[str, Any]:
        return {**asdict(tenant), "slowdown": tenant.slowdown}
