"""Networks without tokens: fully connected, convolutional and recurrent, one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError, suggest
from accelsim.workload.graph import Block, Footprint, Graph
from accelsim.workload.layers import Features, Formats, Layer, Lowered
from accelsim.workload.memory import largest_op_bytes, weight_bytes
from accelsim.workload.ops import Op
from accelsim.workload.sizes import COUNT_LIMIT, LAYER_LIMIT, check_sizes, check_text, shown

INPUT = "input"
NOTE_LIMIT = 2000
FORWARD = "forward"
"""The only phase of a network."""


@dataclass(frozen=True)
class Network:
    """A network as a list of layers.

    Attributes
    ----------
    name : str
        For results and messages.
    input : Features
        One sample.
    layers : tuple of Layer
        In execution order.
    batch : int
        Samples of a run that does not say.
    dtype : str
        Arithmetic, and storage of activations.
    weight_dtype : str
        Storage of weights; empty means `dtype`.
    notes : tuple of str
        For reports: what was derived or left out.

    Raises
    ------
    WorkloadError
        If a name, a note or the batch is unusable, two layers share a name, a source is unknown,
        or shapes do not fit.
    """

    name: str
    input: Features
    layers: tuple[Layer, ...]
    batch: int = 1
    dtype: str = "bf16"
    weight_dtype: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text("Network.name", self.name)
        for note in self.notes:
            check_text("Network.notes", note, NOTE_LIMIT)
        check_sizes(self, "batch", most=COUNT_LIMIT)
        for name in ("dtype", "weight_dtype"):
            value = getattr(self, name) or self.dtype
            object.__setattr__(self, name, find_dtype(value).name)
        if not 1 <= len(self.layers) <= LAYER_LIMIT:
            raise WorkloadError(f"{self.name}: expected 1 to {LAYER_LIMIT} layers")
        try:
            self.by_layer  # noqa: B018  (refuses layers that do not fit together)
        except WorkloadError as problem:
            raise WorkloadError(f"{self.name}: {problem}") from None
        names = Counter(op.name for _, lowered in self.by_layer for op in lowered.ops)
        name, times = names.most_common(1)[0]
        if times > 1:
            raise WorkloadError(f"{self.name}: two ops are called '{name}': rename that layer")

    @property
    def parameters(self) -> int:
        """All parameters."""
        return sum(lowered.parameters for _, lowered in self.by_layer)

    @property
    def macs(self) -> int:
        """Multiply-adds of matrix work for one sample."""
        return sum(lowered.macs for _, lowered in self.by_layer)

    @cached_property
    def by_layer(self) -> tuple[tuple[Layer, Lowered], ...]:
        """Every layer with its ops for one sample."""
        return tuple(lowered_layers(self, Formats(1, self.dtype, self.weight_dtype)))

    @cached_property
    def shapes(self) -> dict[str, Features]:
        """The input and the result of every layer by name, in execution order."""
        known = {INPUT: self.input}
        for layer, sources in self.connections():
            known[layer.name] = place(layer, sources, known)
        return known

    def connections(self) -> Iterator[tuple[Layer, tuple[str, ...]]]:
        """Every layer with the names of its sources."""
        before = INPUT
        for layer in self.layers:
            yield layer, layer.sources or (before,)
            before = layer.name


def place(layer: Layer, sources: Sequence[str], known: Mapping[str, Features]) -> Features:
    """Return the shape of a layer's result.

    Parameters
    ----------
    layer : Layer
    sources : sequence of str
        Names of what it reads.
    known : mapping of str to Features
        The input and the results of the layers before it.

    Raises
    ------
    WorkloadError
        If its name is taken, a source is unknown, or shapes do not fit.
    """
    if layer.name == INPUT:
        raise WorkloadError(f"'{INPUT}' names the sample: rename that layer")
    if layer.name in known:
        raise WorkloadError(f"two layers are called '{layer.name}'")
    for source in sources:
        if source not in known:
            raise WorkloadError(
                f"layer {layer.name} reads {shown(source)}, which no layer before it is called: "
                f"{suggest(source, known)}"
            )
    try:
        return layer.output([known[source] for source in sources])
    except WorkloadError as problem:
        raise WorkloadError(f"layer {layer.name}: {problem}") from None


def forward_graph(
    network: Network,
    batch: int | None = None,
    dtype: str | None = None,
    weight_dtype: str | None = None,
) -> Graph:
    """Return the ops of one forward pass.

    Parameters
    ----------
    network : Network
    batch : int or None
        Samples; None means the network's own.
    dtype, weight_dtype : str or None
        Arithmetic and activations, and stored weights. None means the network's own; a `dtype`
        alone holds for the weights too.
    """
    own = network.weight_dtype if dtype is None else dtype
    formats = Formats(batch or network.batch, dtype or network.dtype, weight_dtype or own)
    blocks = tuple(_blocks(network, formats))
    return Graph(
        model=network.name, phase=FORWARD, blocks=blocks, batch=formats.batch, new_tokens=1,
        footprint=Footprint(weight_bytes(blocks), activations=largest_op_bytes(blocks)),
        dtype=formats.dtype,
        notes=(*network.notes, "the samples are on the chip when the pass starts"),
    )  # fmt: skip


def lowered_layers(network: Network, formats: Formats) -> Iterator[tuple[Layer, Lowered]]:
    """Yield every layer with its ops, in execution order."""
    shapes = network.shapes
    made: dict[str, tuple[str, ...]] = {INPUT: ()}
    for layer, sources in network.connections():
        after = tuple(name for source in sources for name in made[source])
        given = [shapes[source] for source in sources]
        try:
            lowered = layer.lower(given, formats, after)
        except WorkloadError as problem:
            words = f"layer {layer.name}, {formats.batch} samples of {given[0].steps} steps"
            raise WorkloadError(f"{words}: {problem}") from None
        made[layer.name] = (lowered.ops[-1].name,)
        yield layer, lowered


def _blocks(network: Network, formats: Formats) -> Iterator[Block]:
    """Cut the layers where steps of a recurrence repeat."""
    ops: list[Op] = []
    for layer, lowered in lowered_layers(network, formats):
        ops += lowered.ops
        if lowered.times:
            yield Block("layers", tuple(ops))
            yield Block(f"{layer.name}.steps", lowered.repeated, lowered.times)
            ops = []
    if ops:
        yield Block("layers", tuple(ops))
