"""Scans of the near field, from the guessed probe to the picture: an exact simulation, and a measured one."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.engines import halves
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import scan_summary
from ptycho_core.engines.orientation_search import search_orientation
from ptycho_core.engines.polish import polish
from ptycho_core.engines.probe_search import search_probe
from ptycho_core.engines.propagators import propagator_of
from ptycho_core.engines.trainer import device_of
from ptycho_core.formats import read_scan
from ptycho_core.inspection.scan_checks import check_scan
from ptycho_core.preprocessing import preprocess
from ptycho_core.quality.registration import register
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Pad
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers.near_field import NearFieldScan, make

CONFIG = Config(engine="direct", free_fraction=0.0, val_fraction=0.1, preview_seconds=0.0)


@pytest.fixture(scope="module")
def made() -> NearFieldScan:
    """49 patterns of 40 x 40 pixels, a beam that ends within the frame."""
    return make()


def fitted(scan: Scan, epochs: int) -> tuple[Model, Canvas]:
    parts = split(len(scan), CONFIG)
    canvas = Canvas.of_scan(scan, Amplitudes(scan), parts.train, device_of("cpu"))
    model = DirectModel.from_scan(scan, CONFIG)
    start = model.object_of(canvas)
    return polish(model, scan, canvas, parts, start, epochs, "cpu", lambda event: None, StopToken())[0], canvas


def misfit(model: Model, canvas: Canvas) -> float:
    return model.misfit_of(model.object_of(canvas), canvas).misfit


def error(model: Model, canvas: Canvas, made: NearFieldScan) -> float:
    """Return the relative difference of object and truth under the patterns' middles, gauge removed."""
    object, low = model.object_of(canvas)[0].numpy(), made.scan.size // 2
    away = np.rint(made.positions[0] - canvas.positions[0]).astype(int)
    inner = object[low : low + 20, low : low + 20]
    truth = made.object[low + away[0] : low + away[0] + 20, low + away[1] : low + away[1] + 20]
    return float(np.linalg.norm(register(inner, truth).aligned - truth) / np.linalg.norm(truth))


@pytest.fixture(scope="module")
def fit(made: NearFieldScan) -> tuple[Model, Canvas]:
    return fitted(made.scan, 30)


def test_a_fit_from_the_guessed_probe_comes_to_the_truth(made, fit):
    assert error(*fit, made) < 0.3
    assert misfit(*fit) < 1.5


def test_the_frame_is_padded_where_light_comes_from_beyond_it(made):
    def edges(scan: Scan) -> list[str]:
        return [fix.value for problem in check_scan(scan) if problem.field == "edges" for fix in problem.fixes]

    wide = make(fills=True)
    padded = preprocess(wide.scan, [Pad(60)])
    assert (edges(made.scan), edges(wide.scan), edges(padded)) == ([], ["60"], [])
    assert misfit(*fitted(padded, 12)) < misfit(*fitted(wide.scan, 12)) / 2


def test_the_network_explains_exact_shadows_by_their_truth():
    """By the simulator's forward model, in NumPy, which reads the object between its pixels as the network does."""
    spec = SimulationSpec(size=32, n_patterns=20, propagator="near", defocus_m=0.02, photon_noise=False)
    sim = simulate(spec)
    config = Config(model_width=2, free_fraction=0.0)
    model = PinnModel(config, torch.from_numpy(sim.truth.probe), propagator=propagator_of(sim.scan))
    canvas = Canvas.of_scan(sim.scan, Amplitudes(sim.scan), np.arange(20), model.device)
    low = np.rint(sim.truth.positions_px[0] - canvas.positions[0]).astype(int)
    height, width = canvas.shape
    truth = np.ones(canvas.shape, np.complex64)
    known = sim.truth.object[low[0] :, low[1] :][:height, :width]
    truth[: known.shape[0], : known.shape[1]] = known
    assert model.misfit_of(torch.from_numpy(truth)[None], canvas).r < 5e-3


def test_the_search_for_the_beam_says_that_there_is_none_to_do(made):
    found = search_probe(made.scan, Amplitudes(made.scan), np.arange(40))
    assert found.probe is None
    assert "near field" in found.why


def test_a_checkpoint_goes_on_in_the_near_field(fit):
    model, canvas = fit
    again = DirectModel.from_state(CONFIG, model.state_dict())
    assert misfit(again, canvas) == misfit(model, canvas)


def test_an_object_of_the_near_field_is_no_picture_of_another_field(made, fit):
    model, canvas = fit
    model.scan_summary = scan_summary(made.scan)
    assert model.adapt(made.scan, canvas, scan_summary(made.scan))[0] is model
    far = made.scan.replace(geometry=dataclasses.replace(made.scan.geometry, propagator="far"))
    with pytest.raises(InputError, match="in the near field with light spread over 20 pixels"):
        model.adapt(far, canvas, scan_summary(far))


def test_half_scans_are_compared_where_the_light_tells_the_phase(made, fit, monkeypatch):
    monkeypatch.setattr(halves, "EPOCHS", (6, 6))
    parts = split(len(made.scan), CONFIG)
    found = halves.compare_halves(fit[0], made.scan, parts, "cpu", StopToken())
    assert found["half_scans_coarsest_px"] == pytest.approx(0.5 / math.sqrt(math.asin(0.1) / (math.pi * 20)), rel=1e-4)
    assert found["half_scans_resolution_px"] < found["half_scans_coarsest_px"]


def test_the_measured_star_of_p25_tells_its_orientation(near_field_path: Path):
    """PETRA III, P25: the sample stood 3.65 mm behind the focus."""
    scan = read_scan(near_field_path, settings={"defocus_m": "3.65e-3"})
    best, second = search_orientation(scan, patterns=60, epochs=4)[:2]
    assert best.orientation == "+y+x"
    assert best.deviance < 0.7 * second.deviance
