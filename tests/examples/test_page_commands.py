"""Do the commands on the pages of the docs print what stands below them?"""

from __future__ import annotations

import pytest

from tests.examples.page_commands import Shown, printed, shown_outputs


@pytest.mark.parametrize("shown", shown_outputs(), ids=str)
def test_the_page_shows_what_the_command_prints(shown: Shown) -> None:
    assert printed(shown.command) == shown.output
