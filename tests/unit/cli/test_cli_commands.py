"""Does every command do what its help says, in words for people and JSON for scripts?"""

from __future__ import annotations

import json

import pytest

from accelsim.cli.sweep import design_label
from accelsim.explore.grid import Parameter

RUN_KEYS = {
    "chip", "model", "phase", "engine", "latency_s", "energy_j", "average_power_w", "tokens_per_s",
    "ttft_s", "tpot_s", "memory_bytes", "ops", "sources",
}  # fmt: skip
OP_KEYS = {"name", "kind", "count", "flop", "bytes", "latency_s", "bound", "energy_j"}
SMALL = ("run", "smollm2-135m", "--on", "teach_systolic_128x128", "--input-len", "64")
OPS = "op,dtype,m,n,k\nmatmul,bf16,4096,4096,4096\nmatmul,bf16,1,4096,4096\n"


def test_without_arguments_the_help_is_shown(cli):
    outcome = cli()
    assert outcome.status == 0
    for command in ("run", "predict", "sweep", "list", "show", "schema", "demo"):
        assert command in outcome.out


def test_version(cli):
    import accelsim

    assert cli("--version").out == f"accelsim {accelsim.__version__}\n"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("chips", "h100_sxm"), ("models", "llama3.1-8b"), ("memories", "hbm3_5200"),
        ("systems", "dgx_h100"),
    ],
)  # fmt: skip
def test_list_names_things_in_both_forms(cli, kind, name):
    items = cli("list", kind, "--json", "-").data["items"]
    assert name in {item["name"] for item in items}
    lines = cli("list", kind).out.splitlines()
    assert any(line.split()[0] == name for line in lines[2:])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpu_v5e", "chip"), ("dgx_h100", "system"), ("hbm3_5200", "memory"),
        ("mixtral-8x7b", "model"),
    ],
)  # fmt: skip
def test_show_finds_the_kind_of_a_name(cli, name, kind):
    data = cli("show", name, "--json", "-").data
    assert (data["kind"], data["name"]) == (kind, name)
    assert cli("show", name).status == 0


def test_show_reads_files(cli, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: h100_sxm\nname: mine\ncores: 66\n")
    data = cli("show", "mine.yaml", "--json", "-").data
    assert data["derived"]["peak_flop_per_s"]["bf16"] == pytest.approx(989.4e12 / 2, rel=1e-3)


def test_show_reads_a_model_wherever_run_does(cli, tmp_path):
    config = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "vocab_size": 100,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    }  # fmt: skip
    for folder in ("mine", "gpt2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.yaml").write_text(json.dumps({"name": "mine", "config": config}))
    for path in ("mine", "mine/", "mine/config.json", str(tmp_path / "mine"), "mine.yaml"):
        data = cli("show", path, "--json", "-").data
        assert (data["kind"], data["name"]) == ("model", "mine")
    # A packaged name means the packaged model, whatever lies in the current folder.
    assert cli("show", "gpt2", "--json", "-").data["parameters"] > 100e6


def test_show_tells_the_source_of_every_value(cli):
    text = cli("show", "h100_sxm").out
    for word in ("Calibration in force", "ridge point", "memory.bandwidth", "nv_h100", "estimated"):
        assert word in text


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate", "train"])
@pytest.mark.parametrize("engine", ["event", "analytic", "roofline"])
def test_run_keeps_the_json_contract(cli, phase, engine):
    data = cli(*SMALL, "--phase", phase, "--engine", engine, "--json", "-").data
    assert set(data) >= RUN_KEYS
    assert all(set(op) >= OP_KEYS for op in data["ops"])
    assert data["latency_s"] > 0
    assert data["energy_j"] > 0


def test_run_tells_the_answer_in_words(cli):
    outcome = cli(*SMALL)
    assert outcome.status == 0
    for word in ("latency", "energy", "bottleneck", "limits", "memory per device", "Assumptions"):
        assert word in outcome.out
    assert outcome.err == ""


def test_run_writes_the_files_it_is_asked_for(cli, tmp_path):
    outcome = cli(
        *SMALL, "--plots", "plots", "--report", "r.html", "--trace", "t.json", "--csv", "ops.csv",
        "--json", "out.json",
    )  # fmt: skip
    assert outcome.status == 0
    pictures = {path.stem for path in (tmp_path / "plots").glob("*.png")}
    assert pictures == {"roofline", "latency", "memory", "gantt", "utilisation", "critical_path"}
    assert "</html>" in (tmp_path / "r.html").read_text("utf-8")
    assert json.loads((tmp_path / "t.json").read_text("utf-8"))["traceEvents"]
    assert (tmp_path / "ops.csv").read_text("utf-8").startswith("name,kind,block,stage,count")
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["model"] == "smollm2-135m"
    assert "latency" in outcome.out  # the table is still shown beside a JSON file


def test_engines_that_know_no_time_draw_no_timeline(cli, tmp_path):
    assert cli(*SMALL, "--engine", "analytic", "--plots", "plots").status == 0
    pictures = {path.stem for path in (tmp_path / "plots").glob("*.png")}
    assert pictures == {"roofline", "latency", "memory"}


def test_json_on_stdout_stands_alone(cli):
    outcome = cli(*SMALL, "--json", "-", "--csv", "ops.csv", "--plots", "plots")
    assert outcome.data["model"] == "smollm2-135m"
    assert "ops.csv" in outcome.err


def test_same_command_gives_the_same_bytes(cli):
    assert cli(*SMALL, "--json", "-").out == cli(*SMALL, "--json", "-").out


def test_set_changes_the_spec(cli):
    command = ("run", "llama3.1-8b", "--on", "h100_sxm", "--phase", "decode", "--json", "-")
    before = cli(*command).data
    after = cli(*command, "--set", "memory.bandwidth=6.7 TB/s", "--set", "cores=140").data
    assert 0.4 < after["latency_s"] / before["latency_s"] < 0.9


def test_memory_bank_by_bank(cli):
    """Short rows of many weights: on GDDR6 the banks need longer than long transfers do."""
    run = ("run", "qwen3-8b", "--on", "l4", "--phase", "decode", "--batch", "32", "--json", "-")
    fluid, bank = (cli(*run, "--input-len", "64", "--dram", dram) for dram in ("fluid", "bank"))
    assert fluid.data["latency_s"] < bank.data["latency_s"] < 1.5 * fluid.data["latency_s"]
    told = cli(*run[:-2], "--input-len", "64", "--dram", "bank").out
    assert "bank model runs a sample" in " ".join(told.split())


def test_tensor_parallelism_runs_what_one_chip_cannot_hold(cli):
    data = cli("run", "llama3.1-70b", "--on", "dgx_h100", "--tp", "8", "--json", "-").data
    assert data["devices"] == 8
    assert any(op["bound"] == "network" for op in data["ops"])


def test_predict_appends_its_columns(cli, tmp_path):
    (tmp_path / "ops.csv").write_text(OPS)
    outcome = cli("predict", "ops.csv", "--on", "h100_sxm", "-o", "out.csv")
    assert outcome.status == 0
    head, *rows = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert head.startswith("op,dtype,m,n,k,")
    assert {"latency_s", "energy_j", "bound", "flop", "dram_bytes"} <= set(head.split(","))
    assert len(rows) == 2


def test_predict_json_holds_the_rows(cli, tmp_path):
    (tmp_path / "ops.csv").write_text(OPS)
    data = cli("predict", "ops.csv", "--on", "h100_sxm", "--json", "-").data
    assert data["rows"] == 2
    assert data["ops"][0]["flop"] == 2 * 4096**3
    assert data["latency_s"] == pytest.approx(sum(op["latency_s"] for op in data["ops"]))


def test_eager_launch_pays_the_host(cli, tmp_path):
    (tmp_path / "ops.csv").write_text(OPS)
    command = ("predict", "ops.csv", "--on", "h100_sxm", "--json", "-", "--launch")
    totals = [cli(*command, way).data["latency_s"] for way in ("graph", "eager", "compiled")]
    assert totals[0] < totals[1] <= totals[2]


@pytest.mark.parametrize("kind", ["chip", "system", "memory", "sweep"])
def test_schema_describes_every_kind_of_file(cli, kind, tmp_path):
    schema = cli("schema", kind).data
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]
    assert cli("schema", kind, "--json", "s.json").out == ""
    assert json.loads((tmp_path / "s.json").read_text("utf-8")) == schema


def test_schema_of_ops_names_every_column_and_what_ops_need(cli):
    schema = cli("schema", "ops").data
    assert schema["columns"]["bytes"] == {
        "type": "integer", "minimum": 1, "maximum": 2**40, "unit": "B"
    }  # fmt: skip
    assert "bf16" in schema["columns"]["dtype"]["enum"]
    assert schema["columns"]["causal"] == {"type": "boolean"}
    assert schema["ops"]["matmul"]["required"] == ["m", "n", "k"]
    assert schema["ops"]["attention"]["optional"]["kv_len"] == "q_len"
    assert schema["aliases"] == {"gemm": "matmul"}


def test_predict_changes_a_value_of_the_spec(cli, tmp_path):
    (tmp_path / "ops.csv").write_text("op,m,n,k\nmatmul,8192,8192,8192\n")
    command = ("predict", "ops.csv", "--on", "h100_sxm", "--json", "-")
    usual = cli(*command).data["latency_s"]
    assert cli(*command, "--set", "clock=900 MHz").data["latency_s"] > 1.5 * usual


def test_predict_help_says_where_the_columns_are_explained(cli):
    text = cli("predict", "--help").out
    for place in ("docs/predict.md", "accelsim schema ops", "examples/ops.csv"):
        assert place in text


def test_design_labels_name_what_was_varied():
    parameters = [
        Parameter("batch", (1, 16)),
        Parameter("memory.bandwidth", ("2 TB/s", "8 TB/s")),
        Parameter("cores", (66, 264)),
        Parameter("dtype", ("bf16", "fp8")),
        Parameter("kv_dtype", ("bf16", "fp8")),
        Parameter("emulate_dtype", (False, True)),
        Parameter("phase", ("decode",)),
    ]
    row = {
        "batch": 16, "memory.bandwidth": "8 TB/s", "cores": 264, "dtype": "fp8",
        "kv_dtype": "bf16", "emulate_dtype": True, "phase": "decode",
    }  # fmt: skip
    assert design_label(parameters, row) == (
        "batch 16, 8 TB/s, cores 264, dtype fp8, kv_dtype bf16, emulate_dtype true"
    )


def test_sweep_table_is_written_as_that_of_a_run(cli, tmp_path):
    (tmp_path / "space.yaml").write_text(
        "base: {chip: h100_sxm, model: smollm2-135m, phase: decode, input_len: 64}\n"
        "parameters: {batch: {values: [1, 256]}}\n"
        "objectives: [latency_s, tokens_per_s, mfu, energy_j, memory_bytes]\n"
    )
    outcome = cli("sweep", "space.yaml", "-o", "out")
    header = "batch  latency  tokens/s  compute used (MFU)  energy  memory per device"
    assert outcome.out.splitlines()[1].split() == header.split()
    for unit in ("ms", "%", "J", "MB"):
        assert unit in outcome.out
    assert "e+" not in outcome.out


def test_sweep_leaves_parquet_and_a_picture(cli, tmp_path):
    (tmp_path / "space.yaml").write_text(
        "base: {chip: teach_systolic_16x16, model: smollm2-135m, phase: decode, input_len: 64}\n"
        "parameters: {batch: {values: [1, 2, 4]}, memory.bandwidth: {values: [25 GB/s, 50 GB/s]}}\n"
        "objectives: [latency_s, energy_j]\n"
    )
    data = cli("sweep", "space.yaml", "-o", "out", "--json", "-").data
    assert data["points"] == 6
    assert 1 <= len(data["pareto"]) <= 6
    assert list((tmp_path / "out" / "results").glob("*.parquet"))
    assert (tmp_path / "out" / "pareto.png").stat().st_size > 1000
    assert "beaten by no other" in cli("sweep", "space.yaml", "-o", "out").out


def test_demo_writes_pictures_and_a_summary(cli, tmp_path):
    outcome = cli("demo", "--out", "shown", "--json", "demo.json")
    assert outcome.status == 0
    assert "What you see" in outcome.out
    data = json.loads((tmp_path / "demo.json").read_text("utf-8"))
    assert {run["chip"] for run in data["runs"]} == {
        "h100_sxm", "tpu_v5e", "teach_systolic_128x128"
    }  # fmt: skip
    assert all(run["memory_bytes"] <= run["memory_capacity_bytes"] for run in data["runs"])
    names = {path.name for path in (tmp_path / "shown").iterdir()}
    assert {"summary.md", "summary.json", "llama3.1-8b-latency.png"} <= names
    summary = (tmp_path / "shown" / "summary.md").read_text("utf-8")
    assert all(f"({name})" in summary for name in names if name.endswith(".png"))
