"""Plain-English texts that come with the package: for perplexity, and for calibration."""

from __future__ import annotations

from accelsim.errors import WorkloadError, suggest
from accelsim.files import find_data

FOLDER = "workloads/texts"


def packaged_text(name: str) -> str:
    """Return a text by name.

    Parameters
    ----------
    name : str
        ``"evaluation"`` (computer architecture and its history) or ``"calibration"`` (many small
        pieces of different kinds); or one of your own, ``workloads/texts/NAME.txt`` in a folder
        of ACCELSIM_PATH.

    Raises
    ------
    WorkloadError
        If there is no such text, or it is not UTF-8.
    """
    found = find_data(FOLDER, ".txt")
    if name not in found:
        raise WorkloadError(f"unknown text '{name}': {suggest(name, found)}")
    try:
        return found[name].read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkloadError(f"cannot read {found[name]}: {error}") from None
