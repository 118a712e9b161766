"""What belongs to each pattern alone: its place and its brightness, refined, checked, exported."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptycho_core.base.errors import Fix, TrainingError
from ptycho_core.base.events import Judged, RefinementChecked
from ptycho_core.base.verdict import Level, verdict_in
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.data import split
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.training import train
from ptycho_core.formats.writers.exports import export, read_reconstruction
from ptycho_core.quality.verdict import BENT
from ptycho_core.runs.record import RunInfo, read_run
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import Simulation
from tests.helpers.fits import PLAIN, above, below, simulated
from tests.helpers.specs import KNOWN_PROBE

pytestmark = pytest.mark.xdist_group("one refinement")

OFF = PLAIN.replace(engine="direct", max_epochs=40, prior=0.0)
JITTERED = dataclasses.replace(KNOWN_PROBE, position_error_px=1.0, seed=3)


@pytest.fixture(scope="module")
def jittered() -> Simulation:
    """A scan whose recorded positions are off by a pixel along each axis."""
    return simulated(JITTERED)


@pytest.fixture(scope="module")
def refined(jittered: Simulation, tmp_path_factory: pytest.TempPathFactory) -> RunInfo:
    return train(OFF.replace(positions="refine"), jittered.scan, tmp_path_factory.mktemp("refined") / "run")


@pytest.fixture(scope="module")
def found(jittered: Simulation, refined: RunInfo) -> Reconstruction:
    return reconstruct(jittered.scan, refined.last_checkpoint, accelerator="cpu", halves=False, final_pass=False)


@pytest.fixture(scope="module")
def flickering() -> tuple[Scan, np.ndarray]:
    """A scan whose patterns differ in brightness, and the logarithms by which they do."""
    scan = simulated(KNOWN_PROBE).scan
    logs = np.random.default_rng(1).normal(0, 0.2, len(scan))
    bright = np.random.default_rng(2).poisson(scan.patterns[:] * np.exp(logs)[:, None, None])
    return scan.replace(patterns=Patterns(bright.astype(np.float32))), logs


def off_by(positions: np.ndarray, truth: np.ndarray) -> float:
    """Median distance in pixels, the shift of all together apart; some at the edge, where little overlaps, stay off."""
    error = positions - truth
    return float(np.median(np.hypot(*(error - np.median(error, axis=0)).T)))


@pytest.mark.fit
def test_positions_that_are_a_pixel_off_are_found(jittered: Simulation, found: Reconstruction):
    truth = jittered.truth.positions_px[found.pattern_index]
    assert found.recorded_positions_px is not None
    above(off_by(found.recorded_positions_px, truth), 0.8)
    below(off_by(found.positions_px, truth), 0.4)


@pytest.mark.fit
def test_patterns_that_validate_are_found_by_half_of_their_pixels(jittered: Simulation, refined: RunInfo):
    shifts = load_checkpoint(refined.last_checkpoint).tensors["shifts"].numpy()
    rows = split(len(jittered.scan), refined.config).validation
    recorded, truth = jittered.scan.positions[rows], jittered.truth.positions_px[rows]
    below(off_by(recorded + shifts[rows], truth), 0.6 * off_by(recorded, truth))


def test_free_patterns_do_not_drift_while_others_are_moved(jittered: Simulation, refined: RunInfo):
    shifts = load_checkpoint(refined.last_checkpoint).tensors["shifts"].numpy()
    free = split(len(jittered.scan), refined.config).free
    assert np.sqrt(np.square(shifts[free]).sum(axis=1).mean()) < 0.3


def test_refinement_tells_how_far_it_moved_the_patterns(found: Reconstruction):
    moved = found.positions_px - found.recorded_positions_px
    moved -= moved.mean(axis=0)
    assert found.metrics["positions_rms_px"] == pytest.approx(np.sqrt(np.square(moved).sum(axis=1).mean()))
    assert found.metrics["positions_moved"]["single_px"] > 0.7 * found.metrics["positions_rms_px"]
    assert any("moved the patterns" in line for line in found.history)


@pytest.mark.fit
def test_all_patterns_together_stay_where_they_are(jittered: Simulation, refined: RunInfo):
    shifts = load_checkpoint(refined.last_checkpoint).tensors["shifts"].numpy()
    moved = shifts[split(len(jittered.scan), refined.config).train]
    above(np.sqrt(np.square(moved).mean()), 0.5)
    below(np.abs(moved.mean(axis=0)).max(), 0.05)


def test_refined_and_recorded_positions_are_exported(found: Reconstruction, tmp_path: Path):
    for name in ("a.npz", "a.h5"):
        back = read_reconstruction(export(found, tmp_path / name)[0])
        np.testing.assert_allclose(back.positions_px, found.positions_px, atol=1e-6)
        np.testing.assert_array_equal(back.recorded_positions_px, found.recorded_positions_px)
    with h5py.File(export(found, tmp_path / "a.cxi")[0]) as file:
        places = file["entry_1/sample_1/geometry_1"]
        pixel = np.array(found.pixel_size_m)
        np.testing.assert_allclose(places["translation"][:][:, 1::-1] / pixel, found.positions_px, atol=1e-6)
        np.testing.assert_array_equal(places["recorded_positions_px"], found.recorded_positions_px)


@pytest.mark.fit
def test_a_check_changes_nothing_and_says_that_positions_are_off(jittered: Simulation, tmp_path: Path):
    heard: list[RefinementChecked] = []
    few = OFF.replace(max_epochs=12)

    def hear(event) -> None:
        if isinstance(event, RefinementChecked):
            heard.append(event)

    plain = train(few, jittered.scan, tmp_path / "off", events=hear)
    assert not heard
    checked = train(few.replace(positions="check"), jittered.scan, tmp_path / "check", events=hear)
    (told,) = heard
    assert told.helps
    below(told.after, 0.97 * told.before)
    assert "set positions to refine" in told.message
    assert read_run(checked.folder).checks["positions"]["message"] == told.message
    one, other = (load_checkpoint(run.last_checkpoint).tensors for run in (plain, checked))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    result = reconstruct(jittered.scan, checked.last_checkpoint, accelerator="cpu", halves=False, final_pass=False)
    assert result.metrics["positions_check"]["helps"]
    for verdict in (read_run(checked.folder).verdict, verdict_in(result.metrics)):
        assert verdict.level != Level.GOOD
        assert verdict.actions[0] == Fix("refine positions", "positions", "refine")
    assert result.recorded_positions_px is None


@pytest.mark.fit
def test_positions_that_were_refined_without_a_picture_are_undone_and_it_is_said(tmp_path: Path):
    scan = simulated(KNOWN_PROBE).scan
    shuffled = scan.replace(positions=np.random.default_rng(1).permutation(scan.positions))
    with contextlib.suppress(TrainingError):  # no picture came of it
        train(OFF.replace(positions="refine", max_epochs=8), shuffled, tmp_path)
    checkpoint = read_run(tmp_path).last_checkpoint
    assert load_checkpoint(checkpoint).tensors["shifts"].any()
    made = reconstruct(shuffled, checkpoint, accelerator="cpu", halves=False, final_pass=False)
    assert made.recorded_positions_px is None
    assert any("are undone" in line for line in made.history)


def test_a_check_of_good_positions_and_even_brightness_says_no(tmp_path: Path):
    heard: list[RefinementChecked] = []
    config = OFF.replace(positions="check", intensity="check")
    train(config, simulated(KNOWN_PROBE).scan, tmp_path / "run", events=heard.append)
    told = {event.knob: event for event in heard if isinstance(event, RefinementChecked)}
    assert set(told) == {"positions", "intensity"}
    assert not any(event.helps for event in told.values())


@pytest.mark.fit
def test_a_picture_that_has_followed_a_drift_is_bent_and_poor(tmp_path: Path):
    heard: list[RefinementChecked | Judged] = []
    scan = simulated(dataclasses.replace(KNOWN_PROBE, n_patterns=196, step_px=3.0)).scan
    drift = np.linspace(-0.5, 0.5, len(scan))[:, None] * (7.0, -7.0)
    few = OFF.replace(positions="check", max_epochs=25)
    train(few, scan.replace(positions=scan.positions + drift), tmp_path, events=heard.append)
    told, judged = (next(event for event in heard if isinstance(event, kind)) for kind in (RefinementChecked, Judged))
    above(told.bent_px, BENT)
    assert any("the picture is bent by" in reason for reason in judged.verdict.reasons)


@pytest.mark.fit
def test_brightness_of_each_pattern_is_found_and_checked(flickering: tuple[Scan, np.ndarray], tmp_path: Path):
    scan, logs = flickering
    config = OFF.replace(max_epochs=20, positions="off")
    heard: list[RefinementChecked] = []
    plain = train(config.replace(intensity="check"), scan, tmp_path / "check", events=heard.append)
    (told,) = (event for event in heard if isinstance(event, RefinementChecked))
    assert told.helps
    run = train(config.replace(intensity="refine"), scan, tmp_path / "refine")
    gains = load_checkpoint(run.last_checkpoint).tensors["log_gain"].numpy()
    rows = split(len(scan), config).train
    assert gains[rows].mean() == pytest.approx(0, abs=1e-3)
    below(np.std(gains[rows] - logs[rows]), 0.3 * np.std(logs[rows]))
    before, after = (
        reconstruct(scan, run.last_checkpoint, accelerator="cpu", halves=False, final_pass=False).metrics["free_misfit"]
        for run in (plain, run)
    )
    below(after, 0.7 * before)
