"""Are the models the models? Logits beside those of transformers and llama.cpp.

    python -m venv peer && peer/bin/pip install torch transformers gguf llama-cpp-python
    python benchmarks/check_models.py --peer peer/bin/python [--markdown docs/benchmarks.md]

Tiny models with random weights, one of every architecture that is read from files; both sides
compute 160 tokens in fp32, each in its own order of sums. llama.cpp looks GELU up in a table of
fp16 numbers, and so do we here where it is the peer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import replace_section
from numpy.typing import ArrayLike, NDArray

from accelsim import functional
from accelsim.functional import vector
from accelsim.functional.transformer.decoder import DecoderModel

HERE = Path(__file__).resolve().parent
BOUND = 2.0**-14
"""Of a difference over the largest logit: fp32 sums of these lengths in any order."""
BOUND_BY_TABLE = 2.0**-12
"""With GELU by a table: a last bit of fp32 that differs may fall onto another number of fp16."""


def gelu_by_table(x: ArrayLike, fmt: str = "fp32") -> NDArray[np.float32]:
    """Return GELU as ggml has it on a CPU: of numbers within 10 by way of fp16."""
    held = np.asarray(x, np.float32)
    found = vector.gelu_tanh(held.astype(np.float16), fmt).astype(np.float16).astype(np.float32)
    return np.where(held <= -10, 0, np.where(held >= 10, held, found)).astype(np.float32)


def compared(path: Path, ids: list[int]) -> tuple[str, bool]:
    """Return a row of the table, and whether all is well."""
    wanted = np.load(path)
    by_table = path.name.startswith("llama.cpp")
    vector.ACTIVATIONS["gelu_tanh"] = gelu_by_table if by_table else vector.gelu_tanh
    source = path.with_suffix("")
    model = functional.load_weights(source if source.is_dir() else path.with_suffix(".gguf"))
    assert isinstance(model, DecoderModel)
    mlp = model.spec.config.mlp
    by_table = by_table and mlp is not None and mlp.activation == "gelu"
    found = model.logits(ids, "fp32")
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    same = int((found.argmax(axis=1) == wanted.argmax(axis=1)).sum())
    peer, name = path.stem.split(": ", 1)
    return f"| {peer} | {name} | {error:.1e} | {same} of {len(ids)} |", error < (
        BOUND_BY_TABLE if by_table else BOUND
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="python of the peers' environment")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run(
            [options.peer, HERE / "peer_models.py", folder], check=True, capture_output=True
        )
        ids = np.load(folder / "ids.npy").tolist()
        found = [compared(path, ids) for path in sorted(folder.glob("*:*.npy"))]
    rows = "\n".join(row for row, _ in found)
    head = "| peer | model | largest difference / largest logit | same likeliest token |"
    table = f"{head}\n|---|---|---|---|\n{rows}"
    print(table)
    if options.markdown:
        replace_section(options.markdown, "models", table)
    sys.exit(not all(good for _, good in found))


if __name__ == "__main__":
    main()
