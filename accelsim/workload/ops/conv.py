"""Convolutions and pooling windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from accelsim.workload.conv import ConvShape
from accelsim.workload.ops.base import Op, Traffic, nbytes


@dataclass(frozen=True, kw_only=True)
class Conv(Op):
    """A two-dimensional convolution, with what is added per output channel.

    Attributes
    ----------
    shape : ConvShape
        Sizes.
    dtype, weight_dtype : str
        Of the input, the output and the multiplication; of the stored filters.
    bias, norm : bool
        A bias per output channel; a batch norm, which inference folds into filters and bias.

    Notes
    -----
    Multiply-adds with padding count, as is usual. The input is read once, not once per filter
    tap: lowering it to a matrix is the mapping's business.
    """

    kind: ClassVar[str] = "conv"

    shape: ConvShape
    dtype: str = "bf16"
    weight_dtype: str = "bf16"
    bias: bool = False
    norm: bool = False

    @property
    def flop(self) -> float:
        """2 per multiply-add."""
        return 2.0 * self.shape.macs

    @property
    def vector_flop(self) -> float:
        """One addition per output element when there is a bias or a folded norm."""
        return float(self.shape.output_elements) if self.bias or self.norm else 0.0

    @property
    def parameters(self) -> float:
        """Filters, biases, and gain and bias of the norm."""
        per_channel = int(self.bias) + 2 * int(self.norm)
        return float(self.shape.weight_elements + per_channel * self.shape.out_channels)

    @property
    def filter_bytes(self) -> float:
        """Storage of the filters [B]."""
        return nbytes(self.shape.weight_elements, self.weight_dtype)

    @property
    def bias_bytes(self) -> float:
        """Storage of the biases that inference reads, a folded norm's included [B]."""
        added = self.shape.out_channels if self.bias or self.norm else 0
        return nbytes(added, self.weight_dtype)

    @property
    def traffic(self) -> Traffic:
        """Filters and biases, the input and the output."""
        return Traffic(
            weights=self.filter_bytes + self.bias_bytes,
            inputs=nbytes(self.shape.input_elements, self.dtype),
            outputs=nbytes(self.shape.output_elements, self.dtype),
        )


@dataclass(frozen=True, kw_only=True)
class Pool(Op):
    """The maximum or the mean of every window of a channel.

    Attributes
    ----------
    shape : ConvShape
        Sizes; as many output as input channels, all of them groups.
    dtype : str
        Of input and output.
    """

    kind: ClassVar[str] = "pool"

    shape: ConvShape
    dtype: str = "bf16"

    @property
    def vector_flop(self) -> float:
        """A comparison or an addition per element of every window."""
        window = self.shape.filter_height * self.shape.filter_width
        return float(window) * self.shape.output_elements

    @property
    def traffic(self) -> Traffic:
        """The input once and the output."""
        return Traffic(
            inputs=nbytes(self.shape.input_elements, self.dtype),
            outputs=nbytes(self.shape.output_elements, self.dtype),
        )
