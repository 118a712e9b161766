"""A panel and a loader that several files here drive."""

from __future__ import annotations

import pytest

from ptycho_gui.scan.data_panel import DataPanel
from ptycho_gui.scan.scan_loader import ScanLoader


@pytest.fixture
def panel(put_up):
    """A `DataPanel`."""
    return put_up(DataPanel(), 860, 480)


@pytest.fixture
def loader(qtbot):
    """A `ScanLoader`, whose work ends with the test."""
    loader = ScanLoader()
    yield loader
    loader.shut_down()
