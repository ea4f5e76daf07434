"""The exceptions of accelsim: one base class, one subclass per kind of mistake.

Every message says what was wrong, what was got, what the limit is, where, and what to try.
The command line turns any of them into one paragraph on stderr and exit status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AccelsimError(Exception):
    """Base class of every error that a user can cause or cure."""


class SpecError(AccelsimError):
    """A chip, system, memory or sweep specification is malformed or contradicts itself."""


class WorkloadError(AccelsimError):
    """A model configuration, phase or op list is malformed or unknown."""


class MappingError(AccelsimError):
    """An op cannot be mapped onto the chip (unsupported dtype, no legal tile, bad split)."""


class CapacityError(MappingError):
    """The model does not fit the memory of the devices it is mapped onto."""


class SimulationError(AccelsimError):
    """A simulation reached a state that its model does not allow."""


def suggest(word: str, known: Iterable[str], limit: int = 3) -> str:
    """Return a clause that names the known words nearest to `word`, or the whole short list.

    Parameters
    ----------
    word : str
        What the user typed.
    known : iterable of str
        The words that would have been accepted.
    limit : int
        How many near words to name at most.

    Returns
    -------
    str
        For example ``"did you mean 'h100_sxm' or 'h100_pcie'?"``; never empty.
    """
    words = sorted(set(known))
    folded = {w.lower(): w for w in words}
    typed = word.lower()
    longer = [w for w in folded if typed and w.startswith(typed)]
    close = difflib.get_close_matches(typed, list(folded), n=limit, cutoff=0.5)
    near = list(dict.fromkeys([*longer, *close]))[:limit]
    if near:
        return "did you mean " + " or ".join(f"'{folded[w]}'" for w in near) + "?"
    if not words:
        return "none is known"
    shown = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"known: {shown}"
