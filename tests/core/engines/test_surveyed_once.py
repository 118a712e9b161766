"""A scan's patterns are looked at once when it is opened; the next to read them is training, which loads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.build_config import build_config
from ptycho_core.engines.training import train
from ptycho_core.formats import read_scan
from ptycho_core.formats.assemble import assemble
from ptycho_core.formats.stored import Stored
from ptycho_core.inspection.inspection import inspect
from ptycho_core.inspection.run_checks import check_run
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Crop, MaskRectangle, OrientPositions
from ptycho_core.scan.survey import rows_to_look_at, survey, survey_of
from tests.helpers import scan_files as files
from tests.helpers.training_runs import SMALL

QUICK = build_config({"engine": "direct", "max_epochs": 1, "accelerator": "cpu", "probe_search": False})
WARMED_UP = build_config({**SMALL, "max_epochs": 1, "warm_start_epochs": 2})
N = 40
PROBE = files.probe()[None]


class CountedReads:
    """An array that is not in memory, and counts how often each pattern is read."""

    def __init__(self, array):
        self.array, self.reads = array, Counter()
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        self.reads.update(np.arange(len(self.array))[index].ravel().tolist())
        return self.array[index]


def amplitudes(counts):
    return np.sqrt(counts.astype(np.float32))


def in_corner(counts):
    return np.fft.ifftshift(counts, axes=(1, 2))


def opened(stored_as=np.asarray, probe=None):
    stored = Stored(
        CountedReads(stored_as(files.counts(N))),
        files.positions(N),
        probe=probe,
        geometry=Geometry(object_pixel_m=(1e-8, 1e-8)),
    )
    return assemble(stored, Settings(Path("scan.h5"), {}), Path("scan.h5"), "cxi"), stored.source.reads


@pytest.mark.parametrize(
    "stored_as", [lambda counts: counts, amplitudes, in_corner], ids=["counts", "amplitudes", "DC"]
)
def test_each_pattern_is_read_once_before_training(stored_as):
    scan, reads = opened(stored_as, PROBE)
    inspect(scan)
    check_run(QUICK, scan)
    inspect(preprocess(scan, [OrientPositions("+x+y")]))
    assert reads == Counter(range(N))


@pytest.mark.parametrize("config", [QUICK, WARMED_UP], ids=["direct", "network"])
def test_training_reads_each_pattern_once_more(config, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.polish.WARM_START_PATTERNS", N // 2)
    scan, reads = opened(probe=PROBE)
    inspect(scan)
    train(config, scan.replace(source=ScanSource(format="memory")), tmp_path / "run")
    assert reads == dict.fromkeys(range(N), 2)


def test_for_a_guess_of_the_probe_a_few_patterns_in_the_middle_are_read_again(monkeypatch):
    monkeypatch.setattr("ptycho_core.inspection.beam_trial._N_PATTERNS", 8)
    scan, reads = opened()
    inspect(scan)
    check_run(QUICK, scan)
    assert Counter(reads.values()) == {1: N - 8, 2: 8}


def test_of_a_large_scan_no_more_than_the_sample_is_read(monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey.LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr("ptycho_core.scan.survey.SAMPLE_BYTES", 8 * files.counts(1).nbytes)
    scan, reads = opened(probe=PROBE)
    inspect(scan)
    check_run(QUICK, scan)
    sample = rows_to_look_at(scan.patterns)
    assert len(sample) == 8
    assert reads == Counter(sample.tolist())


def assert_alike(one, other):
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12)
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-12)
    np.testing.assert_array_equal(one.highest, other.highest)
    np.testing.assert_array_equal(one.bad_pixels, other.bad_pixels)
    assert (one.total, one.n_not_finite, one.n_negative, one.bad_rows.tolist()) == (other.total, 0, 0, [])


@pytest.mark.parametrize("name", files.WRITERS)
def test_what_is_seen_while_a_scan_is_opened_is_what_it_then_holds(name, tmp_path):
    scan = read_scan(files.write(tmp_path, name))
    assert scan.patterns.surveys
    assert_alike(survey_of(scan), survey(scan.patterns, scan.mask))


@pytest.mark.parametrize(
    "settings",
    [{"square": "crop"}, {"square": "pad"}, {"square": "pad", "dc": "corner"}, {"square": "pad", "data": "amplitude"}],
    ids=str,
)
def test_so_it_is_where_patterns_are_made_square(settings, tmp_path):
    path = files.npz(tmp_path / "a.npz", patterns=files.counts(width=20), positions=files.positions())
    scan = read_scan(path, settings=settings)
    assert_alike(survey_of(scan), survey(scan.patterns, scan.mask))


@pytest.mark.parametrize("treatment", ["mask", "drop", "zero"])
def test_so_it_is_where_bad_values_are_treated(treatment, tmp_path):
    counts = files.counts().astype(np.float32)
    counts[3, 2, 1] = -1
    path = files.npz(tmp_path / "a.npz", patterns=counts, positions=files.positions())
    scan = read_scan(path, settings={"bad_pixels": treatment})
    assert_alike(survey_of(scan), survey(scan.patterns, scan.mask))


def test_other_patterns_or_another_mask_are_looked_at_anew(tmp_path):
    scan = read_scan(files.write(tmp_path, "cxi"))
    for step in (Crop(12), MaskRectangle(0, 0, 8, 16)):
        changed = preprocess(scan, [step])
        assert_alike(survey_of(changed), survey(changed.patterns, changed.mask))
        assert survey_of(changed).sums.sum() < survey_of(scan).sums.sum()
