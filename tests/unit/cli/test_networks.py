"""Do networks without tokens go through the same commands as Transformers?"""

from __future__ import annotations

import json

import pytest


def test_networks_are_listed_shown_and_run(cli):
    listed = json.loads(cli("list", "models", "--json", "-").out)["items"]
    assert {"resnet50", "mlp0", "llama3.1-8b"} <= {item["name"] for item in listed}
    shown = cli("show", "alexnet")
    assert "61,100,840" in shown.out
    outcome = cli("run", "mlp0", "--on", "tpu_v1")
    assert outcome.status == 0
    assert "inferences/s" in outcome.out
    result = json.loads(cli("run", "mlp0", "--on", "tpu_v1", "--batch", "8", "--json", "-").out)
    assert (result["phase"], result["batch"]) == ("forward", 8)


def test_a_file_of_the_user_is_shown_and_run(cli, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "kind: network\ninput: {features: 64}\nlayers:\n  - {name: a, type: fc, out: 8}\n"
    )
    assert "512" in cli("show", str(path)).out
    assert cli("run", str(path), "--on", "h100_sxm").status == 0


def test_a_file_of_the_user_is_refused_in_one_sentence(cli, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: netwrok\ninput: {features: 64}\nlayers: []\n")
    outcome = cli("run", str(path), "--on", "h100_sxm")
    assert outcome.status == 2
    assert f"{path}:1: kind: got 'netwrok', expected 'network'" in outcome.err


@pytest.mark.parametrize("place", range(12))
def test_no_text_of_a_file_steers_the_terminal(cli, tmp_path, place):
    words = ["kind", "network", "name", "n", "input", "features", "64", "layers", "type", "fc"]
    words += ["out", "8"]
    words[place] = r'"\e[2J"'
    head = "{}: {}\n{}: {}\n{}: {{{}: {}}}\n{}: [{{name: a, {}: {}, {}: {}}}]\n".format(*words)
    path = tmp_path / "mine.yaml"
    path.write_text(head)
    outcome = cli("show", str(path))
    assert outcome.status == 2
    assert "\x1b" not in outcome.out + outcome.err


def test_a_chip_without_the_dtype_names_the_nearest(cli):
    outcome = cli("run", "lstm0", "--on", "h100_sxm")
    assert outcome.status == 2
    assert "it would run as fp16: pass --emulate-dtype" in outcome.err
    outcome = cli("run", "lstm0", "--on", "h100_sxm", "--emulate-dtype")
    assert outcome.status == 0
    assert "w8a16 matmuls are emulated in fp16" in outcome.out


def test_phases_with_tokens_are_refused_in_one_sentence(cli):
    outcome = cli("run", "mlp0", "--on", "tpu_v1", "--phase", "decode")
    assert outcome.status == 2
    assert "it has no decode phase, only forward" in outcome.err
