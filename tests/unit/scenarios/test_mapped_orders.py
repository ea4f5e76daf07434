"""The order of sums that a mapping makes: by op, layer and length, for every kind of chip."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import accelsim
from accelsim import load_chip, load_model
from accelsim.arithmetic import IN_ORDER, UNFUSED, AttentionOrder
from accelsim.functional.transformer.names import tensor_shapes
from accelsim.functional.transformer.orders import PLAIN
from accelsim.mapping.fusion import single
from accelsim.mapping.matmul import map_matmul
from accelsim.scenarios import mapped_orders
from accelsim.scenarios.mapped_orders import MappedOrders
from accelsim.timing.matmul import matmul_problem
from accelsim.workload.config import ModelConfig
from accelsim.workload.ops import MatMul
from accelsim.workload.phases import PhaseOptions
from tests.unit.functional.transformer.tiny_models import BERT, CONFIGS


def _orders(
    model: str = "smollm2-135m", chip: str = "h100_sxm", dtype: str = "bf16"
) -> MappedOrders:
    return MappedOrders(load_model(model), load_chip(chip), PhaseOptions(dtype=dtype))


def _shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """n and k of every matmul that the functional core executes."""
    found = {"output": (config.vocab_size, config.d_model)} if config.head.lm_head else {}
    for name, shape in tensor_shapes(config).items():
        if name.startswith("blk.") and name.endswith(".weight") and len(shape) > 1:
            found[name.split(".")[2]] = (shape[-2], shape[-1])
    return found


def _splits(orders: MappedOrders, m: int) -> dict[str, int]:
    return {op: orders.matmul(op, m, n, k).split_k for op, (n, k) in _shapes(orders.config).items()}


def _stated(model: str, chip: str, **options: object) -> dict[str, int]:
    """Cuts of k that a timed run prints, by op."""
    result = accelsim.run(model, chip, batch=1, dtype="bf16", **options)
    found = {}
    for row in result.rows:
        split = re.search(r"k split (\d+)", row.mapping)
        found[row.name.split("+")[0]] = int(split[1]) if split else 1
    return found


@pytest.mark.parametrize(
    "model",
    ["smollm2-135m", "gpt2", "bert-base", "mixtral-8x7b", "gpt-oss-120b",
     "deepseek-v3"],
)  # fmt: skip
def test_every_matmul_of_a_model_has_an_order(model: str) -> None:
    orders = _orders(model)
    assert all(split >= 1 for split in _splits(orders, 32).values())
    _splits(orders, 1)
    assert orders.warnings == ()


def test_ops_without_a_mapping_run_in_order_and_are_told() -> None:
    orders = _orders()
    assert orders.matmul("ffn_gate_inp", 64, 8, 576) == IN_ORDER
    assert orders.matmul("ffn_down", 64, 576, 1000) == IN_ORDER
    assert orders.attention(0, 8, 64) == UNFUSED
    (told,) = orders.warnings
    for what in ("ffn_gate_inp (8 x 576)", "ffn_down (576 x 1000)", "attention of several tokens"):
        assert what in told


def test_fused_projections_share_an_order() -> None:
    splits = _splits(_orders(), 1)
    assert splits["attn_q"] == splits["attn_k"] == splits["attn_v"]
    assert splits["ffn_gate"] == splits["ffn_up"]


def test_a_step_is_mapped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = _orders()
    first = orders.attention(0, 1, 40), _splits(orders, 1)
    monkeypatch.setattr(mapped_orders, "build_graph", lambda *_: pytest.fail("mapped again"))
    assert (orders.attention(0, 1, 40), _splits(orders, 1)) == first


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_the_head_is_mapped_with_its_own_rows(rows: int) -> None:
    config, chip = load_model("smollm2-135m"), load_chip("h100_sxm")
    narrow = replace(config, embedding=replace(config.embedding, vocab_size=512))
    orders = MappedOrders(narrow, chip, PhaseOptions(dtype="bf16"))
    problem = matmul_problem(
        single(MatMul("lm_head", m=rows, n=512, k=576), on_chip=True), chip.matrix_unit("bf16")
    )
    wanted = map_matmul(chip, "bf16", problem).tiling.split_k
    assert orders.matmul("output", rows, 512, 576).split_k == wanted


@pytest.mark.parametrize("name", CONFIGS)
def test_every_architecture_has_its_orders(name: str) -> None:
    config = CONFIGS[name]
    orders = MappedOrders(config, load_chip("tpu_v5e"), PhaseOptions(dtype="bf16"))
    for m in (1, 3, 20):
        _splits(orders, m)
    for layer in range(config.n_layers):
        for q_len in (1, 9):
            assert orders.attention(layer, q_len, 9).tile_kv > 0
    assert orders.warnings == ()


@pytest.mark.parametrize(("model", "tokens"), [("mixtral-8x7b", 1), ("mixtral-8x7b", 64)])
def test_routers_and_experts_are_those_of_the_timed_run(model: str, tokens: int) -> None:
    phase = {"phase": "decode", "input_len": 40} if tokens == 1 else {"phase": "prefill"}
    stated = _stated(model, "h100_sxm", allow_oversubscribe=True, **{"input_len": tokens, **phase})
    orders, shapes = _orders(model), _shapes(load_model(model))
    moe = orders.config.moe
    assert moe is not None
    rows = -(-tokens * moe.topk // moe.n_experts) if tokens > 1 else 1
    for op, timed in {
        "ffn_gate_inp": "moe.router", "ffn_up_exps": "moe.gate_up", "ffn_down_exps": "moe.down",
    }.items():  # fmt: skip
        m = tokens if op == "ffn_gate_inp" else rows
        assert orders.matmul(op, m, *shapes[op]).split_k == stated[timed], op


def test_local_and_global_layers_have_their_own_tiles() -> None:
    orders = _orders("gpt-oss-120b")
    local, whole = (orders.attention(layer, 1, 8000) for layer in (0, 1))
    assert local != whole
    assert {orders.attention(layer, 1, 8000) for layer in range(0, 36, 2)} == {local}
    assert {orders.attention(layer, 1, 8000) for layer in range(1, 36, 2)} == {whole}
    stated = accelsim.run("gpt-oss-120b", "h100_sxm", phase="decode", batch=1, input_len=7999,
                          dtype="bf16").rows  # fmt: skip
    for row in stated:
        if row.name.endswith("attention.sdpa"):
            order = (local, whole)[int(row.name[0])]
            words = f"kv{order.tile_kv}"
            words += f", keys split {order.split_kv}" if order.split_kv > 1 else ""
            assert re.search(rf"tile q\d+ {words}(,|$)", row.mapping), row.mapping


def test_a_tile_of_rows_is_shared_by_the_heads_of_a_group() -> None:
    orders = _orders()
    row = next(r for r in accelsim.run("smollm2-135m", "h100_sxm", phase="prefill", batch=1,
               input_len=500, dtype="bf16").rows if r.name == "attention.sdpa")  # fmt: skip
    tile = re.search(r"tile q(\d+)", row.mapping)
    assert tile is not None
    assert orders.attention(0, 500, 500).tile_q == -(-int(tile[1]) // 3)  # 9 heads, 3 KV heads


def test_a_batch_of_sentences_is_mapped_beyond_the_positions_of_one() -> None:
    orders = MappedOrders(BERT, load_chip("h100_sxm"), PhaseOptions(dtype="bf16"))
    assert set(_splits(orders, 4000)) == {
        "attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"
    }  # fmt: skip
    assert orders.attention(1, 20, 20).tile_kv > 0
    assert orders.attention(0, 1, 1).tile_kv > 0
    assert orders.warnings == ()


def test_two_chips_cut_differently() -> None:
    found = [(_splits(o, 64), o.attention(0, 64, 64))
             for o in (_orders(chip=chip) for chip in ("h100_sxm", "tpu_v5e"))]  # fmt: skip
    assert found[0] != found[1]


def test_the_same_question_has_the_same_answer() -> None:
    assert _splits(_orders(), 200) == _splits(_orders(), 200)


def test_decode_steps_of_latent_attention_have_the_tiles_of_the_cache() -> None:
    orders = _orders("deepseek-v3")
    found = orders.attention(0, 1, 300)
    assert found != UNFUSED
    assert found.tile_q == 1


def test_chips_without_the_dtype_run_a_wider_one_when_told() -> None:
    config, chip = load_model("smollm2-135m"), load_chip("v100_sxm")
    orders = MappedOrders(config, chip, PhaseOptions(dtype="bf16"), emulate=True)
    _splits(orders, 16)
    assert orders.warnings == ()
    assert orders.attention(0, 16, 16) != AttentionOrder(0, 0, 1)


def test_orders_tell_what_they_were() -> None:
    assert PLAIN.describe() == "k ascending, whole rows of scores"
    orders = _orders()
    assert orders.describe() == ""
    split = orders.matmul("ffn_down", 1, 576, 1536).split_k
    tile = orders.attention(0, 1, 300)
    first, second = orders.describe().split("; ")
    cut = f"k of ffn_down in {split} parts" if split > 1 else "k in one piece"
    assert first == f"1 row: {cut}"
    assert second.startswith(f"attention of decode steps: {tile.tile_q} x {tile.tile_kv}")
