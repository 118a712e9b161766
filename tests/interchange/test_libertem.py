"""LiberTEM finds in the raw files that our tests write of Merlin what we find."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from tests.helpers import microscope_files
from tests.helpers.microscope_files import ANSWERS


@pytest.mark.parametrize(("depth", "chips"), [(1, 1), (6, 1), (12, 1), (24, 1), (1, 4), (6, 4), (12, 4)])
def test_it_reads_the_same_raw_frames(tmp_path, libertem, depth, chips):
    microscope_files.write_raw_mib(tmp_path / "a.mib", depth, chips, 512 if chips > 1 else 256)
    libertem(tmp_path / "a.mib", tmp_path / "found.npz", microscope_files.LINES, microscope_files.COLUMNS)
    answers = {
        **ANSWERS,
        "step_m": "2e-10",
        "columns": str(microscope_files.COLUMNS),
        "data": "counts",
    }
    ours = read_scan(tmp_path / "a.mib", settings=answers).patterns[:]
    theirs = np.load(tmp_path / "found.npz")["frames"]
    n = 1 if depth == 24 else len(ours)  # of 24 bits LiberTEM 0.16 takes the second frame from the wrong place
    np.testing.assert_array_equal(ours[:n], theirs[:n, ::-1])
