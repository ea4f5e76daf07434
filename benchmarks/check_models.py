"""Are the models the models? Logits beside those of transformers and llama.cpp.

    python -m venv peer && peer/bin/pip install torch transformers gguf llama-cpp-python
    python benchmarks/check_models.py --peer peer/bin/python [--markdown docs/benchmarks.md]

Tiny models with random weights, one of every architecture that is read from files; both sides
compute 160 tokens in fp32, each in its own order of sums.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import replace_section

from accelsim import functional

HERE = Path(__file__).resolve().parent
BOUND = 2.0**-14
"""Of a difference over the largest logit: fp32 sums of these lengths in any order."""


def compared(path: Path, ids: list[int]) -> tuple[str, bool]:
    """Return a row of the table, and whether all is well."""
    wanted = np.load(path)
    source = path.with_suffix("")
    model = functional.load_weights(source if source.is_dir() else path.with_suffix(".gguf"))
    found = model.logits(ids, "fp32")
    error = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    same = int((found.argmax(axis=1) == wanted.argmax(axis=1)).sum())
    peer, name = path.stem.split(": ", 1)
    return f"| {peer} | {name} | {error:.1e} | {same} of {len(ids)} |", error < BOUND


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
