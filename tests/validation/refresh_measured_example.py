"""Invent the times of examples/measured.csv anew: predictions with known scalars, and scatter.

``python -m tests.validation.refresh_measured_example`` after the model has changed; it also writes
the table of scalars that docs/validate.md shows. Read the diff before commit.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from accelsim.arch.loader import load_chip
from accelsim.arch.system import System
from accelsim.cli.console import plain_table
from accelsim.files import write_text
from accelsim.report.accuracy_tables import scalar_table
from accelsim.scenarios.predict import predict
from accelsim.validation.calibrate import calibrate
from accelsim.validation.scalars import with_values

CHECKOUT = Path(__file__).resolve().parents[2]
TABLE = CHECKOUT / "examples" / "measured.csv"
PAGE = CHECKOUT / "docs" / "validate.md"
CHIP = "a100_sxm_80gb"
TRUTH = {"matrix_efficiency": 0.72, "memory_efficiency": 0.70, "kernel_overhead_s": 4e-6}
SCATTER = 0.06
_SEED = 5


def invented() -> pd.DataFrame:
    """Return the ops of the table with times of an A100 that has other scalars."""
    ops = pd.read_csv(TABLE).drop(columns="measured_us")
    system = System.of_chip(with_values(load_chip(CHIP), TRUTH))
    times_us = 1e6 * predict(ops, system)["latency_s"].to_numpy(float)
    times_us *= np.exp(np.random.default_rng(_SEED).normal(0, SCATTER, len(ops)))
    sizes = ["m", "n", "k", "rows", "cols"]
    return ops.astype(dict.fromkeys(sizes, "Int64")).assign(
        measured_us=[f"{time_us:.4g}" for time_us in times_us]
    )


def main() -> None:
    """Write the table and the block of the page."""
    write_text(TABLE, invented().to_csv(index=False, lineterminator="\n"))
    shown = plain_table(scalar_table(calibrate(CHIP, TABLE)))
    page, found = re.subn(
        r"(```text\n)Calibrated scalars of .*?(```)", lambda m: m[1] + shown + m[2],
        PAGE.read_text("utf-8"), flags=re.DOTALL,
    )  # fmt: skip
    if found != 1:
        sys.exit(f"{PAGE} has {found} tables of scalars, expected 1")
    write_text(PAGE, page)


if __name__ == "__main__":
    main()
