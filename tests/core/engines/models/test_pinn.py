"""The network engine's model: what it trains on, what it may not see, and what it does before it is trained."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import TrainingError
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.estimate import Thinning
from ptycho_core.engines.models import pinn
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import starting_probe
from ptycho_core.engines.training import train
from ptycho_core.scan.scan import Masks, Patterns, Scan
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers.training_runs import SMALL
from tests.helpers.truth import error, whole_canvas

CPU = torch.device("cpu")
CONFIG = Config(**{**SMALL, "model_width": 4, "n_groups": 16, "max_epochs": 1})


def answering(config: Config, scan: Scan) -> PinnModel:
    """A network that changes something, as a trained one does."""
    torch.manual_seed(0)
    model = PinnModel(config, starting_probe(scan, config.probe_modes))
    torch.nn.init.normal_(model.network.last.weight, std=0.3)
    return model.eval()


def canvas_of(scan: Scan, rows: np.ndarray | None = None) -> Canvas:
    return Canvas.of_scan(scan, Amplitudes(scan), np.arange(len(scan)) if rows is None else rows, CPU)


@pytest.fixture
def scenes(monkeypatch):
    """What epochs were trained on."""
    seen = []
    draw = PinnModel._drawn

    def spy(self, *args):
        seen.append(draw(self, *args))
        return seen[-1]

    monkeypatch.setattr(PinnModel, "_drawn", spy)
    return seen


def test_an_untrained_network_gives_what_the_solver_leaves_to_it(tiny_scan: Scan):
    canvas = canvas_of(tiny_scan)
    model = PinnModel(CONFIG, starting_probe(tiny_scan, 1))
    object = model.object_of(canvas)
    assert torch.equal(object[0], model.solved(canvas, pinn.LIKELIHOOD_EPOCHS))
    assert not torch.allclose(answering(CONFIG, tiny_scan).object_of(canvas), object, atol=1e-3)


def test_epochs_differ_in_dose_and_coverage(tiny_scan: Scan, tmp_path, scenes):
    train(CONFIG.replace(max_epochs=8, n_groups=4), tiny_scan, tmp_path / "run")
    parts = [scene.thinning.part for scene in scenes]
    assert len(set(parts)) == 8
    assert min(parts) < 0.4
    assert max(parts) <= pinn.PARTS[1]
    lit = {int((scene.light > 0).sum()) for scene in scenes}
    assert len(lit) > 1  # some saw all patterns, others a part of them
    assert len({scene.thinning.seed for scene in scenes}) == 8


def test_what_judges_a_batch_has_not_been_seen(tiny_scan: Scan, tmp_path, monkeypatch):
    """Counts that the object was made of change nothing in the counts that it is held against."""
    seen, second = [], Thinning.second

    def spy(self, counts, rows):
        rest = second(self, counts, rows)
        seen.append((self.first(counts, rows), rest, counts))
        return rest

    monkeypatch.setattr(Thinning, "second", spy)
    train(CONFIG, tiny_scan, tmp_path / "run")
    assert seen
    for first, rest, counts in seen:
        assert torch.equal(first + rest, counts.round())


def test_validation_patterns_are_predicted_without_being_seen(tiny_scan: Scan, tmp_path, scenes):
    info = train(CONFIG, tiny_scan, tmp_path / "one")
    rows = list(info.validation_indexes)
    counts = tiny_scan.patterns[:].copy()
    counts[rows] = counts[rows].swapaxes(1, 2)[:, ::-1]
    with contextlib.suppress(TrainingError):  # there may be no picture: they are held against what they show no longer
        train(CONFIG, tiny_scan.replace(patterns=Patterns(counts)), tmp_path / "two")
    assert torch.equal(scenes[0].object, scenes[1].object)


def test_bad_pixels_change_nothing(tiny_scan: Scan):
    masks = np.ones((60, 32, 32), bool)
    masks[:, 18:21, 20] = masks[7, 16] = False
    scan, found = tiny_scan.replace(mask=Masks(masks)), []
    model = answering(CONFIG, tiny_scan)
    for value in (0.0, 1e4):
        canvas = canvas_of(scan)
        amplitude, good = canvas.amplitudes.kept
        amplitude[~good] = value
        found.append(model.object_of(canvas))
    assert torch.equal(*found)


def test_the_network_alone_learns(tiny_scan: Scan):
    model = PinnModel(CONFIG.replace(background=True), starting_probe(tiny_scan, 1))
    assert {name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"network"}


def test_training_makes_a_faint_picture_better(tmp_path):
    """No truth was shown: half of the counts judge what is made of the other half."""
    spec = SimulationSpec(
        object="lines",
        size=32,
        n_patterns=196,
        step_px=2.0,
        counts_per_pixel=0.5,
        defocus_m=2.5e-3,
        guess_defocus_error_m=0.0,
    )
    sim, config = simulate(spec), CONFIG.replace(max_epochs=12, n_groups=64, batch_size=8, model_width=8)
    network = pinn_of(train(config, sim.scan, tmp_path / "run").last_checkpoint)
    blank, canvas = PinnModel(config, network.probe.detach()), whole_canvas(sim)
    before, after = (error(model.object_of(canvas)[0], sim) for model in (blank, network))
    assert after < 0.97 * before


def pinn_of(checkpoint) -> PinnModel:
    model = load_checkpoint(checkpoint).model()
    assert isinstance(model, PinnModel)
    return model


@pytest.mark.parametrize("size", [32, 48])
def test_another_probe_changes_nothing_else(tiny_scan: Scan, size):
    model = answering(CONFIG.replace(background=True), tiny_scan)
    model.background_root.data.fill_(0.7)
    probe = torch.ones(2, size, size, dtype=torch.complex64)
    other = model.with_probe(probe)
    torch.testing.assert_close(other.probe, probe)
    assert other.background.item() == pytest.approx(0.49)
    assert all(torch.equal(a, b) for a, b in zip(model.network.parameters(), other.network.parameters(), strict=True))
    assert model.probe.shape == (1, 32, 32)
