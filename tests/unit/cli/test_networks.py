"""Do networks without tokens go through the same commands as Transformers?"""

from __future__ import annotations

import json


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


def test_phases_with_tokens_are_refused_in_one_sentence(cli):
    outcome = cli("run", "mlp0", "--on", "tpu_v1", "--phase", "decode")
    assert outcome.status == 2
    assert "it has no decode phase, only forward" in outcome.err
