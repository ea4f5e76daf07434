"""What tests of pictures share."""

from __future__ import annotations

from matplotlib.text import Text


def plain(text: Text) -> str:
    """A text of a picture on one line, without the spaces that hold units to their numbers."""
    return text.get_text().replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ")
