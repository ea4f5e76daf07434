"""Write docs/accuracy.md anew: ``python -m tests.validation.refresh_accuracy [DATA]``.

DATA is a folder of extracts (``../shared/reference/silicon`` where it lies beside the checkout);
the extra [silicon] is compared too where it is installed. `make accuracy` does this.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from accelsim.arch.loader import load_chip, spec_files
from accelsim.arch.system import System
from accelsim.documents import read_yaml
from accelsim.errors import WorkloadError
from accelsim.files import write_text
from accelsim.report.accuracy_figures import accuracy_figures
from accelsim.report.accuracy_tables import class_table, left_out_table, shape_words, size_table
from accelsim.report.tables import Column, Table, to_markdown
from accelsim.report.words import percent
from accelsim.results.accuracy import ValidationResult, error_summary
from accelsim.units import format_si
from accelsim.validation.compare import compare
from accelsim.validation.devices import fitted_scalars
from accelsim.validation.folder import read_folder
from accelsim.validation.silicon import SUITES, silicon_folder
from accelsim.validation.validate import validate
from tests.validation.ablations import ABLATIONS

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "accuracy.md"
IMAGES = CHECKOUT / "docs" / "images"
REASONS = Path(__file__).with_name("accuracy_reasons.yaml")
USUAL_DATA = CHECKOUT.parent / "shared" / "reference" / "silicon"
WORST = 10
ABLATION_ROWS = 300
UNKNOWN_REASON = "Not looked at yet."

HEAD = """# Accuracy

Written by `make accuracy` on {date} UTC; {versions}. How to read the columns, add data of your own and fit a chip to them: [validate](validate.md). The model: [model](model.md).

Errors are predicted / measured - 1. MAPE, median and p90 are of their magnitude, bias is the mean with its sign; *roofline* is the same of peak rates and compulsory traffic alone. *fitted* says whether scalars of that chip were fitted to measured kernels of that chip (the table below says which and to what); rows of a fitted chip are mostly those it was fitted to. The others run on the defaults of their family, so their rows test the physics. Collectives have no scalar: theirs test the network model, which is far too fast below a few MiB.
"""  # noqa: E501  (a paragraph of a page is one line)


FITTED = """## What was fitted, and to what

Scalars of the packaged chips whose note in the spec says so (`accelsim show CHIP` prints all in force). Everything else is a datasheet value, a default of the family, or a constant of the model that is the same for all chips; those constants were fitted to kernels of A100, H100, V100, A40 and MI210 ([model](model.md) lists them, their code says to what). Of devices kept aside no time was fitted. Some were looked at: that grouped-query decode was bound by bytes in flight was seen on H200 and B200 (H100 alone cannot tell 14 KiB from 25 KiB; the constants were then fitted to H100's rows again), and which kernels TensorRT-LLM launches beside decode on Blackwell was read in its code after B200's floor was seen. `--launch compiled` has two constants from one study, whose GeLU, norms and decode layer are therefore no test.

The folder of extracts holds kernels that others measured and published: TensorRT-LLM and vLLM on A100 and H100 (NVIDIA aiconfigurator 095f58a), eager fp32 ops of PyTorch (NeuSight, ASPLOS 2025), layers of Vidur (MLSys 2024) and LLMCompass (ISCA 2024), A100_80GB_VIDUR and A100 being A100 SXM 80 GB. The extra `[silicon]` is the data of aiconfigurator's package.

"""  # noqa: E501


def page(data: Path | None, images: Path) -> str:
    """Compare everything at hand and return the page; pictures go to `images`."""
    published = _validated(None)
    parts = [HEAD, FITTED + to_markdown(fitted_table()) + "\n"]
    results = [("Figures that come with the package", published)]
    if data is not None:
        results.append(("Measured kernels, folder of extracts", _validated(data)))
    if silicon_folder() is not None:
        results.append(("Measured kernels, the extra [silicon]", _silicon()))
    parts += [_section(title, result) for title, result in results]
    largest = max((result for _, result in results), key=lambda result: len(result.rows))
    made = accuracy_figures(largest, images)
    parts.append(_pictures(made))
    parts += [_worst(title, result) for title, result in results]
    if data is not None:
        parts += [_peer(data), _ablations(data)]
    versions = ", ".join(f"{name} {text}" for name, text in largest.versions.items())
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return "\n".join(part for part in parts if part).format_map(
        _Words(date=date, versions=versions)
    )


class _Words(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"


def fitted_table() -> Table:
    """List every scalar that was fitted to kernels of its chip."""
    rows = []
    for name in spec_files("chip"):
        chip = load_chip(name)
        fitted = {f"calibration.{scalar.removesuffix('_s')}" for scalar in fitted_scalars(chip)}
        rows += [
            (name, row.path.removeprefix("calibration."), row.text, row.note)
            for row in chip.provenance
            if row.path in fitted
        ]
    columns = (Column("chip"), Column("scalar"), Column("value", right=True), Column("note"))
    return Table("", columns, tuple(rows))


def _validated(data: Path | None) -> ValidationResult:
    if data is not None:
        return validate(data=data, rows=0)
    return validate("published")


def _silicon() -> ValidationResult:
    return validate(*SUITES)


def _section(title: str, result: ValidationResult) -> str:
    lines = [f"## {title}", "", f"{len(result.rows):,} ops.", ""]
    tables = [class_table(result), size_table(result)]
    if len(result.left_out):
        tables.append(left_out_table(result.left_out))
    return "\n".join(lines) + "\n" + "\n".join(map(to_markdown, tables))


def _pictures(paths: tuple[Path, ...]) -> str:
    alts = ("predicted over measured time, one panel per class", "error over measured time")
    return "\n".join(
        f"![{alt}](images/{path.name})\n" for alt, path in zip(alts, paths, strict=True)
    )


def _worst(title: str, result: ValidationResult) -> str:
    """The worst rows of each class, and why."""
    reasons = read_reasons()
    frame = result.worst(WORST)
    blocks = [f"## Worst rows: {title[0].lower()}{title[1:]}\n"]
    for suite in result.suites:
        rows = tuple(
            (
                row["device"], row["dtype"], shape_words(row), format_si(row["measured_s"], "s"),
                format_si(row["predicted_s"], "s"), f"{100 * row['error']:+.0f} %", row["bound"],
            )
            for row in frame[frame["suite"] == suite].to_dict("records")
        )  # fmt: skip
        columns = (
            Column("device"), Column("dtype"), Column("op"), Column("measured", right=True),
            Column("predicted", right=True), Column("error", right=True), Column("bound"),
        )  # fmt: skip
        why = reasons.get(suite, UNKNOWN_REASON)
        blocks.append(f"**{suite}**: {why}\n\n{to_markdown(Table('', columns, rows))}")
    return "\n".join(blocks)


def read_reasons() -> Mapping[str, str]:
    """Hand-written reasons by class."""
    tree = read_yaml(REASONS, WorkloadError).tree
    return {str(key): " ".join(str(text).split()) for key, text in tree.items()}


PEER_CLASSES = ("matmul", "softmax", "layernorm", "gelu")


def _peer(data: Path) -> str:
    """LLMCompass's own predictions on the rows it was published with, beside ours."""
    path = data.parent / "llmcompass" / "peer_predictions.csv"
    if not path.exists():
        return ""
    peer = pd.read_csv(path)
    ours = validate("llmcompass", data=data, rows=0).rows
    rows = []
    for op in PEER_CLASSES:
        theirs = peer[peer["op"] == op]
        own = ours[ours["suite"] == f"llmcompass_{op}"]
        rows.append((
            op, str(len(own)), _errors(own["predicted_s"], own["measured_s"]),
            _errors(theirs["predicted_s"], theirs["measured_s"]),
            _errors(theirs["roofline_s"], theirs["measured_s"]),
        ))  # fmt: skip
    layers = validate("published_layers").rows
    totals = peer[peer["component"] == "TOTAL"].set_index("op")
    for row in layers.to_dict("records"):
        phase = str(row["op"]).split()[-1]
        total = totals.loc[f"transformer_{phase}"]
        rows.append((
            f"GPT-3 layer, {phase}", "1", f"{100 * row['error']:+.1f} %",
            f"{100 * (total['predicted_s'] / total['measured_s'] - 1):+.1f} %",
            f"{100 * (total['roofline_s'] / total['measured_s'] - 1):+.1f} %",
        ))  # fmt: skip
    columns = (
        Column("A100"), Column("rows", right=True), Column("accelsim", right=True),
        Column("LLMCompass", right=True), Column("its roofline", right=True),
    )  # fmt: skip
    words = (
        "## Beside LLMCompass\n\nOn the ops of its own validation (Zhang et al., ISCA 2024; code "
        "and data BSD-3-Clause, PrincetonUniversity/LLMCompass@2e015fd): mean and median "
        "magnitude of the error; for a whole layer the signed error. Its roofline has its measured "
        "overheads added.\n"
    )
    return f"{words}\n{to_markdown(Table('', columns, tuple(rows)))}"


def _errors(predicted_s: pd.Series, measured_s: pd.Series) -> str:
    found = error_summary(predicted_s.to_numpy(float), measured_s.to_numpy(float))
    return f"{percent(found['mape'])} / {percent(found['median'])}"


def _ablations(data: Path) -> str:
    """Mean error of each class with one mechanism off at a time."""
    measured = read_folder(data).of_single_chips().limited(ABLATION_ROWS)
    chips = {name: load_chip(name) for name in dict.fromkeys(measured.frame["chip"])}
    variants: Iterator[tuple[str, dict[str, System]]] = (
        (one.words, {name: System.of_chip(one.change(chip)) for name, chip in chips.items()})
        for one in ABLATIONS.values()
    )
    whole, _ = compare(measured)
    suites = list(dict.fromkeys(whole["suite"]))
    lines = [("the whole model", *(_mape(whole, suite) for suite in suites))]
    for words, systems in variants:
        frame, _ = compare(measured, systems)
        lines.append((words, *(_mape(frame, suite) for suite in suites)))
    columns = (Column("switched off"), *(Column(s.replace("_", " "), right=True) for s in suites))
    words = (
        "## Ablations\n\nMAPE with one mechanism switched off at a time, on at most "
        f"{ABLATION_ROWS} rows of each class, device and dtype. Where an error falls, another "
        "part of the model is too slow for that class.\n"
    )
    return f"{words}\n{to_markdown(Table('', columns, tuple(lines)))}"


def _mape(frame: pd.DataFrame, suite: str) -> str:
    rows = frame[frame["suite"] == suite]
    error = rows["predicted_s"].to_numpy(float) / rows["measured_s"].to_numpy(float) - 1
    return percent(float(np.abs(error).mean()))


def main() -> None:
    """Write the page and its pictures."""
    asked = Path(sys.argv[1]) if len(sys.argv) > 1 else USUAL_DATA
    if len(sys.argv) > 1 and not asked.is_dir():
        sys.exit(f"{asked} is no folder of measurements")
    write_text(PAGE, page(asked if asked.is_dir() else None, IMAGES))
    sys.stdout.write(f"{PAGE} written\n")


if __name__ == "__main__":
    main()
