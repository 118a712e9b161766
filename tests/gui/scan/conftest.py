"""A panel that two of the files here drive."""

from __future__ import annotations

import pytest

from ptycho_gui.scan.data_panel import DataPanel


@pytest.fixture
def panel(put_up):
    """A `DataPanel`."""
    return put_up(DataPanel(), 860, 480)
