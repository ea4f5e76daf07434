"""Do the commands on the pages of the docs print what stands below them?"""

from __future__ import annotations

import pytest

from tests.examples.page_commands import Shown, lacks_weights, printed, shown_outputs


@pytest.mark.parametrize("shown", shown_outputs(), ids=str)
def test_the_page_shows_what_the_command_prints(shown: Shown) -> None:
    if lacks_weights(shown.command):
        pytest.skip("no weights installed: pip install 'accelsim[numerics]'")
    assert printed(shown.command) == shown.output
