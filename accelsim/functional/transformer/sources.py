"""Where an executor gets its weights: a file under any naming, or random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.formats import NonFinite, count_nonfinite
from accelsim.functional.transformer.names import Shape, expert_name, is_stacked, tensor_shapes
from accelsim.functional.weights.layouts import AS_IT_IS, Layout
from accelsim.functional.weights.plain_numbers import require_plain
from accelsim.functional.weights.storage import decode
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.config import ModelConfig

MEMORY_LIMIT_BYTES = 5 * 10**9
"""Random models are cut to this much of fp32 weights."""
_SPREAD = 0.02
_EXPERTS = 3
Floats = NDArray[np.float32]


def _as_it_is(_: str) -> Layout:
    return AS_IT_IS


class WeightSource(Protocol):
    """Weights by canonical name."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Every tensor that the model needs."""

    def read(self, name: str) -> Floats:
        """Return one tensor as float32."""

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        """Return some members of the first axis as float32, without reading all of them."""


@dataclass(frozen=True, eq=False)
class FileWeights:
    """Weights of an open file.

    Attributes
    ----------
    file : TensorFile
    shapes : dict
        Of every tensor that the model needs.
    file_name : callable
        Name in the file of a canonical name. What is stacked of experts may also stand there
        expert by expert, see `expert_name`.
    layout : callable
        How the tensor of a canonical name lies in that of the file.
    nonfinite : dict
        NaN and infinite values found so far, by canonical name, of experts one by one.

    Raises
    ------
    WorkloadError
        If a tensor is missing, has another shape, or is stored as codes (see `require_plain`).
    """

    file: TensorFile
    shapes: dict[str, Shape]
    file_name: Callable[[str], str]
    layout: Callable[[str], Layout] = _as_it_is
    nonfinite: dict[str, NonFinite] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in self.shapes.items():
            own = self._stored_shape(name, shape)
            for stored in self._stored(name):
                require_plain(self.file, stored)
                found = self.file.info(stored).shape
                if found != own:
                    raise WorkloadError(
                        f"{self.file.path}: tensor '{stored}' has shape {list(found)}, "
                        f"the model's configuration says {list(own)}"
                    )

    @property
    def stored_names(self) -> frozenset[str]:
        """Names in the file of all tensors that the model needs."""
        return frozenset(stored for name in self.shapes for stored in self._stored(name))

    def read(self, name: str) -> Floats:
        """Return one tensor as float32; NaN and infinite values are counted."""
        if is_stacked(name):
            return self.rows(name, np.arange(self.shapes[name][0]))
        layout, stored = self.layout(name), self.file_name(name)
        if layout.rows is None or layout.transposed or len(self.shapes[name]) == 1:
            return self._counted(name, layout.cut(self.file.read(stored)))
        return self._counted(name, self._members(stored, layout.picked))

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        """Return some members of the first axis as float32, without reading all of them.

        NaN and infinite values of experts are counted.
        """
        if self._is_apart(name):
            members = [expert_name(name, int(expert)) for expert in ids]
            found = np.stack([self.file.read(self.file_name(member)) for member in members])
        else:
            found = self._members(self.file_name(name), ids)
        layout = self.layout(name)
        if layout != AS_IT_IS:  # never of tables, whose rows are the members
            found = np.stack([layout.cut(member) for member in found])
        if is_stacked(name):
            for expert, values in zip(ids, found, strict=True):
                self._counted(expert_name(name, int(expert)), values)
        return found

    def _members(self, stored: str, ids: NDArray[np.int64]) -> Floats:
        """Decode some members of the first axis of a tensor in the file."""
        info = self.file.info(stored)
        assert not info.shape[-1] % info.storage.block_elements  # both readers require it
        raw = self.file.raw(stored).reshape(info.shape[0], -1)
        return decode(info.storage, raw[ids].reshape(-1)).reshape(len(ids), *info.shape[1:])

    def _stored_shape(self, name: str, shape: Shape) -> Shape:
        """Shape in the file: of a stack all of it, or one expert's."""
        if not is_stacked(name):
            return self.layout(name).stored_shape(shape)
        own = self.layout(name).stored_shape(shape[1:])
        return own if self._is_apart(name) else (shape[0], *own)

    def _is_apart(self, name: str) -> bool:
        """Whether a tensor of all experts stands expert by expert in the file."""
        return is_stacked(name) and self.file_name(name) not in self.file.tensors

    def _stored(self, name: str) -> Iterator[str]:
        if not self._is_apart(name):
            yield self.file_name(name)
            return
        for expert in range(self.shapes[name][0]):
            yield self.file_name(expert_name(name, expert))

    def _counted(self, name: str, values: Floats) -> Floats:
        counted = count_nonfinite(values)
        if counted.nan or counted.inf:
            self.nonfinite[name] = counted
        return values


@dataclass(frozen=True, eq=False)
class RandomWeights:
    """Weights drawn from a normal distribution, to try shapes out.

    Attributes
    ----------
    config : ModelConfig
    seed : int
    shapes : dict
        Of every tensor.
    """

    config: ModelConfig
    seed: int = 0
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes.update(tensor_shapes(self.config))

    def read(self, name: str) -> Floats:
        """Return one tensor: norms of ones, biases of zeros, else N(0, 0.02^2)."""
        shape = self.shapes[name]
        if name.endswith(".bias"):
            return np.zeros(shape, dtype=np.float32)
        if "norm" in name:
            return np.ones(shape, dtype=np.float32)
        if len(shape) == _EXPERTS:
            return np.stack([self._drawn(name, expert, shape[1:]) for expert in range(shape[0])])
        return self._drawn(name, 0, shape)

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        """Return some members of the first axis."""
        shape = self.shapes[name]
        if len(shape) == _EXPERTS:
            return np.stack([self._drawn(name, int(expert), shape[1:]) for expert in ids])
        return self.read(name)[ids]

    def _drawn(self, name: str, part: int, shape: Shape) -> Floats:
        place = list(self.shapes).index(name)
        generator = np.random.Generator(
            np.random.Philox(key=self.seed, counter=[0, 0, part, place])
        )
        drawn = generator.standard_normal(shape, dtype=np.float32)
        drawn *= np.float32(_SPREAD)
        return drawn
