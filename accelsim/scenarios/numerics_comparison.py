"""Variants of a model on several chips, all against one fp32 run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from accelsim.arch.loader import load_system
from accelsim.arch.system import System
from accelsim.arithmetic import Arithmetic
from accelsim.errors import WorkloadError
from accelsim.functional.transformer.decoder import DecoderModel
from accelsim.scenarios.numerics import NumericsStudy, load_decoder
from accelsim.scenarios.numerics_check import Problems, scheme_of
from accelsim.scenarios.numerics_options import NumericsOptions
from accelsim.scenarios.numerics_result import NumericsResult, chip_difference
from accelsim.scenarios.numerics_runs import Progress


class NumericsComparison:
    """A model on one or more chips, each in the same variants.

    Parameters
    ----------
    model : DecoderModel
    systems : sequence of System
        One chip of each runs the model.
    options : NumericsOptions
    progress : callable, optional
        Called with (what, done, total).

    Attributes
    ----------
    studies : tuple of NumericsStudy
        One per system; they share the fp32 run.

    Raises
    ------
    WorkloadError
        If there is no system, or two have one name.

    Notes
    -----
    On one chip variants keep their names; on several they are "h100_sxm bf16" and so on.
    """

    def __init__(
        self,
        model: DecoderModel,
        systems: Sequence[System],
        options: NumericsOptions,
        progress: Progress | None = None,
    ) -> None:
        names = [system.name for system in systems]
        if len(set(names)) < len(names) or not names:
            raise WorkloadError(
                f"chips are {', '.join(names) or 'none'}: results are named after them, so give "
                "each once, and a changed copy another `name:`"
            )
        self.model, self.systems, self.options = model, tuple(systems), options
        first = NumericsStudy(model, systems[0], options, progress)
        several = len(names) > 1
        self.studies = tuple(first.on(system) for system in systems) if several else (first,)

    @classmethod
    def load(
        cls,
        model: str | Path,
        on: Sequence[str | Path],
        options: NumericsOptions | None = None,
        progress: Progress | None = None,
    ) -> NumericsComparison:
        """Open weights and chips by name or path.

        Raises
        ------
        WorkloadError
            If the weights are missing, damaged, or those of no decoder.
        SpecError
            If a chip is unknown; all such are named.
        """
        problems, systems = Problems(), []
        for name in on:
            with problems.noted():
                systems.append(load_system(str(name)))
        problems.refuse()
        return cls(load_decoder(model), systems, options or NumericsOptions(), progress)

    def check(self, variants: Sequence[str | None] = (None,)) -> list[Arithmetic]:
        """Return the arithmetic of every variant, chip by chip.

        Raises
        ------
        MappingError
            If a chip lacks a dtype; it is named, with what it has.
        WorkloadError
            If a variant, the prompt, the text or the plan of faults is unusable. Several problems
            are told together.
        """
        problems = Problems()
        with problems.noted():
            self.studies[0].check(())
        good, found = [], []
        for variant in variants:
            with problems.noted():
                scheme_of(variant)
                good.append(variant)
        for study in self.studies:
            where = study.system.name if len(self.studies) > 1 else ""
            for variant in good:
                with problems.noted(where):
                    found.append(study.arithmetic(variant))
        problems.refuse()
        return found

    def measure(self, variants: Sequence[str | None] = (None,)) -> Iterator[NumericsResult]:
        """Check all variants, then yield the result of each, chip by chip.

        Parameters
        ----------
        variants : sequence of str or None
            Dtypes and quantisations by name; None is the dtype that each chip prefers.

        Raises
        ------
        MappingError, WorkloadError
            As `check` does, before anything runs.
        """
        self.check(variants)
        return self._measured(variants)

    def _measured(self, variants: Sequence[str | None]) -> Iterator[NumericsResult]:
        first: dict[str | None, NumericsResult] = {}
        for study in self.studies:
            for variant in variants:
                result = study.measure(variant)
                if first.setdefault(variant, result) is not result:
                    difference = chip_difference(first[variant], result)
                    result = replace(result, against_first_chip=difference)
                yield result
