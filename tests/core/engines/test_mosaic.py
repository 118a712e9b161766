"""The picture of a scan that is still being measured: right, in place, and at the cost of what is new."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.mosaic import HELD_OUT, Mosaic
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.scan.scan import Patterns
from ptycho_core.simulation import Simulation
from tests.helpers.fits import below
from tests.helpers.truth import error, whole_canvas


@dataclass
class Counted:
    """Patterns that remember how often each was read."""

    whole: np.ndarray
    read: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.read, self.shape, self.dtype = np.zeros(len(self.whole), int), self.whole.shape, self.whole.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        self.read[index] += 1
        return self.whole[index]


@pytest.fixture
def model(tiny_sim: Simulation) -> PinnModel:
    """An untrained network, which changes nothing, with the true probe."""
    return PinnModel(Config(model_width=2), torch.from_numpy(tiny_sim.truth.probe), 0, FAR_FIELD).eval()


def made(model: PinnModel, sim: Simulation, order: np.ndarray, at_once: int) -> Mosaic:
    mosaic = Mosaic(model)
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        mosaic.add(sim.scan.take(rows), rows)
    return mosaic


def on_whole_canvas(mosaic: Mosaic, sim: Simulation) -> torch.Tensor:
    """The picture where `whole_canvas` has it."""
    canvas = whole_canvas(sim)
    top, left = (sim.scan.positions[0] - canvas.recorded[0] - mosaic.origin).astype(int)
    return mosaic.picture[top : top + canvas.shape[0], left : left + canvas.shape[1]]


@pytest.mark.fit
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("at_once", [15, 60])
def test_a_picture_made_bit_by_bit_is_nearly_that_of_a_pass(model, tiny_sim, at_once, backwards):
    order = np.arange(60)[:: -1 if backwards else 1]
    mosaic = made(model, tiny_sim, order, at_once)
    rows = np.flatnonzero(np.arange(60) % HELD_OUT != HELD_OUT // 2)
    of_pass = error(model.object_of(whole_canvas(tiny_sim, rows))[0], tiny_sim)
    vacuum = error(torch.ones_like(model.object_of(whole_canvas(tiny_sim, rows))[0]), tiny_sim)
    below(error(on_whole_canvas(mosaic, tiny_sim), tiny_sim), of_pass + 0.4 * (vacuum - of_pass))


def test_each_pattern_is_read_once_and_what_lies_apart_stays_as_it_is(model, tiny_sim):
    source = Counted(tiny_sim.scan.patterns[:])
    scan = tiny_sim.scan.replace(patterns=Patterns(source))
    away = scan.positions + np.array([400.0, 300.0])
    mosaic, first, second = Mosaic(model), np.arange(30), np.arange(30, 60)
    mosaic.add(scan.take(first), first)
    before, origin = mosaic.picture.clone(), mosaic.origin
    mosaic.add(scan.replace(positions=away).take(second), second)
    assert (source.read == 1).all()
    top, left = (origin - mosaic.origin).astype(int)
    assert torch.equal(mosaic.picture[top : top + before.shape[0], left : left + before.shape[1]], before)
    picture, probe, binning = mosaic.preview()
    assert max(picture.shape) * binning >= 400
    assert probe.shape == (32, 32)


def test_a_canvas_that_grows_one_way_and_the_other_keeps_what_is_on_it(model, tiny_sim):
    scan, rows, parts = tiny_sim.scan, np.arange(1, 6), []
    shifts = np.array([(0, 0), (-96, 96), (96, -96)])  # by whole pieces
    mosaic = Mosaic(model)
    for shift in shifts:
        mosaic.add(scan.replace(positions=scan.positions + shift).take(rows), rows)
    for shift in shifts:
        y, x = np.floor(scan.positions[3] + shift - mosaic.origin).astype(int)
        parts.append(mosaic.picture[y - 6 : y + 6, x - 6 : x + 6])
    torch.testing.assert_close(parts[0], parts[1])
    torch.testing.assert_close(parts[0], parts[2])
    assert float((parts[0] - 1).abs().max()) > 0.05


def test_patterns_that_were_kept_out_judge_once_what_they_see_is_known(model, tiny_sim):
    rows = np.arange(60)
    kept_out = rows[rows % HELD_OUT == HELD_OUT // 2]
    mosaic = Mosaic(model)
    mosaic.add(tiny_sim.scan.take(kept_out), kept_out)
    told = mosaic.progress()
    assert (told.patterns, told.free_patterns, told.covered_pixels) == (0, 0, 0)
    assert math.isnan(told.free_misfit)
    others = np.setdiff1d(rows, kept_out)
    mosaic.add(tiny_sim.scan.take(others), others)
    told = mosaic.progress()
    assert told.patterns == 57
    assert 0 < told.free_patterns <= 3
    assert told.free_misfit > 0.5
    assert told.covered_pixels > 500
    judged = told.free_patterns
    again = rows[rows % HELD_OUT != HELD_OUT // 2]
    mosaic.add(tiny_sim.scan.take(again[:4]), again[:4])
    assert mosaic.progress().free_patterns >= judged


@pytest.mark.parametrize("whose", ["the network's", "the scan's"])
def test_the_probe_is_the_one_that_explains_the_first_patterns(model, tiny_sim, whose):
    scan, truth, guess = tiny_sim.scan, tiny_sim.truth.probe, tiny_sim.scan.probe
    if whose == "the scan's":
        model, scan = model.with_probe(torch.from_numpy(guess)), scan.replace(probe=truth)
    mosaic = Mosaic.begin(model, scan, torch.device("cpu"))
    probe = mosaic.model.probe.detach().numpy()
    assert mosaic.model.network is not model.network
    assert abs(np.vdot(probe, truth)) == pytest.approx(np.linalg.norm(probe) * np.linalg.norm(truth), rel=1e-4)
