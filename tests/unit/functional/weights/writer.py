"""Writes small GGUF and safetensors files, honest or lying, for the tests of their readers."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

TYPES = {
    "u8": 0, "i8": 1, "u16": 2, "i16": 3, "u32": 4, "i32": 5, "f32": 6, "bool": 7, "text": 8,
    "array": 9, "u64": 10, "i64": 11, "f64": 12,
}  # fmt: skip
LAYOUTS = {
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f", "bool": "B",
    "u64": "Q", "i64": "q", "f64": "d",
}  # fmt: skip


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def value(kind: str, content: Any) -> bytes:
    """A value without its type; an array is (kind of its elements, elements)."""
    if kind == "text":
        return text(content)
    if kind == "array":
        inner, items = content
        head = struct.pack("<IQ", TYPES[inner], len(items))
        return head + b"".join(value(inner, item) for item in items)
    return struct.pack("<" + LAYOUTS[kind], content)


@dataclass(frozen=True)
class Tensor:
    """One tensor of a GGUF file; offset None: after the one before, aligned."""

    name: str | bytes
    sides: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True)
class Gguf:
    """A GGUF file to be; None counts are the true ones."""

    keys: tuple[tuple[str | bytes, str, Any], ...] = ()
    tensors: tuple[Tensor, ...] = ()
    magic: bytes = b"GGUF"
    version: int = 3
    tensor_count: int | None = None
    key_count: int | None = None
    alignment: int = 32
    extra: bytes = field(default=b"")

    def header(self) -> bytes:
        """Everything before the data, without padding."""
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        keys = len(self.keys) if self.key_count is None else self.key_count
        parts = [self.magic, struct.pack("<IQQ", self.version, tensors, keys)]
        for key, kind, content in self.keys:
            parts += [text(key), struct.pack("<I", TYPES[kind]), value(kind, content)]
        at = 0
        for tensor in self.tensors:
            offset = at if tensor.offset is None else tensor.offset
            parts += [text(tensor.name), struct.pack("<I", len(tensor.sides))]
            parts += [struct.pack("<Q", side) for side in tensor.sides]
            parts += [struct.pack("<IQ", tensor.kind, offset)]
            at += self.padded(len(tensor.data))
        return b"".join(parts)

    def padded(self, size: int) -> int:
        return -(-size // self.alignment) * self.alignment

    def bytes(self) -> bytes:
        """The whole file."""
        header = self.header()
        data = b"".join(t.data.ljust(self.padded(len(t.data)), b"\0") for t in self.tensors)
        return header.ljust(self.padded(len(header)), b"\0") + data + self.extra


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file; `header` is JSON text, or an object to be written as such."""
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(body) if length is None else length) + body + data


SMALL_GGUF = Gguf(
    keys=(
        ("general.architecture", "text", "llama"),
        ("llama.block_count", "u32", 2),
        ("llama.rope.freq_base", "f32", 1e4),
        ("a.flag", "bool", 1),
        ("tokenizer.ggml.tokens", "array", ("text", ["a", "b", "ab"])),
        ("tokenizer.ggml.token_type", "array", ("i32", [1, 1, 3])),
        ("a.nest", "array", ("array", [("u8", [1, 2]), ("text", ["x"])])),
    ),
    tensors=(
        Tensor("norm.weight", (4,), 0, struct.pack("<4f", 1, 2, 3, -4)),
        Tensor("up.weight", (32, 2), 8, struct.pack("<e32b", 0.5, *range(32)) * 2),
    ),
)

SMALL_SAFETENSORS = safetensors(
    {
        "__metadata__": {"format": "pt"},
        "bias": {"dtype": "F16", "shape": [3], "data_offsets": [0, 6]},
        "up": {"dtype": "F32", "shape": [2, 2], "data_offsets": [6, 22]},
        "empty": {"dtype": "I8", "shape": [0, 4], "data_offsets": [22, 22]},
        "scalar": {"dtype": "BF16", "shape": [], "data_offsets": [22, 24]},
    },
    struct.pack("<3e4fH", 1, 2, 3, 4, 5, 6, 7, 0x3FC0),
)
