"""What is put right of a scan without asking, so that there is a picture of it."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.inspection.safe_fixes import open_prepared
from ptycho_core.scan.source import ScanSource


@pytest.fixture
def written(scan_path, tmp_path):
    """A function that writes a scan with some of its arrays changed."""

    def write(**changes):
        with np.load(scan_path) as file:
            arrays = dict(file)
        for name, change in changes.items():
            change(arrays[name])
        np.savez(tmp_path / "scan.npz", **arrays)
        return ScanSource(tmp_path / "scan.npz")

    return write


def no_number_at(*place):
    def change(array):
        array[place] = np.nan

    return change


@pytest.mark.parametrize(
    ("changed", "answer", "left"),
    [
        ({"diff3d": no_number_at(slice(None), 3, 4)}, ("bad_pixels", "mask"), 36),
        ({"diff3d": no_number_at(7)}, ("--drop-dead", "0.05"), 35),
        ({"xcoords": no_number_at(5)}, ("bad_positions", "drop"), 35),
        ({"probeGuess": no_number_at(2, 2)}, ("probe", "ignore"), 36),
    ],
    ids=["a pixel", "a pattern", "a position", "the probe"],
)
def test_what_is_no_number_is_left_out(written, changed, answer, left):
    looked, done = open_prepared(written(**changed))
    assert answer in [(fix.field, fix.value) for fix in done]
    assert len(looked.scan) == left
    assert not [problem for problem in looked.problems if problem.severity == "error"]


def test_what_changes_the_meaning_of_a_number_is_asked(written):
    def amplitudes_of_too_much(array):
        array[...] = 1e9

    with pytest.raises(InputError):
        open_prepared(written(diff3d=amplitudes_of_too_much))
