"""Searching for the beam: found from a wrong probe or none, a right one kept, bounded, obedient."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from ptycho_core.base.events import Cancelled, ProbeSearched, Stage, StageChanged, StopToken
from ptycho_core.engines.beams import phase
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.probe_search import FEWEST_PATTERNS, SearchResult, search_probe
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.forward import fourier, inverse_fourier
from tests.helpers.fits import above, below
from tests.helpers.training_runs import Training


def likeness(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> float:
    """1 for equal beams, wherever they lie and however bright."""
    product = np.fft.ifft2(np.fft.fft2(a).conj() * np.fft.fft2(b))
    return float(abs(product).max() / np.sqrt((abs(a) ** 2).sum() * (abs(b) ** 2).sum()))


def search(scan: Scan, rows: NDArray[np.int64] | None = None, **options: object) -> SearchResult:
    rows = np.arange(len(scan)) if rows is None else rows
    return search_probe(scan, Amplitudes(scan), rows, **options)  # type: ignore[arg-type]


def blurred(probe: NDArray[np.complex64], *terms: float) -> NDArray[np.complex64]:
    """Return a probe with these radians of defocus and astigmatism at the edge of the far field."""
    n = probe.shape[-1]
    return inverse_fourier(fourier(probe) * np.exp(1j * phase(n, n / 4, terms))).astype(np.complex64)


@pytest.fixture(scope="module")
def well_seen(tiny_sim: Simulation) -> Simulation:
    """Enough patterns, bright enough, that the beam is found whatever their noise: `tiny_sim` is too small for it."""
    return simulate(dataclasses.replace(tiny_sim.spec, n_patterns=100, counts_per_pixel=200.0))


@pytest.mark.fit
@pytest.mark.parametrize(
    "terms", [(-5.0,), (0.0, 3.0, -2.0)], ids=["a wrong defocus", "astigmatism that the beam does not have"]
)
def test_a_wrong_probe_is_mended(well_seen: Simulation, terms: tuple[float, ...]) -> None:
    guess = blurred(well_seen.truth.probe, *terms)
    below(likeness(guess[0], well_seen.truth.probe[0]), 0.85)
    found = search(well_seen.scan.replace(probe=guess))
    assert found.probe is not None
    assert found.probe.shape == (1, 32, 32)
    above(likeness(found.probe[0], well_seen.truth.probe[0]), 0.98)
    assert found.why.startswith("found a better beam than the scan's own probe: half deviance 0.")


@pytest.mark.fit
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_positions_that_are_off_do_not_lead_to_a_spot(seed: int) -> None:
    spec = SimulationSpec(n_patterns=225, counts_per_pixel=200.0, position_error_px=1.2, seed=seed)
    displaced = simulate(spec)
    guess, true = displaced.scan.probe[0], displaced.truth.probe[0]  # type: ignore[index]
    below(likeness(guess, true), 0.85)
    found = search(displaced.scan)
    assert found.probe is not None
    above(likeness(found.probe[0], true), 0.88)


@pytest.mark.fit
def test_a_scan_without_a_probe_gets_one_in_spite_of_bad_pixels(well_seen: Simulation) -> None:
    spec = dataclasses.replace(well_seen.spec, hot_pixels=6, dead_pixels=6)
    found = search(simulate(spec).scan.replace(probe=None))
    assert found.probe is not None
    above(likeness(found.probe[0], well_seen.truth.probe[0]), 0.98)


def test_the_true_probe_is_kept(tiny_sim: Simulation) -> None:
    found = search(tiny_sim.scan.replace(probe=tiny_sim.truth.probe))
    assert found.probe is None
    assert found.why.startswith("kept the scan's own probe: it explains the patterns")
    assert found.trials == ()


def test_a_known_beam_takes_the_place_of_a_worse_probe_alone(tiny_sim: Simulation) -> None:
    true, wrong = tiny_sim.truth.probe, blurred(tiny_sim.truth.probe, 8.0)
    kept = search(tiny_sim.scan.replace(probe=wrong), known=true)
    assert kept.probe is true
    assert kept.why.startswith("kept the beam of the model to go on from: it explains the patterns")
    assert search(tiny_sim.scan.replace(probe=true), known=wrong).probe is None


def test_about_a_known_beam_a_faint_scan_is_searched_nearby_only(tiny_sim: Simulation) -> None:
    faint = simulate(dataclasses.replace(tiny_sim.spec, counts_per_pixel=2.0)).scan
    wrong = faint.replace(probe=blurred(tiny_sim.truth.probe, 8.0))
    near, far = search(wrong, known=tiny_sim.truth.probe), search(wrong)
    assert {trial.family for trial in near.trials} == {"the beam of the model to go on from"}
    assert 0 < len(near.trials) < len(far.trials) / 3


def test_a_probe_that_cannot_explain_the_patterns_better_than_others_is_kept_too(tiny_sim: Simulation) -> None:
    faint = simulate(dataclasses.replace(tiny_sim.spec, counts_per_pixel=0.5)).scan
    found = search(faint.replace(probe=tiny_sim.truth.probe))
    assert found.probe is None
    assert found.why.startswith(f"kept the scan's own probe: of {len(found.trials)} beams tried none is clearly better")


def test_a_pinholes_beam_is_not_made_worse(tiny_sim: Simulation) -> None:
    spec = dataclasses.replace(tiny_sim.spec, probe="flat_top", defocus_m=0.0, guess_defocus_error_m=0.0)
    simulation = simulate(spec)
    found = search(simulation.scan)
    assert found.probe is None or likeness(found.probe[0], simulation.truth.probe[0]) > 0.98


def test_few_patterns_suffice_and_two_searches_find_the_same(tiny_sim: Simulation) -> None:
    scan = tiny_sim.scan.take(np.arange(16))
    first, second = search(scan), search(scan)
    assert first.trials == second.trials
    assert first.why == second.why
    assert np.array_equal(first.probe, second.probe)  # type: ignore[arg-type]


def test_without_enough_patterns_or_light_there_is_no_search(tiny_scan: Scan) -> None:
    few = search(tiny_scan, np.arange(FEWEST_PATTERNS - 1))
    assert few.why == "did not search for the beam: 11 patterns are too few to judge by"
    assert few.probe is None
    dark = search(tiny_scan.replace(patterns=Patterns(np.zeros_like(tiny_scan.patterns[:]))))
    assert dark.probe is None
    assert "empty" in dark.why


def test_only_the_patterns_that_train_are_looked_at(tiny_scan: Scan) -> None:
    rows = np.arange(0, 60, 2)
    broken = tiny_scan.patterns[:].copy()
    broken[1::2] = 1e4
    trials = []
    for patterns in (tiny_scan.patterns, Patterns(broken)):
        stop = StopToken()
        result = search(
            tiny_scan.replace(patterns=patterns), rows, stop=stop, tried=lambda trial, stop=stop: stop.stop()
        )
        trials.append(result.trials)
    assert trials[0] == trials[1]


def test_a_stop_ends_the_search_without_a_result_and_a_cancel_leaves(tiny_scan: Scan) -> None:
    stop = StopToken()
    stopped = search(tiny_scan, stop=stop, tried=lambda trial: stop.stop())
    assert stopped.probe is None
    assert stopped.why == "the search for the beam was stopped"
    assert len(stopped.trials) == 1
    cancel = StopToken()
    with pytest.raises(Cancelled):
        search(tiny_scan, stop=cancel, tried=lambda trial: cancel.cancel())


@pytest.mark.fit
def test_a_run_searches_once_starts_from_what_was_found_and_says_so(tmp_path, tiny_sim: Simulation) -> None:
    scan = tiny_sim.scan.replace(probe=blurred(tiny_sim.truth.probe, -5.0))
    training = Training(tmp_path / "out")
    settings = {"engine": "direct", "probe_search": True, "probe_trainable": False, "preview_seconds": 0}
    training.go(scan=scan, max_epochs=1, **settings)
    [told] = training.all(ProbeSearched)
    assert told.changed
    assert training.info.probe_search == told.why
    assert [event.stage for event in training.all(StageChanged)][:3] == [
        Stage.LOADING,
        Stage.SEARCHING,
        Stage.TRAINING,
    ]
    parts, scale = (training.last["state_dict"][name].numpy() for name in ("probe_parts", "probe_scale"))
    above(likeness((parts[0, ..., 0] + 1j * parts[0, ..., 1]) * scale, tiny_sim.truth.probe[0]), 0.98)

    training.go(scan=scan, max_epochs=2, resume=True, **settings)
    assert len(training.all(ProbeSearched)) == 1
    assert training.info.probe_search == told.why
