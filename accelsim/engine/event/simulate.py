"""Programs on chips, simulated to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelsim.arch.chip import Chip
from accelsim.des.simulation import Simulation
from accelsim.engine.event.folding import FoldBook
from accelsim.engine.event.journal import Journal
from accelsim.engine.event.machine import ChipModel, build_chip
from accelsim.engine.event.network import Network
from accelsim.engine.event.plan import Program
from accelsim.engine.event.scene import Progress, Scene
from accelsim.engine.event.sequencer import Partners, Sequencer


@dataclass(frozen=True)
class Placement:
    """A program on chips that run it together.

    Attributes
    ----------
    program : Program
    chips : tuple of int
        Places in the list of chips; collectives meet among them.
    group : str
        Of cores, on each of them.
    start_ps : int
        When it may begin [ps].
    share : float or None
        Of the memory that software manages on each of the chips, for its group of cores; None:
        what an equal split among the chip's groups gives.
    """

    program: Program
    chips: tuple[int, ...] = (0,)
    group: str = "cores"
    start_ps: int = 0
    share: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished simulation: what happened, who issued it, and the events that it took."""

    journal: Journal
    sequencers: tuple[Sequencer, ...]
    events: int


def simulate(
    chips: Sequence[Chip],
    placements: Sequence[Placement],
    *,
    fold: bool = True,
    ideal: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> Outcome:
    """Run programs on chips until all have ended.

    Parameters
    ----------
    chips : sequence of Chip
        A group of cores is described by a chip of its own when it has a part of the cores.
    placements : sequence of Placement
    fold : bool
        Jump over repeats once they are periodic.
    ideal : frozenset of str
        Bandwidths that never limit.
    progress : callable, optional
        Called with the simulated time now and then [ps].

    Raises
    ------
    SimulationError
        If the programs wait for each other in a circle.
    """
    scene = Scene(Simulation(), progress=progress)
    models = [
        build_chip(scene, index, chip, groups=_groups(placements, index), ideal=ideal)
        for index, chip in enumerate(chips)
    ]
    sequencers: list[Sequencer] = []
    for number, placed in enumerate(placements):
        folds = FoldBook(placed.program.blocks, len(placed.chips), enabled=fold)
        network = Network(scene.sim, f"network{number}", len(placed.chips))
        partners = Partners(folds, network)
        for made in _sequencers(scene, models, placed, partners, len(sequencers)):
            sequencers.append(made)
            name = f"{made.chip.component.path}/{placed.group}: {placed.program.name}"
            scene.sim.start(name, made.run(placed.start_ps, sequencers))
    scene.sim.run()
    return Outcome(scene.journal, tuple(sequencers), scene.sim.events)


def _groups(placements: Sequence[Placement], chip: int) -> dict[str, float]:
    """Groups of cores that a chip needs, and their shares of its memory."""
    here = {placed.group: placed.share for placed in placements if chip in placed.chips}
    return {name: 1.0 / len(here) if share is None else share for name, share in here.items()}


def _sequencers(
    scene: Scene,
    models: Sequence[ChipModel],
    placed: Placement,
    partners: Partners,
    first: int,
) -> list[Sequencer]:
    """Make the sequencers of one program, one for each of its chips; `first` is their number."""
    made = []
    for member, index in enumerate(placed.chips):
        model = models[index]
        group = next(g for g in model.groups if g.name == placed.group)
        ranks = (first + member, member)
        made.append(Sequencer(scene, (model, group), (placed.program, partners), ranks))
    return made
