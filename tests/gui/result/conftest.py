"""The object panel, and when it shows what it was given."""

from __future__ import annotations

import pytest

from ptycho_gui.result.object_panel import ObjectPanel


@pytest.fixture
def panel(put_up):
    """An `ObjectPanel` with all buttons in one row."""
    return put_up(ObjectPanel(), 1100, 480)


@pytest.fixture
def settle(qtbot, qapp, panel):
    """Wait until the panel shows what has this in its title."""

    def settle(title: str) -> None:
        qtbot.waitUntil(lambda: title in panel.title.text() and not panel.jobs.busy and panel.pictures.settled)
        qapp.processEvents()  # what became visible gets its size

    return settle
