"""The KV cache: it grows, it rounds, it ends with the context."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional.arithmetics import resolve_arithmetic
from accelsim.functional.block_formats import BlockScaled
from accelsim.functional.transformer.cache import KvCache, kept_as
from tests.unit.functional.transformer.tiny_models import tiny

Floats = NDArray[np.float32]


def _tokens(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    keys, values = rng.standard_normal((2, 2, count, 32), dtype=np.float32)
    return keys, values


def test_tokens_stay_where_they_were_while_the_cache_grows() -> None:
    cache = KvCache((1, 2, 32, 32), 500, "fp32")
    keys, values = _tokens(300)
    for start, end in ((0, 3), (3, 64), (64, 65), (65, 290), (290, 300)):
        held_k, held_v = cache.append(0, keys[:, start:end], values[:, start:end])
        cache.advance(end - start)
        assert cache.length == end
        assert np.array_equal(held_k, keys[:, :end])
        assert np.array_equal(held_v, values[:, :end])


def test_layers_share_no_place_and_count_once() -> None:
    cache = KvCache((2, 2, 32, 32), 100, "fp32")
    first, second = _tokens(5, 1), _tokens(5, 2)
    assert np.array_equal(cache.append(0, *first)[0], first[0])
    assert np.array_equal(cache.append(1, *second)[0], second[0])
    assert cache.length == 0
    cache.advance(5)
    assert np.array_equal(cache.append(0, *_tokens(1))[1][:, :5], first[1])


def test_the_context_is_the_end() -> None:
    cache = KvCache((1, 2, 32, 32), 70, "fp32")
    cache.append(0, *_tokens(70))
    cache.advance(70)
    with pytest.raises(WorkloadError, match="71 tokens do not fit the context of 70"):
        cache.append(0, *_tokens(1))


def test_keys_and_values_have_widths_of_their_own() -> None:
    cache = KvCache((1, 2, 32, 5), 500, "fp32")
    keys, values = _tokens(100)
    held_k, held_v = cache.append(0, keys, values[..., :5])
    assert np.array_equal(held_k, keys)
    assert np.array_equal(held_v, values[..., :5])


@pytest.mark.parametrize("fmt", ["fp32", "bf16", "int8", "mxfp8"])
def test_a_cache_of_keys_alone_gives_back_no_values(fmt: str) -> None:
    cache = KvCache((1, 2, 32, 0), 500, fmt)
    keys = _tokens(70)[0]
    held_k, held_v = cache.append(0, keys, keys[..., :0])
    assert np.array_equal(held_k, kept_as(keys, fmt))
    assert held_v.shape == (2, 70, 0)


def test_damage_is_done_to_what_is_stored() -> None:
    seen = []

    class Damage:
        def kv(
            self, name: str, values: Floats, fmt: str, step: int, *, scale: Floats | None = None
        ) -> Floats:
            seen.append((name, fmt, step, None if scale is None else scale.shape))
            return values + 1

        def blocks(self, place: str, name: str, held: BlockScaled, step: int = 0) -> BlockScaled:
            seen.append((name, held.format.name, step, None))
            return held

    keys, values = _tokens(3)
    for fmt in ("bf16", "int8", "mxfp8"):
        cache = KvCache((2, 2, 32, 32), 70, fmt, Damage())
        cache.advance(5)
        held = cache.append(1, keys, values)[0][:, 5:]
        assert np.array_equal(held, kept_as(keys, fmt) + (fmt != "mxfp8"))
    assert seen[:2] == [("blk.1.k", "bf16", 5, None), ("blk.1.v", "bf16", 5, None)]
    assert [given[3] for given in seen[2:]] == [(2, 3, 1), (2, 3, 1), None, None]


@pytest.mark.parametrize(
    ("fmt", "relative"),
    [("fp32", 0.0), ("fp16", 2.0**-11), ("bf16", 2.0**-8), ("fp8", 2.0**-4),
     ("fp8_e5m2", 2.0**-3), ("int8", 1 / 254), ("int4", 1 / 14), ("mxfp8", 2.0**-3),
     ("nvfp4", 0.2)],
)  # fmt: skip
def test_formats_keep_values_within_their_steps(fmt: str, relative: float) -> None:
    x = _tokens(50)[0]
    found = kept_as(x, fmt)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    assert found.dtype == np.float32
    assert (np.abs(found - x) <= relative * largest * (1 + 1e-6)).all()
    assert np.array_equal(kept_as(np.zeros_like(x), fmt), np.zeros_like(x))


def test_narrow_formats_have_a_scale_per_token_and_head() -> None:
    x = np.ones((2, 3, 8), dtype=np.float32)
    x[0, 0], x[1, 2] = 1e-6, 1e6
    for fmt in ("int8", "fp8"):
        assert np.allclose(kept_as(x, fmt), x, rtol=1e-6)


@pytest.mark.parametrize("kv", ["fp8", "int8", "bf16"])
def test_a_quantised_cache_changes_logits_a_little(kv: str) -> None:
    model, tokens = tiny(), [3, 30, 0, 7, 12]
    exact = model.logits(tokens)
    found = model.logits(tokens, resolve_arithmetic("fp32", kv_dtype=kv))
    assert 0 < np.abs(found - exact).max() < 0.3
