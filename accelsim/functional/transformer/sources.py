"""Where an executor gets its weights: a file under any naming, or random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.formats import NonFinite, count_nonfinite
from accelsim.functional.transformer.names import Shape, tensor_shapes
from accelsim.functional.weights.plain_numbers import require_plain
from accelsim.functional.weights.storage import decode
from accelsim.functional.weights.tensor_file import TensorFile
from accelsim.workload.config import ModelConfig

MEMORY_LIMIT_BYTES = 5 * 10**9
"""Random models are cut to this much of fp32 weights."""
_SPREAD = 0.02
_EXPERTS = 3
Floats = NDArray[np.float32]


class WeightSource(Protocol):
    """Weights by canonical name."""

    @property
    def shapes(self) -> dict[str, Shape]:
        """Every tensor that the model needs."""

    def read(self, name: str) -> Floats:
        """Return one tensor as float32."""

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        """Return some members of the first axis as float32, without reading all of them."""

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included, over the whole model."""


@dataclass(frozen=True, eq=False)
class FileWeights:
    """Weights of an open file.

    Attributes
    ----------
    file : TensorFile
    shapes : dict
        Of every tensor that the model needs.
    file_name : callable
        Name in the file of a canonical name.
    nonfinite : dict
        NaN and infinite values found so far, by canonical name.

    Raises
    ------
    WorkloadError
        If a tensor is missing, has another shape, or is stored as codes (see `require_plain`).
    """

    file: TensorFile
    shapes: dict[str, Shape]
    file_name: Callable[[str], str]
    nonfinite: dict[str, NonFinite] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, shape in self.shapes.items():
            require_plain(self.file, self.file_name(name))
            found = self.file.info(self.file_name(name)).shape
            if found != shape:
                raise WorkloadError(
                    f"{self.file.path}: tensor '{self.file_name(name)}' has shape {list(found)}, "
                    f"the model's configuration says {list(shape)}"
                )

    def read(self, name: str) -> Floats:
        """Return one tensor as float32; NaN and infinite values are counted."""
        values = self.file.read(self.file_name(name))
        counted = count_nonfinite(values)
        if counted.nan or counted.inf:
            self.nonfinite[name] = counted
        return values

    def rows(self, name: str, ids: NDArray[np.int64]) -> Floats:
        """Return some members of the first axis as float32, without reading all of them."""
        info = self.file.info(self.file_name(name))
        width = info.shape[-1]
        if width % info.storage.block_elements:
            return self.read(name)[ids]
        stored = self.file.raw(self.file_name(name)).reshape(info.shape[0], -1)
        return decode(info.storage, stored[ids].reshape(-1)).reshape(len(ids), *info.shape[1:])

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included, over the whole model."""
        infos = [self.file.info(self.file_name(name)) for name in self.shapes]
        return 8.0 * sum(i.bytes for i in infos) / sum(i.elements for i in infos)


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
    bits_per_weight: float = 32.0

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
