"""Moving all patterns of a scan together, and the object with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ptycho_core.engines.one_pass import Measured, Unknowns
from ptycho_core.engines.physics import place, squared_modulus
from ptycho_core.engines.solver import asked_of_all, expected_counts
from ptycho_core.engines.stage import STEP, Asked, Overlap, SampleStage, carried, inside
from ptycho_core.simulation import SimulationSpec, simulate

SIZE = 32
TRUTH = simulate(SimulationSpec(size=SIZE, n_patterns=100, step_px=4.0, jitter_px=1.0, defocus_m=2.5e-3)).truth
PROBE = torch.from_numpy(TRUTH.probe)
OBJECT = torch.nn.functional.pad(torch.from_numpy(TRUTH.object.astype(np.complex64)), (8, 8, 8, 8), value=1.0)
PLACES = torch.from_numpy(TRUTH.positions_px.astype(np.float32)) + 8
SHAPE = tuple(OBJECT.shape)


def overlap_at(object: Tensor, positions: Tensor) -> Overlap:
    return Overlap(object, squared_modulus(PROBE).sum(dim=0), place(positions, SIZE, (1, *SHAPE)))


def asked_back(moves: Tensor) -> Tensor:
    """Steps that patterns ask for, that were moved (n, 2) away from where they are with their object."""
    counts = expected_counts(OBJECT, PROBE, place(PLACES, SIZE, (1, *SHAPE)))
    wrong = carried(OBJECT, overlap_at(OBJECT, PLACES).field(moves))
    overlap = overlap_at(wrong, PLACES + moves)
    patterns = Measured(counts, overlap.windows, None, 0.0, torch.arange(len(PLACES)))
    unknowns = Unknowns.of(wrong, PROBE)._replace(shifts=torch.zeros_like(PLACES))
    by_object, by_shifts = asked_of_all(unknowns, patterns)
    return STEP * overlap.steps(Asked(by_shifts, by_object))


@pytest.mark.parametrize("of", ["stretch", "rotation", "drift"])
def test_patterns_that_carried_their_object_along_are_asked_back(of: str):
    y, x = ((PLACES - PLACES.mean(dim=0)) / 40).T
    slow = torch.sin(torch.linspace(0, 5, len(PLACES)))
    moves = (
        0.6
        * {
            "stretch": torch.stack([y, torch.zeros_like(y)], dim=1),
            "rotation": torch.stack([x, -y], dim=1),
            "drift": torch.stack([slow - slow.mean(), torch.zeros_like(y)], dim=1),
        }[of]
    )
    steps = asked_back(moves)
    alike = (steps * -moves).sum() / (steps.norm() * moves.norm())
    assert alike > 0.7
    assert steps.norm() > 0.2 * moves.norm()


def test_a_shift_of_all_together_is_never_asked_for():
    random = torch.from_numpy(np.random.default_rng(1).normal(0, 0.5, PLACES.shape).astype(np.float32))
    steps = asked_back(random)
    assert steps.mean(dim=0).norm() < 0.1 * steps.norm(dim=1).mean()
    assert asked_back(torch.zeros_like(PLACES)).norm(dim=1).max() < 0.05


def test_an_image_is_carried_along():
    image = torch.complex(torch.rand(24, 20), torch.rand(24, 20))
    field = torch.stack([torch.full((24, 20), 2.0), torch.full((24, 20), -1.0)])
    torch.testing.assert_close(carried(image, field)[6:-6, 6:-6], image[4:-8, 7:-5], atol=1e-4, rtol=0)


def test_a_pattern_that_runs_away_is_put_back_and_the_others_move():
    stage = SampleStage(PLACES, torch.arange(len(PLACES)), SHAPE, PROBE)
    shifts, velocity = torch.zeros_like(PLACES), torch.zeros_like(PLACES)
    shifts[7, 0] = stage.reach + 2
    gradient = torch.zeros_like(PLACES)
    gradient[3, 1] = -1.0
    curvature = torch.eye(2).expand(len(PLACES), 2, 2)
    shifts = shifts + stage.single_steps(shifts, gradient, curvature, velocity)
    assert stage.put_back == {7}
    assert shifts[7].norm() < 0.2 * stage.reach
    assert shifts[3, 1] > 0.3


def test_a_scan_that_runs_away_is_kept_from_it():
    stage = SampleStage(PLACES, torch.arange(len(PLACES)), SHAPE, PROBE)
    velocity = 3 * (PLACES - PLACES.mean(dim=0))
    overlap = overlap_at(OBJECT, PLACES)
    nothing = Asked(torch.zeros_like(PLACES), torch.zeros_like(OBJECT))
    steps = stage.steps_together(torch.zeros_like(PLACES), overlap, nothing, velocity, all_alike=True)
    assert stage.ran_away
    assert steps.norm() == 0


def test_shifts_end_at_the_canvas_edge():
    far = torch.full_like(PLACES, 1000.0)
    place(PLACES + inside(PLACES, far, SIZE, SHAPE), SIZE, (1, *SHAPE))
    place(PLACES + inside(PLACES, -far, SIZE, SHAPE), SIZE, (1, *SHAPE))


def test_held_out_patterns_are_carried_along():
    train = torch.arange(1, len(PLACES))
    stage = SampleStage(PLACES, train, SHAPE, PROBE)
    velocity = 0.02 * (PLACES - PLACES[train].mean(dim=0)) / 0.7
    nothing = Asked(torch.zeros(len(train), 2), torch.zeros_like(OBJECT))
    steps = stage.steps_together(
        torch.zeros_like(PLACES), overlap_at(OBJECT, PLACES[train]), nothing, velocity, all_alike=True
    )
    middle = int((PLACES - PLACES.mean(dim=0)).norm(dim=1)[1:].argmax()) + 1
    assert steps[0].norm() > 0.3 * steps[middle].norm()
