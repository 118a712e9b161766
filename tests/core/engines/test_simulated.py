"""Pretraining on simulated objects under the beam of a measured scan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ptycho_core.engines import simulated
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.estimate import Held
from ptycho_core.engines.simulated import SimulatedScans
from ptycho_core.engines.training import resume
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.scan.scan import Patterns
from ptycho_core.simulation import simulate
from tests.helpers import specs
from tests.helpers.measurements import measured
from tests.helpers.training_runs import SCAN, SMALL, Training

PRETRAINED = {**SMALL, "pretrain_simulated": 2, "max_epochs": 2}


def scans_like(sim, count=3, **options):
    held = Held(torch.from_numpy(sim.truth.probe), torch.tensor(0.5), torch.zeros(0), None)
    return SimulatedScans([measured(sim.scan, **options)], [held], count, seed=1)


def test_each_number_is_another_object_under_the_beam_of_the_scan_with_its_dose_and_positions(tiny_sim):
    scans = scans_like(tiny_sim)
    first, again, second = scans[0], scans_like(tiny_sim)[0], scans[1]
    assert np.array_equal(first.scan.patterns[:], again.scan.patterns[:])
    assert not np.array_equal(first.scan.patterns[:], second.scan.patterns[:])
    for one in (first, second):
        assert np.array_equal(one.scan.positions, tiny_sim.scan.positions)
        assert len(one.parts.train) == 60
        # An object of modulus at most 1, which passes at least a third of the light.
        brightest = one.scan.patterns[:].sum(axis=(1, 2)).max()
        assert brightest / (abs(tiny_sim.truth.probe) ** 2).sum() == pytest.approx(0.7, abs=0.4)


def test_epochs_go_on_to_new_objects(tiny_sim):
    scans = scans_like(tiny_sim, count=2)
    assert len(scans) == len(scans.dealt) == 2
    sums = {float(scans[number].scan.patterns[:].sum()) for number in range(6)}
    assert len(sums) == 6


def test_masks_and_a_large_scan_are_followed_in_part(tiny_sim, monkeypatch):
    monkeypatch.setattr(simulated, "MOST_PATTERNS", 20)
    mask = np.ones((32, 32), np.bool_)
    mask[3, 5] = False
    sim = dataclasses.replace(tiny_sim, scan=tiny_sim.scan.replace(mask=mask))
    one = scans_like(sim)[0]
    assert one.scan.patterns.shape == (20, 32, 32)
    canvas = Canvas.of_scan(one.scan, one.amplitudes, one.parts.train, torch.device("cpu"))
    assert float(next(canvas.batches()).weight.sum()) == 32 * 32 - 1
    ((scan, rows),) = scans_like(sim, count=1).dealt
    assert len(scan) == len(rows) == 20


def test_no_pattern_of_the_scan_that_would_train_is_looked_at(tmp_path):
    """The same patterns in another order, with the same beam and brightness, leave the same network."""
    one = Training(tmp_path / "one").go(**PRETRAINED)
    rows = np.arange(len(SCAN))
    trains = np.setdiff1d(rows, [*one.info.validation_indexes, *one.info.free_indexes])
    rows[trains] = np.roll(trains, 5)
    other = Training(tmp_path / "other").go(scan=SCAN.replace(patterns=Patterns(SCAN.patterns[rows])), **PRETRAINED)
    learned, also = (run.last["state_dict"]["network.last.weight"] for run in (one, other))
    assert torch.equal(learned, also)
    assert bool(learned.any())
    assert one.info.metrics["poisson_val_loss"] != other.info.metrics["poisson_val_loss"]  # which is of the scan


def test_simulated_objects_are_learned_of_at_a_fifth_of_the_rate(tmp_path):
    run = Training(tmp_path / "out").go(**PRETRAINED, scheduler="constant", learning_rate=1e-3)
    assert run.column("learning_rate") == pytest.approx([2e-4] * len(run.column("learning_rate")))


def test_a_pretraining_goes_on_with_the_same_objects_and_also_with_processes_that_read(tmp_path):
    write_scan(SCAN, tmp_path / "scan.npz")
    scan = read_scan(tmp_path / "scan.npz")
    steady = {**PRETRAINED, "scheduler": "constant", "physics_schedule": "off"}  # however many epochs there are
    whole = Training(tmp_path / "whole").go(scan=scan, **steady)
    part = Training(tmp_path / "part").go(scan=scan, **{**steady, "max_epochs": 1})
    done, loss = resume(part.folder, max_epochs=2, num_workers=1), "poisson_train_loss_epoch"
    assert done.config.pretrain_simulated == 2
    assert done.metrics[loss] == pytest.approx(whole.info.metrics[loss], rel=1e-4)


def test_several_scans_lend_their_beams_by_turns(tmp_path):
    other = simulate(dataclasses.replace(specs.SMALL, seed=3, n_patterns=49, counts_per_pixel=300.0)).scan
    run = Training(tmp_path / "out").go(further_scans=[other], **{**PRETRAINED, "intensity": "refine"})
    assert run.info.status == "finished"
    assert np.isfinite([run.info.metrics["poisson_val_loss_1"], run.info.metrics["poisson_val_loss_2"]]).all()
