"""A panel that two of the files here drive."""

from __future__ import annotations

import pytest

from ptycho_gui.scan.data_panel import DataPanel


@pytest.fixture
def panel(qtbot):
    """A `DataPanel`."""
    panel = DataPanel()
    qtbot.addWidget(panel)
    panel.resize(860, 480)
    panel.show()
    yield panel
    panel.shut_down()
