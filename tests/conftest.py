"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_scan_path() -> Path:
    """The measured Siemens star, where it is at hand; PTYCHO_REQUIRE_REAL_SCAN turns its absence into a failure."""
    path = (Path(__file__).parents[1] / "../shared/data/siemens-star.npz").resolve()
    if not path.exists():
        message = f"the measured scan is not at {path}"
        if os.environ.get("PTYCHO_REQUIRE_REAL_SCAN"):
            pytest.fail(message)
        pytest.skip(message)
    return path
