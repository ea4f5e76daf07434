"""Single published measurements against runs: the signed error is printed, its limit is stated.

Ops of the same study took part in the fit of A100's scalars; the layer did not.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelsim.scenarios.run import run
from accelsim.workload.models import load_model

# Zhang et al., LLMCompass, ISCA 2024, figure 5 and the data beside its code (BSD-3-Clause): one
# layer of GPT-3 175B on four A100-SXM4-80GB over NVLink, fp16, unfused attention, batch 8.
# Every op was timed from the host, and norms and GeLU as compiled functions that cost it 45 us,
# of which `eager` counts 15 to 20; that decides the decode layer, whose 12 ops do little work.
LLMCOMPASS_PREFILL_S = 66.75e-3  # 2048 tokens
LLMCOMPASS_DECODE_S = 1.111e-3  # one token, 3072 in the cache


def layer_s(phase: str, input_len: int) -> float:
    """Time of one layer: GPT-3's table of positions is lengthened, as the measurement did."""
    config = load_model("gpt3-175b")
    longer = replace(config, position=replace(config.position, max_positions=4096))
    result = run(
        longer, "dgx_a100", phase=phase, batch=8, input_len=input_len, tp=4, launch="eager",
        attention="unfused", allow_oversubscribe=True,
    )  # fmt: skip
    layers = [row for row in result.rows if row.block.startswith("layers")]
    return sum(row.latency_s for row in layers)


@pytest.mark.parametrize(
    ("phase", "input_len", "measured_s", "limit"),
    [
        ("prefill", 2048, LLMCOMPASS_PREFILL_S, 0.02),
        ("decode", 3072, LLMCOMPASS_DECODE_S, 0.15),
    ],
)
def test_gpt3_layer_on_four_a100(
    phase: str, input_len: int, measured_s: float, limit: float, record_property
) -> None:
    error = layer_s(phase, input_len) / measured_s - 1
    record_property("signed_error", error)
    print(f"GPT-3 layer {phase}: {error:+.1%} against the measurement")
    assert abs(error) <= limit
