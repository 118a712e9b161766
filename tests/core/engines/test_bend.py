"""Whether a picture has followed positions that drift, where photons are too few for single patterns to tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from exact_scans import Case, make

from ptycho_core.base.errors import TrainingError
from ptycho_core.base.events import StopToken
from ptycho_core.engines import bend
from ptycho_core.engines.bend import bent_px
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.data import Amplitudes, Measurement, split
from ptycho_core.engines.training import train
from ptycho_core.quality.verdict import BENT
from ptycho_core.scan.scan import Patterns, Scan
from tests.helpers.fits import DIRECT, above, below, seeded

FEW_PHOTONS = Case(size=32, side=14, step_px=3, scatter_px=1, defocus=0.03, counts_per_pixel=10, object_seed=7)
CONFIG = DIRECT.replace(max_epochs=12, positions="off", intensity="off", val_fraction=0.1)


@pytest.fixture(scope="module")
def exact():
    return make(dataclasses.replace(FEW_PHOTONS, seed=seeded(FEW_PHOTONS.seed)))


def found_bent(exact, drift: np.ndarray, folder) -> float:
    scan = Scan(Patterns(exact.counts), exact.positions + drift, exact.guess[None])
    model = load_checkpoint(train(CONFIG, scan, folder).last_checkpoint).model()
    one = Measurement(scan, Amplitudes(scan), split(len(scan), CONFIG))
    object = model.object_of(Canvas.of_scan(scan, one.amplitudes, one.parts.train, torch.device("cpu")))
    return bent_px(model, object, one, StopToken())


@pytest.mark.fit
def test_a_drift_is_found_of_which_single_patterns_tell_nothing(exact, tmp_path):
    time = np.linspace(-0.5, 0.5, len(exact.positions))[:, None]
    above(found_bent(exact, time * (5.0, -4.0), tmp_path), BENT)


@pytest.mark.fit
def test_a_picture_of_good_positions_is_not_bent(exact, tmp_path):
    below(found_bent(exact, np.zeros(2), tmp_path), BENT / 2)


def test_a_fit_that_diverges_tells_nothing(tiny_sim, monkeypatch):
    def diverged(*arguments, **how):
        raise TrainingError("training diverged")

    monkeypatch.setattr(bend, "polish", diverged)
    scan = tiny_sim.scan
    one = Measurement(scan, Amplitudes(scan), split(len(scan), CONFIG))
    model = bend.DirectModel.from_scan(scan, CONFIG)
    object = model.object_of(Canvas.of_scan(scan, one.amplitudes, one.parts.train, torch.device("cpu")))
    assert bent_px(model, object, one, StopToken()) == 0
