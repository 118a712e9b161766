"""Runs of a test's own, small enough to be trained in a few tenths of a second."""

from __future__ import annotations

import pytest

from tests.helpers.training_runs import Training


@pytest.fixture
def training(tmp_path):
    """A `Training` that has not begun."""
    return Training(tmp_path / "out")


@pytest.fixture
def other(tmp_path):
    """A second one, in another folder."""
    return Training(tmp_path / "other")
