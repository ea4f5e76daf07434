"""Is every mistake one paragraph on stderr, exit status 2, and nothing half written?"""

from __future__ import annotations

import pytest

import accelsim.cli.schema
import accelsim.explore.sweep
from accelsim.cli import main as cli_main
from accelsim.cli.console import ReaderGoneError

RUN = ("run", "llama3.1-8b", "--on", "h100_sxm")
FILES = {
    "broken.json": '{"model_type": "llama",',
    "alien.json": '{"model_type": "quantum_llama", "hidden_size": 10}',
    "nan.csv": "op,dtype,m,n,k\nmatmul,bf16,nan,1,1\n",
    "zero.csv": "op,dtype,m,n,k\nmatmul,bf16,0,5,5\n",
    "word.csv": "op,dtype,m,n,k\nmatmull,bf16,5,5,5\n",
    "semicolons.csv": "op;m;n;k\nmatmul;5;5;5\n",
    "hot.yaml": "extends: h100_sxm\nname: hot\npower: {tdp: 60 W}\n",
    "unit.yaml": "extends: h100_sxm\nname: x\nmemory: {bandwidth: 3.35 TiB}\n",
    "code.yaml": "!!python/object/apply:os.system ['touch pwned']\n",
    "tabs.yaml": "name: x\n\tcores: 3\n",
    "space.yaml": "base: {chip: h100_sxm, model: gpt2}\nparameters: {bacth: {values: [1]}}\n"
    "objectives: [latency_s]\n",
}
MISTAKES = {
    "no such command": (("rnu",), ("run",)),
    "unknown option": ((*RUN, "--phse", "decode"), ("--phase",)),
    "missing option": (("run", "llama3.1-8b"), ("--on",)),
    "missing argument": (("list",), ("chips",)),
    "unknown kind": (("list", "chip"), ("chips",)),
    "text for a number": ((*RUN, "--batch", "many"), ("--batch", "integer")),
    "negative batch": ((*RUN, "--batch", "-1"), ("batch", "-1")),
    "zero length": ((*RUN, "--input-len", "0"), ("input_len",)),
    "unknown chip": (("run", "llama3.1-8b", "--on", "h10_sxm"), ("h100_sxm",)),
    "unknown model": (("run", "lama3.1-8b", "--on", "h100_sxm"), ("llama3.1-8b",)),
    "unknown phase": ((*RUN, "--phase", "prefil"), ("prefill",)),
    "unknown engine": ((*RUN, "--engine", "analitic"), ("analytic",)),
    "unknown dtype": ((*RUN, "--dtype", "bf17"), ("bf16",)),
    "unknown name to show": (("show", "h100"), ("h100_sxm",)),
    "dtype the chip lacks": (
        ("run", "gpt2", "--on", "a100_sxm_80gb", "--dtype", "fp8"),
        ("--emulate-dtype",),
    ),
    "banks without events": (
        (*RUN, "--dram", "bank", "--engine", "analytic"),
        ("event", "fluid"),
    ),
    "what-if without events": (
        (*RUN, "--what-if", "--engine", "analytic"),
        ("--what-if (what_if) needs the event engine", "leave it out"),
    ),
    "two options without events": (
        (*RUN, "--every-chip", "--buffers", "1", "--engine", "roofline"),
        ("--every-chip (every_chip) and --buffers need the event engine", "leave them out"),
    ),
    "unknown dram": ((*RUN, "--dram", "banks"), ("bank",)),
    "no banks": (
        ("run", "gpt2", "--on", "wse3", "--dram", "bank", "--dtype", "fp16"),
        ("wse3", "--dram fluid"),
    ),
    "does not fit": (("run", "llama3.1-405b", "--on", "t4"), ("GB",)),
    "too many devices": ((*RUN, "--tp", "2"), ("--tp 2",)),
    "pipeline not built": ((*RUN, "--pp", "2"), ("--pp 2", "not built yet")),
    "experts not built": ((*RUN, "--ep", "0"), ("--ep 0",)),
    "set without value": ((*RUN, "--set", "memory.bandwidth"), ("PATH=VALUE",)),
    "set twice": ((*RUN, "--set", "cores=1", "--set", "cores=2"), ("twice",)),
    "set unknown path": ((*RUN, "--set", "memery.bandwidth=4 TB/s"), ("memory",)),
    "set wrong unit": ((*RUN, "--set", "memory.bandwidth=4 TiB"), ("bandwidth",)),
    "set not finite": ((*RUN, "--set", "cores=NaN"), ("cores",)),
    "missing file": (("run", "nope.json", "--on", "h100_sxm"), ("nope.json",)),
    "broken json": (("run", "broken.json", "--on", "h100_sxm"), ("broken.json:1",)),
    "unknown architecture": (("run", "alien.json", "--on", "h100_sxm"), ("quantum_llama",)),
    "wrong unit": (("run", "gpt2", "--on", "unit.yaml"), ("unit.yaml:3", "size")),
    "code in yaml": (("run", "gpt2", "--on", "code.yaml"), ("code.yaml:1", "tag")),
    "tabs in yaml": (("show", "tabs.yaml"), ("tabs.yaml:2",)),
    "semicolons": (("predict", "semicolons.csv", "--on", "h100_sxm"), ("separated", "commas")),
    "idle above tdp": (("show", "hot.yaml"), ("idle 72 W", "tdp 60 W")),
    "nan row": (("predict", "nan.csv", "--on", "h100_sxm", "-o", "o.csv"), ("nan.csv:2",)),
    "zero size": (("predict", "zero.csv", "--on", "h100_sxm", "-o", "o.csv"), ("zero.csv:2",)),
    "unknown op": (("predict", "word.csv", "--on", "h100_sxm", "-o", "o.csv"), ("matmul",)),
    "unknown launch": (("predict", "ok.csv", "--on", "h100_sxm", "--launch", "x"), ()),
    "unknown sweep key": (("sweep", "space.yaml", "-o", "out"), ("space.yaml:2", "batch")),
    "missing sweep file": (("sweep", "nope.yaml", "-o", "out"), ("nope.yaml",)),
    "unwritable target": ((*RUN, "--json", "/proc/nope/out.json"), ("/proc/nope",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_one_paragraph_and_status_2(cli, mistake, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    arguments, says = MISTAKES[mistake]
    outcome = cli(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    for word in says:
        assert word in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def _fail(error: BaseException):
    def write_json(*_: object) -> None:
        raise error

    return write_json


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (RuntimeError("odd state"), 1, "a defect in accelsim: RuntimeError: odd state"),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), 2, "error: x.csv: No such"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ReaderGoneError(), 141, ""),
    ],
)
def test_other_exceptions_become_a_status_and_a_line(cli, monkeypatch, error, status, says):
    monkeypatch.setattr(accelsim.cli.schema, "write_json", _fail(error))
    monkeypatch.setattr(cli_main, "_silence_stdout", lambda: None)  # stdout is the test's own
    outcome = cli("schema", "chip")
    assert outcome.status == status
    assert says in outcome.err
    assert outcome.err.count("\n") <= 1


def test_interrupted_sweep_says_how_to_go_on(cli, monkeypatch, tmp_path):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(accelsim.explore.sweep, "sweep", interrupted)
    text = FILES["space.yaml"].replace("bacth", "batch")
    (tmp_path / "space.yaml").write_text(text)
    outcome = cli("sweep", "space.yaml", "-o", "kept")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (130, "", 1)
    assert "kept in kept" in outcome.err
    assert "--resume" in outcome.err


def test_debug_variable_shows_the_traceback(cli, monkeypatch):
    monkeypatch.setattr(accelsim.cli.schema, "write_json", _fail(RuntimeError("odd state")))
    monkeypatch.setenv("ACCELSIM_DEBUG", "1")
    with pytest.raises(RuntimeError, match="odd state"):
        cli("schema", "chip")


def test_one_bad_user_file_does_not_hide_the_list(cli, monkeypatch, tmp_path):
    folder = tmp_path / "mine" / "arch_specs" / "chips"
    folder.mkdir(parents=True)
    (folder / "bad.yaml").write_text("cores: many\n")
    monkeypatch.setenv("ACCELSIM_PATH", str(tmp_path / "mine"))
    outcome = cli("list", "chips", "--json", "-")
    items = {item["name"]: item for item in outcome.data["items"]}
    assert "h100_sxm" in items
    assert "error" in items["bad"]
    assert "bad.yaml" in outcome.err
