"""Do the commands and the script of the README's pages run as they are printed?"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from accelsim.cli.main import run_cli
from tests.examples.page_commands import lacks_weights

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line
    for kind, text in BLOCKS
    if kind in ("", "sh", "console")
    for line in text.splitlines()
    if line.startswith("accelsim ")
]
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 256,
    "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's commands name."""
    config = tmp_path / "path" / "to" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(CONFIG))
    (tmp_path / "ops.csv").write_text("op,dtype,m,n,k\nmatmul,bf16,512,512,512\n")
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    for kind, text in BLOCKS:
        if kind == "yaml":
            name = re.search(r"^name: (\S+)$", text, flags=re.MULTILINE)
            assert name is not None
            (tmp_path / f"{name[1]}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_has_commands():
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_readme_runs(command, newcomer, capsys):
    if lacks_weights(command):
        pytest.skip("no weights installed: pip install 'accelsim[numerics]'")
    assert run_cli(shlex.split(command, comments=True)[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("script", [text for kind, text in BLOCKS if kind == "python"])
def test_script_of_the_readme_runs(script, newcomer, capsys):
    exec(compile(script, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_next_steps_of_the_demo_run(newcomer, capsys):
    from accelsim.report.demo import NEXT_STEPS

    for command in NEXT_STEPS:
        assert run_cli(shlex.split(command)[1:]) == 0, capsys.readouterr().err
