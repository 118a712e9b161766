"""Objects made in a few epochs, and counts divided in two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.estimate import Held, Thinning, solve
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.simulation import Simulation
from tests.helpers.truth import error, whole_canvas


def held_of(sim: Simulation) -> Held:
    return Held(torch.from_numpy(sim.truth.probe), torch.tensor(0.0), torch.zeros(0), FAR_FIELD)


def test_each_epoch_comes_closer_to_the_truth(tiny_sim: Simulation):
    canvas, held = whole_canvas(tiny_sim), held_of(tiny_sim)
    vacuum = torch.ones(canvas.shape, dtype=torch.complex64)
    first = solve(canvas, held, 2)
    assert error(first, tiny_sim) < 0.6 * error(vacuum, tiny_sim)
    assert error(solve(canvas, held, 4, first), tiny_sim) < 0.9 * error(first, tiny_sim)
    assert torch.equal(solve(canvas, held, 0, first), first)


def test_patterns_left_out_and_the_order_of_others_play_no_part(tiny_sim: Simulation):
    held, some = held_of(tiny_sim), np.arange(0, 60, 2)
    few, all_of_them = (solve(whole_canvas(tiny_sim, rows), held, 1) for rows in (some, None))
    assert torch.equal(solve(whole_canvas(tiny_sim, some), held, 1), few)
    assert not torch.allclose(few, all_of_them)


@pytest.mark.parametrize("part", [0.1, 0.7])
@pytest.mark.parametrize("at_once", [False, True])
def test_thinned_counts_are_whole_independent_and_add_up(tiny_scan, part, at_once):
    counts = torch.poisson(torch.full((40, 32, 32), 5.0), torch.Generator().manual_seed(0))
    rows, amplitudes = torch.arange(40), Amplitudes(tiny_scan, torch.device("cpu"))
    amplitudes.kept = counts.sqrt(), None
    thinning = Thinning(part, 3, amplitudes if at_once else None)
    first, second = thinning.first(counts, rows), thinning.second(counts, rows)
    assert torch.equal(first + second, counts)
    assert torch.equal(first, first.round())
    assert float(first.mean()) == pytest.approx(5 * part, rel=0.03)
    assert float(first.var()) == pytest.approx(5 * part, rel=0.05)  # Poisson again
    assert abs(float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])) < 0.02


def test_what_is_thinned_depends_on_the_pattern_and_the_seed_alone():
    counts = torch.full((3, 16, 16), 9.0)
    rows, thinning = torch.tensor([4, 8, 15]), Thinning(0.5, 1)
    drawn = thinning.first(counts, rows)
    assert torch.equal(thinning.first(counts[1:2], rows[1:2])[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(Thinning(0.5, 2).first(counts, rows), drawn)


def test_an_object_of_thinned_counts_is_one_of_less_light(tiny_sim: Simulation):
    canvas, held = whole_canvas(tiny_sim), held_of(tiny_sim)
    whole, thin = (solve(canvas, held, 2, thinning=t) for t in (None, Thinning(0.2, 0)))
    assert error(whole, tiny_sim) < error(thin, tiny_sim) < 3 * error(whole, tiny_sim)
