"""One pass over a whole scan: the same in pieces, in tiles and off the disk as all at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.engines import canvas as canvas_module
from ptycho_core.engines import data
from ptycho_core.engines.canvas import Canvas, middle, middle_parts
from ptycho_core.engines.data import Amplitudes, Measurement, Split
from ptycho_core.engines.models import base
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import Simulation, forward, simulate

CPU = torch.device("cpu")
CONFIG = Config(model_width=4)


def answering(scan: Scan, config: Config = CONFIG) -> PinnModel:
    """A network that adds something, as a trained one does."""
    torch.manual_seed(0)
    model = PinnModel.from_scan(scan, config)
    torch.nn.init.normal_(model.network.last.weight, std=0.3)
    return model.eval()


def canvas_of(scan: Scan, rows: np.ndarray | None = None, amplitudes: Amplitudes | None = None) -> Canvas:
    rows = np.arange(len(scan)) if rows is None else rows
    return Canvas.of_scan(scan, amplitudes or Amplitudes(scan), rows, CPU)


def masked(scan: Scan, value: float) -> Scan:
    mask = np.ones((scan.size, scan.size), np.bool_)
    mask[16, 15:18] = mask[3, 5] = False
    counts = scan.patterns[:].copy()
    counts[:, ~mask] = value
    return scan.replace(patterns=Patterns(counts), mask=mask)


def everything(scan: Scan, tile: int = base.TILE) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Object, coverage and deviance of the network on a whole scan."""
    model, canvas = answering(scan), canvas_of(scan)
    object = model.object_of(canvas, tile)
    return object, canvas.light(model.probe), model.misfit_of(object, canvas).deviance


def assert_same(a: tuple[torch.Tensor, torch.Tensor, float], b: tuple[torch.Tensor, torch.Tensor, float]) -> None:
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(a[1], b[1], rtol=1e-5, atol=1e-5)
    assert a[2] == pytest.approx(b[2], rel=1e-4)


@pytest.mark.parametrize("patterns_at_once", [1, 7, 1000])
def test_streaming_in_pieces_gives_what_one_piece_gives(tiny_scan: Scan, monkeypatch, patterns_at_once):
    whole = everything(tiny_scan)
    monkeypatch.setattr(canvas_module, "_PATTERNS_AT_ONCE", patterns_at_once)
    assert len(list(canvas_of(tiny_scan).batches())) == -(-60 // patterns_at_once)
    assert_same(everything(tiny_scan), whole)


@pytest.mark.parametrize("tile", [8, 24])
def test_tiles_give_what_one_pass_gives(tiny_scan: Scan, tile):
    whole = everything(tiny_scan)
    assert min(whole[0].shape[1:]) > 2 * tile
    assert_same(everything(tiny_scan, tile), whole)


def test_a_scan_on_disk_gives_what_it_gives_in_memory(tiny_scan: Scan, tmp_path: Path, monkeypatch):
    whole = everything(tiny_scan)
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 0)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        stored = file.create_dataset("patterns", data=tiny_scan.patterns[:].astype(np.uint16))
        assert_same(everything(tiny_scan.replace(patterns=Patterns(stored))), whole)


@pytest.mark.parametrize("value", [1e6, np.nan])
def test_bad_pixels_change_nothing(tiny_scan: Scan, value):
    assert_same(everything(masked(tiny_scan, value)), everything(masked(tiny_scan, 0)))


def test_bad_pixels_tell_nothing_of_a_featureless_object(tiny_sim: Simulation):
    spec = dataclasses.replace(tiny_sim.spec, object="flat", photon_noise=False, dead_pixels=20, hot_pixels=20)
    sim = simulate(spec)
    model, canvas = answering(sim.scan), canvas_of(sim.scan)
    model = model.with_probe(torch.from_numpy(sim.truth.probe))
    object = model.object_of(canvas)
    torch.testing.assert_close(object, torch.ones_like(object), rtol=0, atol=0.01)
    assert model.misfit_of(object, canvas).r < 0.01


def test_patterns_left_out_play_no_part(tiny_scan: Scan):
    rows = np.arange(0, 60, 2)
    counts = tiny_scan.patterns[:].copy()
    counts[1::2] = 77
    other = tiny_scan.replace(patterns=Patterns(counts))
    model = answering(tiny_scan)
    a, b = (model.object_of(canvas_of(scan, rows)) for scan in (tiny_scan, other))
    assert torch.equal(a, b)
    assert not torch.equal(model.object_of(canvas_of(other)), a)


def test_misfit_is_that_of_object_probe_and_background_against_the_counts(tiny_sim: Simulation):
    truth, scan = tiny_sim.truth, tiny_sim.scan
    rows = np.array([3, 59, 20])
    canvas = canvas_of(scan)
    height, width = truth.object.shape
    object = torch.ones(1, *canvas.shape, dtype=torch.complex64)
    object[0, :height, :width] = torch.from_numpy(truth.object)
    np.testing.assert_allclose(canvas.positions, truth.positions_px)
    model = PinnModel(Config(background=True), torch.from_numpy(truth.probe))
    model.background_root.data.fill_(0.5)
    expected = forward.intensities(truth.object, truth.probe, truth.positions_px[rows], 0.25)
    counts = scan.patterns[:][rows]
    found = model.misfit_of(object, canvas.only(rows))
    assert found.deviance == pytest.approx(half_deviance(counts, expected).mean(), rel=1e-4)
    assert found.noise == pytest.approx(expected_half_deviance(expected).mean(), rel=1e-4)
    scale = np.sqrt(expected * counts).sum() / expected.sum()
    error = np.square(scale * np.sqrt(expected) - np.sqrt(counts)).sum()
    assert found.r == pytest.approx(np.sqrt(error / counts.sum()), rel=1e-4)
    nothing = model.misfit_of(object, canvas.only(rows[:0]))
    assert np.isnan([nothing.deviance, nothing.misfit, nothing.r]).all()


def test_middle_are_the_nearest_patterns(tiny_scan: Scan):
    rows = np.arange(5, 60)
    away = np.linalg.norm(tiny_scan.positions - np.median(tiny_scan.positions[rows], axis=0), axis=1)
    found = middle(tiny_scan, rows, 10)
    assert list(found) == sorted(rows[np.argsort(away[rows])[:10]])
    assert np.array_equal(middle(tiny_scan, rows, 55), rows)


def test_what_validates_amid_what_is_seen_has_all_its_neighbours_there():
    side = 40
    positions = np.stack(np.mgrid[:side, :side], axis=-1).reshape(-1, 2).astype(np.float64)
    scan = Scan(np.zeros((side**2, 8, 8), np.float32), positions)
    parts = data.split(side**2, Config(val_fraction=0.1, free_fraction=0.05))
    seen, validating = middle_parts(scan, parts, 500)
    assert set(seen) <= set(parts.train)
    assert set(validating) <= set(parts.validation)
    assert (len(seen), len(validating)) == (pytest.approx(445, abs=30), pytest.approx(42, abs=15))
    for row in validating:
        near = np.abs(positions - positions[row]).max(axis=1) <= 1
        assert set(np.flatnonzero(near)) & set(parts.train) <= set(seen)
    assert middle_parts(scan, parts, 1600) == (parts.train, parts.validation)


def test_preview_is_the_object_as_it_is_now(tiny_scan: Scan):
    model, canvas = answering(tiny_scan), canvas_of(tiny_scan)
    of = Measurement(tiny_scan, canvas.amplitudes, Split(canvas.rows, canvas.rows[:0], canvas.rows[:0]))
    preview = model.preview(of, 3, 17)
    assert (preview.epoch, preview.step, preview.binning) == (3, 17, 1)
    assert preview.pixel_size_m == tiny_scan.pixel_size_m
    np.testing.assert_allclose(preview.object, model.object_of(canvas)[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(preview.probe, model.probe[0].detach())


def test_preview_of_a_large_object_is_binned(tiny_scan: Scan, monkeypatch):
    monkeypatch.setattr(base, "PREVIEW_SIDE", 20)
    values = torch.arange(50.0)[:, None] + 1j * torch.arange(43.0)
    model = DirectModel(Config(engine="direct"), starting_probe(tiny_scan, 1), values)
    rows = np.arange(60)
    preview = model.preview(Measurement(tiny_scan, Amplitudes(tiny_scan), Split(rows, rows[:0], rows[:0])), 0, 0)
    assert preview.binning == 3
    assert preview.object.shape == (16, 14)
    assert preview.object[2, 5] == 7 + 16j


def test_patterns_that_are_moved_over_the_edge_stay_on_the_canvas(tiny_scan):
    canvas = Canvas.of_scan(tiny_scan, Amplitudes(tiny_scan), np.arange(60), torch.device("cpu"))
    for by in (-50.0, 50.0):
        for _, windows, *_ in canvas.moved(torch.full((60, 2), by)).batches():
            assert windows.canvas == (1, *canvas.shape)  # `place` refuses what lies outside
