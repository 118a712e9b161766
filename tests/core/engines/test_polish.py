"""Short fits by the direct engine: the probe before training, the object after."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.events import PreviewReady, Stage, StageChanged, StopToken
from ptycho_core.engines.callbacks import Obey
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Split, split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.polish import KeepBest, polish, warm_start
from ptycho_core.engines.trainer import quiet_lightning
from ptycho_core.quality.deviance import Misfit
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import Simulation, simulate
from tests.helpers.fits import below
from tests.helpers.specs import KNOWN_PROBE

CONFIG = Config(model_width=4, warm_start_epochs=8, preview_seconds=0, accelerator="cpu")
CPU = torch.device("cpu")


def start(scan: Scan, config: Config = CONFIG) -> tuple[PinnModel, Canvas, Split]:
    parts = split(len(scan), config)
    canvas = Canvas.of_scan(scan, Amplitudes(scan), parts.train, CPU)
    return PinnModel.from_scan(scan, config), canvas, parts


def warm(model: PinnModel, scan: Scan, canvas: Canvas, parts: Split) -> DirectModel:
    with quiet_lightning(model.config):
        return warm_start(model, scan, canvas.amplitudes, parts, obey=Obey(StopToken()), emit=lambda event: None)


def warmed(scan: Scan, config: Config = CONFIG) -> PinnModel:
    model, canvas, parts = start(scan, config)
    warm(model, scan, canvas, parts)
    return model


def likeness(a: torch.Tensor, b: np.ndarray) -> float:
    """Correlation of two probes, wherever they are."""
    a = a[0].detach().numpy()
    correlation = np.fft.ifft2(np.fft.fft2(a) * np.fft.fft2(b[0]).conj())
    return float(abs(correlation).max() / np.linalg.norm(a) / np.linalg.norm(b))


def replaced(scan: Scan, part: str) -> Scan:
    """The scan with a part of its patterns turned on their sides: as bright as before."""
    counts = scan.patterns[:].copy()
    rows = getattr(split(len(scan), CONFIG), part)
    counts[rows] = counts[rows].swapaxes(1, 2)[:, ::-1]
    return scan.replace(patterns=Patterns(counts))


@pytest.fixture(scope="module")
def bright(tiny_sim: Simulation) -> Simulation:
    return simulate(dataclasses.replace(tiny_sim.spec, counts_per_pixel=200.0))


@pytest.mark.fit
def test_warm_start_brings_the_probe_closer_to_the_truth(bright: Simulation):
    truth = bright.truth.probe
    before, after = start(bright.scan)[0].probe, warmed(bright.scan).probe
    below(1 - likeness(after, truth), 0.5 * (1 - likeness(before, truth)))


def test_warm_start_sees_neither_free_nor_validation_patterns(bright: Simulation):
    probe = warmed(bright.scan).probe
    for part in ("free", "validation"):
        assert torch.equal(warmed(replaced(bright.scan, part)).probe, probe)
    assert not torch.equal(warmed(replaced(bright.scan, "train")).probe, probe)


def test_warm_start_of_a_large_scan_looks_at_its_middle_alone(bright: Simulation, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.polish.WARM_START_PATTERNS", 20)
    rows = middle(bright.scan, split(len(bright.scan), CONFIG).train, 20)
    counts = bright.scan.patterns[:].copy()
    others = np.setdiff1d(np.arange(len(counts)), rows)
    counts[others] = counts[others].swapaxes(1, 2)
    elsewhere = bright.scan.replace(patterns=Patterns(counts))
    assert torch.equal(warmed(elsewhere).probe, warmed(bright.scan).probe)
    assert not torch.equal(warmed(bright.scan).probe, start(bright.scan)[0].probe)


@pytest.mark.fit
def test_warm_start_shows_the_middle_where_it_lies_in_the_whole_scan(bright: Simulation, monkeypatch):
    model, canvas, parts = start(bright.scan)
    whole = warm(model, bright.scan, canvas, parts)
    monkeypatch.setattr("ptycho_core.engines.polish.WARM_START_PATTERNS", 20)
    some = warm(model, bright.scan, canvas, parts)
    unseen = canvas.only(middle(bright.scan, parts.validation, 2))
    untouched = whole.misfit_of(torch.ones_like(whole.object)[None], unseen).deviance
    assert some.object.shape == whole.object.shape
    below(some.misfit_of(some.object[None], unseen).deviance, 0.5 * untouched)


def test_warm_start_takes_one_device_and_all_its_epochs_whatever_the_run_has(bright: Simulation):
    config = CONFIG.replace(devices=2, num_nodes=2, strategy="ddp", max_steps=1)
    assert torch.equal(warmed(bright.scan, config).probe, warmed(bright.scan).probe)


@pytest.mark.fit
def test_warm_start_ends_when_the_probe_stands_and_returns_the_solver(bright: Simulation):
    model, canvas, parts = start(bright.scan, CONFIG.replace(warm_start_epochs=100))
    solver = warm(model, bright.scan, canvas, parts)
    assert 4 <= solver.trainer.current_epoch < 60
    assert torch.equal(solver.probe, model.probe)
    assert solver.object.shape == canvas.shape
    unseen = canvas.only(parts.validation)
    untouched = solver.misfit_of(torch.ones_like(solver.object)[None], unseen).deviance
    below(solver.misfit_of(solver.object[None], unseen).deviance, 0.3 * untouched)


def test_warm_start_finds_the_background_too(bright: Simulation):
    scan = simulate(dataclasses.replace(bright.spec, background=3.0)).scan
    model = warmed(scan, CONFIG.replace(background=True, warm_start_epochs=25))
    assert model.background.item() == pytest.approx(3, rel=0.3)
    assert warmed(scan).background.item() == 0


def polished(scan: Scan, epochs: int, config: Config = CONFIG, **kwargs):
    model, canvas, parts = start(scan, config)
    object = model.object_of(canvas)
    final, epoch, _ = polish(
        model,
        scan,
        canvas,
        parts,
        object,
        epochs,
        "cpu",
        kwargs.get("emit", lambda event: None),
        kwargs.get("stop", StopToken()),
    )

    def deviance(rows: np.ndarray) -> tuple[float, float]:
        some = canvas.only(rows)
        return model.misfit_of(object, some).deviance, final.misfit_of(final.object_of(some), some).deviance

    return final, epoch, deviance, parts


@pytest.mark.fit
def test_polishing_explains_all_patterns_better_also_those_it_does_not_see(bright: Simulation):
    _, epoch, deviance, parts = polished(bright.scan, 10)
    assert 1 <= epoch <= 10
    for rows, gain in ((parts.train, 0.6), (parts.validation, 0.75), (parts.free, 0.75)):
        before, after = deviance(rows)
        below(after, gain * before)


@pytest.mark.fit
@pytest.mark.parametrize(("guess_error_m", "counts", "held"), [(0.0, 1.0, True), (-0.6e-3, 200.0, False)])
def test_polishing_holds_a_probe_of_which_it_would_only_learn_noise(guess_error_m: float, counts: float, held: bool):
    spec = dataclasses.replace(KNOWN_PROBE, guess_defocus_error_m=guess_error_m, counts_per_pixel=counts)
    scan = simulate(spec).scan
    model, canvas, parts = start(scan)
    object = model.object_of(canvas)
    found = polish(model, scan, canvas, parts, object, 2, "cpu", lambda event: None, StopToken(), gently=True)
    assert found.model.probe_parts.requires_grad is not held


@pytest.mark.fit
def test_polishing_goes_on_from_the_object_probe_and_background_given(bright: Simulation):
    config = CONFIG.replace(background=True)
    model, canvas, parts = start(bright.scan, config)
    model.background_root.data.fill_(0.5)
    object = torch.full((1, *canvas.shape), 0.5 + 0.5j)
    token = StopToken()
    token.stop("enough")
    final, epoch, _ = polish(model, bright.scan, canvas, parts, object, 5, "cpu", lambda event: None, token)
    assert epoch <= 1
    below(float((final.object.detach() - object[0]).abs().max()), 0.2)
    torch.testing.assert_close(final.probe, model.probe, rtol=0.2, atol=0.1 * model.probe.abs().max().item())
    assert final.background.item() == pytest.approx(0.25, abs=0.1)


def test_of_all_epochs_the_one_that_validates_best_is_kept(bright: Simulation, monkeypatch: pytest.MonkeyPatch):
    """Validation patterns of another sample are soon fitted worse again."""
    seen: list[float] = []

    misfit_of = DirectModel.misfit_of

    def noted(*args, **options) -> Misfit:
        found = misfit_of(*args, **options)
        seen.append(found.deviance)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(DirectModel, "misfit_of", noted)
        patch.setattr(KeepBest, "_hold_probe", lambda self, object: None)  # which looks at the first epoch twice more
        _, epoch, deviance, parts = polished(replaced(bright.scan, "validation"), 10)
    assert len(seen) == 1 + 2 * 10  # the object of each epoch, and the same cleaned
    assert epoch == -(-int(np.argmin(seen)) // 2) < 10
    assert deviance(parts.validation)[1] == pytest.approx(min(seen))


def test_without_validation_patterns_the_training_ones_decide(bright: Simulation):
    config = CONFIG.replace(val_fraction=0.0)
    model, canvas, parts = start(bright.scan, config)
    assert np.array_equal(KeepBest(model, canvas, parts, model, 1).canvas.rows, parts.train)


def test_polishing_tells_its_epochs_and_shows_pictures_and_nothing_else(bright: Simulation):
    seen: list[object] = []
    polished(bright.scan, 2, CONFIG.replace(preview_seconds=0.01), emit=seen.append)
    assert all(isinstance(event, PreviewReady | StageChanged) and event.stage == Stage.POLISHING for event in seen)
    told = [(event.epoch, event.epochs) for event in seen if isinstance(event, StageChanged)]
    assert told == [(1, 2), (2, 2)]
    assert len(told) < len(seen)
