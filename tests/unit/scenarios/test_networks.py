"""A network without tokens on a chip: one phase, its own batch, inferences per second."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import accelsim
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import CapacityError, MappingError, WorkloadError
from accelsim.files import find_data
from accelsim.scenarios.run import run
from accelsim.workload.network_reader import load_network, network_files


def test_the_file_says_the_batch_unless_the_user_does() -> None:
    own, told = run("mlp0", "tpu_v1"), run("mlp0", "tpu_v1", batch=16)
    assert (own.phase, own.batch, own.input_len) == ("forward", 200, 1)
    assert own.tokens_per_s == pytest.approx(200 / own.latency_s)
    assert told.tokens_per_s == pytest.approx(16 / told.latency_s)
    assert own.model_flop == own.flop == 2 * 200 * accelsim.load_network("mlp0").parameters
    assert (own.ttft_s, own.tpot_s) == (None, None)


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v1", "lstm1", "mlp1"])
@pytest.mark.parametrize("chip", ["h100_sxm", "tpu_v1", "teach_systolic_128x128"])
def test_the_roofline_bounds_every_op(network: str, chip: str) -> None:
    dtype = "int8" if chip == "tpu_v1" else "bf16"
    mapped = run(network, chip, batch=4, dtype=dtype)
    bound = run(network, chip, batch=4, dtype=dtype, engine="roofline")
    pairs = zip(mapped.rows, bound.rows, strict=True)
    # Alone: what an op adds to a run is less where others hide it.
    assert all(m.alone_s >= b.latency_s * (1 - 1e-9) for m, b in pairs)
    assert 0 < mapped.mfu < 1
    assert mapped.energy_j > 0


def test_a_dtype_holds_for_weights_too_unless_they_have_their_own() -> None:
    both = run("lstm1", "h100_sxm", dtype="bf16")
    weights = run("lstm1", "h100_sxm", dtype="bf16", weight_dtype="int8")
    assert both.memory["weights_bytes"] == 2 * weights.memory["weights_bytes"]


@pytest.mark.parametrize("dtype", ["bf16", "int8", "w8a16"])
def test_the_page_says_on_which_chips_a_dtype_is_missing(dtype: str) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "networks.md").read_text("utf-8")
    (row,) = re.findall(rf"^\| `{dtype}` \| (.*) \|$", page, flags=re.MULTILINE)
    networks, counts, stand_ins, refusing = (cell.strip() for cell in row.split("|"))
    found = {name for name in network_files() if load_network(name).dtype == dtype}
    assert set(networks.split(", ")) == found
    chips = [accelsim.load_chip(name) for name in find_data("arch_specs/chips", ".yaml")]
    without = [chip for chip in chips if dtype not in chip.dtypes]
    assert counts == f"{len(without)} of {len(chips)}"
    able = [c for c in without if not set(find_dtype(dtype).fallbacks).isdisjoint(c.dtypes)]
    assert {c.compute_dtype(dtype, emulate=True) for c in able} == set(stand_ins.split(", else "))
    unable = sorted(chip.name for chip in without if chip not in able)
    assert ", ".join(unable) == refusing


@pytest.mark.parametrize("network", ["alexnet", "lstm1", "mlp1"])
def test_every_chip_runs_it_emulated_or_in_int8(network: str) -> None:
    for chip in sorted(find_data("arch_specs/chips", ".yaml")):
        try:
            result = run(network, chip, emulate_dtype=True)
        except MappingError as error:
            assert re.search(r"choose a dtype it has: .*int8", str(error))
            assert chip in {"alveo_u280", "edge_tpu", "tpu_v1"}
            result = run(network, chip, dtype="int8")
        assert result.latency_s > 0


def test_weights_of_8_bits_stay_so_in_memory_when_16_bit_floats_multiply() -> None:
    emulated = run("lstm0", "h100_sxm", emulate_dtype=True)
    floats = run("lstm0", "h100_sxm", dtype="fp16")
    assert 2 * emulated.memory["weights_bytes"] == floats.memory["weights_bytes"]
    assert 1 < floats.latency_s / emulated.latency_s < 2


@pytest.mark.parametrize("phase", ["decode", "generate", "train"])
def test_other_phases_are_refused(phase: str) -> None:
    with pytest.raises(WorkloadError, match=f"mlp0 .* has no {phase} phase, only forward"):
        run("mlp0", "tpu_v1", phase=phase)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_len": 8}, "leave input_len out"),
        ({"kv_dtype": "fp8"}, "leave kv_dtype out"),
        ({"tp": 2}, "runs on one device: use tp 1"),
    ],
)
def test_options_about_tokens_and_splits_are_refused(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(WorkloadError, match=words):
        run("resnet50", "dgx_h100", **options)


def test_transformers_have_no_forward_phase() -> None:
    with pytest.raises(WorkloadError, match="unknown phase 'forward'"):
        run("smollm2-135m", "h100_sxm", phase="forward")


def test_a_network_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"mlp0 forward \(batch 200000000\)|does not fit"):
        run("mlp0", "tpu_v1", batch=10**7)
