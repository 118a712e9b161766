"""Damaged files: whatever happens to bytes, keys, shapes, values and links, a reader ends in a scan or a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import READERS, read_scan
from tests.helpers import damage
from tests.helpers.damaged_subjects import SUBJECTS, intact, open_as_operators_do

N_FILES = 18
"""Of each format; ``benchmarks/fuzz_formats.py`` alone opens 2,000."""
SCRIPT = Path(__file__).parents[3] / "benchmarks" / "fuzz_formats.py"


def test_every_reader_is_given_damaged_files():
    assert set(READERS) <= set(SUBJECTS)
    assert {kind for kinds in damage.KINDS.values() for kind in kinds} == {
        damage.damage_kind(name, seed) for name in SUBJECTS for seed in range(N_FILES)
    }


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_file_that_is_damaged_opens_while_it_is_intact(tmp_path, name):
    (tmp_path / "a").write_bytes(intact(name))
    assert open_as_operators_do(name, tmp_path / "a") == "scan"


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_same_seed_damages_a_file_in_the_same_way(tmp_path, name):
    for seed in range(4):
        damage.damage(name, tmp_path / "a", seed)
        damage.damage(name, tmp_path / "b", seed)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_damaged_files_end_in_a_scan_or_in_one_sentence_within_5_seconds_and_a_gigabyte():
    finished = subprocess.run([sys.executable, str(SCRIPT), "--files", str(N_FILES)], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    rows = [line.split("|") for line in finished.stdout.splitlines()[2:]]
    opened, refused = (np.array([int(row[place].replace(",", "")) for row in rows]) for place in (3, 4))
    assert opened[-1] > 0
    plain = [row[1].strip() in SUBJECTS and SUBJECTS[row[1].strip()].container == "bytes" for row in rows]
    assert (refused > N_FILES // 2)[~np.array(plain)].all()  # wrong pixels of plain frames are no fault of the file


def test_a_heap_of_texts_that_hdf5_never_comes_back_from_is_refused(tmp_path):
    """Seed 9023 of I14's files: what is free in the heap has the size 0."""
    damage.damage("shipped (HDF5)", tmp_path / "a.nxs", 9023)
    with pytest.raises(InputError, match="a heap of its texts has no end"):
        read_scan(tmp_path / "a.nxs")
