"""Which picture is kept: the one that explains patterns that neither was fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.events import Judged, PictureChosen
from ptycho_core.base.verdict import Level
from ptycho_core.engines import polish, training
from ptycho_core.engines.choice import choose_picture, solver_of
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.reconstruct import reconstruct
from ptycho_core.engines.training import train
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from tests.helpers.training_runs import SMALL
from tests.helpers.truth import whole_canvas

CONFIG = Config(**{**SMALL, "model_width": 4, "warm_start_epochs": 8, "n_groups": 8, "max_epochs": 1})


@pytest.mark.parametrize("network", [True, False])
def test_the_picture_that_explains_withheld_patterns_better_is_named(tiny_sim: Simulation, network):
    canvas, probe = whole_canvas(tiny_sim), torch.from_numpy(tiny_sim.truth.probe)
    height, width = tiny_sim.truth.object.shape
    truth, vacuum = (torch.ones(canvas.shape, dtype=torch.complex64) for _ in range(2))
    truth[:height, :width] = torch.from_numpy(tiny_sim.truth.object)
    good, bad = (truth, vacuum) if network else (vacuum, truth)
    solver = DirectModel(CONFIG.replace(engine="direct"), probe, bad)
    told = choose_picture(PinnModel(CONFIG, probe), good[None], solver, canvas.only(np.arange(5)))
    assert told.network is network
    assert told.why.startswith("the network's" if network else "the solver's")


def test_a_run_says_which_picture_is_better_and_reconstructing_keeps_it(tiny_sim: Simulation, tmp_path):
    heard, tiny_scan = [], tiny_sim.scan
    info = train(CONFIG, tiny_scan, tmp_path / "run", events=heard.append)
    (told,) = (event for event in heard if isinstance(event, PictureChosen))
    assert info.picture_chosen == told.why
    found = reconstruct(tiny_scan, info.last_checkpoint, polish_epochs=1, halves=False, final_pass=False)
    (said,) = (line for line in found.history if "explains the validation patterns better" in line)
    solver = solver_of(info.folder, whole_canvas(tiny_sim))
    assert solver is not None
    assert np.array_equal(found.object, solver.object.detach()) == said.startswith("the solver's")


def test_a_run_is_judged_by_the_picture_that_is_kept(tmp_path):
    """A network that has hardly begun to learn is no reason to doubt what the warm start found."""
    heard: list[object] = []
    scan = simulate(SimulationSpec(size=32, n_patterns=100, step_px=4.0, defocus_m=2.5e-3, counts_per_pixel=100.0)).scan
    config = CONFIG.replace(positions="check", warm_start_epochs=20, val_fraction=0.2, learning_rate=1e-9)
    train(config, scan, tmp_path / "run", events=heard.append)
    (chosen,) = (event for event in heard if isinstance(event, PictureChosen))
    (judged,) = (event for event in heard if isinstance(event, Judged))
    assert (chosen.network, judged.verdict.level) == (False, Level.GOOD)


def test_the_middle_of_a_large_scan_judges_its_run(monkeypatch, tmp_path):
    """Patterns beyond those that the network sees at the end would say that there is no picture."""
    monkeypatch.setattr(training, "SEEN_PATTERNS", 60)
    monkeypatch.setattr(polish, "WARM_START_PATTERNS", 60)
    heard: list[object] = []
    scan = simulate(SimulationSpec(size=32, n_patterns=225, step_px=4.0, defocus_m=2.5e-3, counts_per_pixel=100.0)).scan
    config = CONFIG.replace(warm_start_epochs=20, val_fraction=0.2, max_epochs=8)
    train(config, scan, tmp_path / "run", events=heard.append)
    assert not any(isinstance(event, PictureChosen) for event in heard)  # that of the warm start is not of all
    (judged,) = (event for event in heard if isinstance(event, Judged))
    assert judged.verdict.level != Level.POOR
