"""Fixtures that start whole programs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.helpers.desktop import Desktop, missing_tools


@pytest.fixture
def desktop(request):
    """A screen with a window manager; PTYCHO_REQUIRE_REAL_SCAN turns the absence of its tools into a failure."""
    if why := missing_tools():
        if os.environ.get("PTYCHO_REQUIRE_REAL_SCAN"):
            pytest.fail(why)
        pytest.skip(why)
    root = Path(os.environ.get("PTYCHO_ARTEFACTS", Path(__file__).parents[1] / "artefacts"))
    desktop = Desktop(root / re.sub(r"\W+", "-", request.node.name))
    yield desktop
    desktop.close()
