"""The wave optics: against the simulation's own forward model in NumPy, adjoints, and finite differences."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ptycho_core.engines import losses
from ptycho_core.engines.physics import (
    EPSILON,
    backproject,
    coverage,
    exit_waves,
    gather,
    intensity,
    place,
    replace_modulus,
    scale_probe,
    scatter,
    squared_modulus,
)
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.simulation import Simulation, forward
from ptycho_core.simulation.probes import make_probe

N = 8
CANVAS = (2, 19, 23)
CORNERS = [[[4.0, 4.0], [4.0, 18.0], [14.0, 4.0]], [[14.0, 18.0], [13.999, 4.5], [9.25, 11.0]]]
"""(2, 3, 2) on `CANVAS`: windows in all its corners, on whole pixels and between them."""


def complex_noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def inner(a: torch.Tensor, b: torch.Tensor) -> complex:
    return complex((a.conj() * b).sum())


def corner_windows():
    return place(torch.tensor(CORNERS, dtype=torch.float64), N, CANVAS)


@pytest.mark.parametrize(("real", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("modes", [1, 3])
def test_patterns_equal_those_of_the_numpy_forward_model(real, tolerance, modes):
    complex_ = real.to_complex()
    canvas, probe = complex_noise(21, 26, dtype=complex_), complex_noise(modes, N, N, seed=1, dtype=complex_)
    rng = np.random.default_rng(2)
    # In whole 64ths of a pixel, so that both precisions stand at the same place.
    positions = np.floor(rng.uniform([4, 4], [16.9, 21.9], (20, 2)) * 64) / 64
    expected = forward.intensities(canvas.numpy(), probe.numpy(), positions, background=0.7)
    windows = place(torch.from_numpy(positions).to(real), N, (1, 21, 26))
    found = intensity(
        FAR_FIELD.forward(exit_waves(probe, gather(canvas[None], windows))), torch.tensor(0.7, dtype=real)
    )
    assert found.dtype == real
    np.testing.assert_allclose(found, np.fft.ifftshift(expected, axes=(1, 2)), rtol=tolerance, atol=tolerance)


def test_a_simulated_scan_is_explained_exactly_by_its_truth(tiny_sim: Simulation):
    truth = tiny_sim.truth
    windows = place(torch.from_numpy(truth.positions_px), 32, (1, *truth.object.shape))
    waves = exit_waves(torch.from_numpy(truth.probe), gather(torch.from_numpy(truth.object)[None], windows))
    counts = torch.from_numpy(FAR_FIELD.arranged(tiny_sim.scan.patterns[:]))
    assert float(losses.poisson_deviance(intensity(FAR_FIELD.forward(waves)), counts)) == pytest.approx(0.4, abs=0.1)


def test_gathered_pixel_at_the_centre_is_the_canvas_at_the_position():
    canvas = complex_noise(2, 19, 23)
    patches = gather(canvas, corner_windows())
    assert patches[1, N // 2, N // 2] == canvas[0, 4, 18]
    assert patches[3, N // 2, N // 2] == canvas[1, 14, 18]
    quarter = patches[5, N // 2, N // 2]
    assert complex(quarter) == pytest.approx(complex(0.75 * canvas[1, 9, 11] + 0.25 * canvas[1, 10, 11]))


def test_scatter_is_the_adjoint_of_gather():
    windows = corner_windows()
    canvas, patches = complex_noise(*CANVAS), complex_noise(6, N, N, seed=1)
    assert inner(gather(canvas, windows), patches) == pytest.approx(inner(canvas, scatter(patches, windows)), rel=1e-12)


def test_gradients_of_gather_and_scatter_are_each_other():
    windows = corner_windows()
    canvas, patches = complex_noise(*CANVAS), complex_noise(6, N, N, seed=1)
    _, gathered = torch.autograd.functional.vjp(lambda c: gather(c, windows), canvas, patches)
    torch.testing.assert_close(gathered, scatter(patches, windows))
    _, scattered = torch.autograd.functional.vjp(lambda p: scatter(p, windows), patches, canvas)
    torch.testing.assert_close(scattered, gather(canvas, windows))


def test_patterns_at_one_place_add_up_on_their_own_canvas_alone():
    windows = place(torch.tensor([[[9.0, 9.0], [9.0, 9.0]], [[9.0, 9.0], [10.0, 9.0]]]), N, (2, 19, 19))
    canvas = scatter(torch.ones(4, N, N), windows)
    assert canvas[0].max() == 2
    assert canvas[0].sum() == canvas[1].sum() == 2 * N * N
    assert canvas[0, 5:13, 5:13].min() == 2
    assert canvas[1, 5, 5:13].tolist() == [1] * N


@pytest.mark.parametrize("position", [[3.99, 9], [9, 3.99], [-5, 9], [15.01, 9], [9, 19.01], [9, 40]])
def test_windows_over_the_edge_are_refused(position):
    with pytest.raises(ValueError, match="outside the canvas of 19 x 23"):
        place(torch.tensor([[9.0, 9.0], position]), N, (1, 19, 23))


def test_position_that_rounding_moves_onto_the_last_pixel_still_fits():
    position = np.array([[9.99999999, 9.99999999]])  # 10 as float32, on a canvas made for 9.99...
    windows = place(torch.from_numpy(position.astype(np.float32)), N, (1, 14, 14))
    canvas = complex_noise(1, 14, 14, dtype=torch.complex64)
    exact = forward.gather(canvas[0].numpy(), position, N)
    np.testing.assert_allclose(gather(canvas, windows).numpy(), exact, atol=1e-6)


def test_propagation_keeps_energy_and_inverts():
    wave = complex_noise(3, 2, N, N)
    assert float(squared_modulus(FAR_FIELD.forward(wave)).sum()) == pytest.approx(float(squared_modulus(wave).sum()))
    torch.testing.assert_close(FAR_FIELD.back(FAR_FIELD.forward(wave)), wave)


@pytest.mark.parametrize("loss", ["poisson", "amplitude", "mae"])
def test_gradients_of_the_forward_model_and_each_loss_match_finite_differences(loss):
    size, canvas_shape = 4, (2, 8, 7)
    positions = torch.tensor([[[2.0, 2.0], [4.75, 3.5]], [[3.2, 3.9], [2.5, 2.125]]], dtype=torch.float64)
    windows = place(positions, size, canvas_shape)
    weight = torch.ones(size, size, dtype=torch.float64)
    weight[1, 2] = 0
    counts = torch.poisson(torch.full((4, size, size), 2.0, dtype=torch.float64), torch.Generator().manual_seed(3))
    of = {
        "poisson": lambda expected: losses.poisson_deviance(expected, counts, weight),
        "amplitude": lambda expected: losses.amplitude_error(expected, counts.sqrt(), weight),
        "mae": lambda expected: losses.mean_absolute_error(expected, counts.sqrt(), weight),
    }[loss]

    def misfit(canvas, probe, background):
        return of(intensity(FAR_FIELD.forward(exit_waves(probe, gather(canvas, windows))), background))

    unknowns = (
        complex_noise(*canvas_shape).requires_grad_(),
        complex_noise(2, size, size, seed=1).requires_grad_(),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(misfit, unknowns)


def test_gradients_of_backprojection_match_finite_differences():
    windows = place(torch.tensor([[2.0, 2.0], [3.25, 2.5]], dtype=torch.float64), 4, (1, 8, 8))
    amplitude = complex_noise(2, 4, 4, seed=1).abs()

    def estimate(probe):
        return backproject(amplitude, probe, windows).object

    assert torch.autograd.gradcheck(estimate, complex_noise(2, 4, 4, seed=2).requires_grad_())


def raster(steps: int, step: float) -> torch.Tensor:
    axis = torch.arange(steps, dtype=torch.float32) * step + 16.3
    return torch.cartesian_prod(axis, axis)


@pytest.mark.parametrize("kind", ["zone_plate", "aperture", "flat_top"])
@pytest.mark.parametrize("modes", [1, 3])
def test_backprojection_of_a_featureless_object_is_vacuum(tiny_sim: Simulation, kind, modes):
    probe = torch.from_numpy(make_probe(dataclasses.replace(tiny_sim.spec, probe=kind, modes=modes)))
    windows = place(raster(5, 3.7), 32, (1, 56, 56))
    amplitude = intensity(FAR_FIELD.forward(probe)[None]).sqrt().expand(25, -1, -1)
    estimate = backproject(amplitude, probe, windows)
    assert float(estimate.coverage.max()) > 1
    torch.testing.assert_close(estimate.object, torch.ones(1, 56, 56, dtype=torch.complex64), atol=2e-5, rtol=0)
    torch.testing.assert_close(estimate.numerator.real, coverage(probe, windows), atol=2e-4, rtol=1e-4)


def test_backprojection_fades_to_vacuum_where_there_was_no_light(tiny_sim: Simulation):
    probe = torch.from_numpy(tiny_sim.truth.probe)
    windows = place(torch.tensor([[16.0, 16.0]]), 32, (1, 80, 80))
    estimate = backproject(torch.zeros(1, 32, 32), probe, windows)
    assert bool((estimate.object[0, 40:, 40:] == 1).all())
    brightest = float(estimate.coverage.max())
    assert brightest == pytest.approx(1)
    assert float(estimate.object.real.min()) == pytest.approx(EPSILON / (1 + EPSILON), abs=1e-6)


def test_backprojection_shows_an_object_where_it_is(tiny_sim: Simulation):
    truth = tiny_sim.truth
    windows = place(torch.from_numpy(truth.positions_px).float(), 32, (1, *truth.object.shape))
    amplitude = torch.from_numpy(FAR_FIELD.arranged(tiny_sim.scan.patterns[:])).sqrt()
    estimate = backproject(amplitude, torch.from_numpy(truth.probe), windows)
    lit = (estimate.coverage[0] > 0.5).numpy()
    phase, true = np.angle(estimate.object[0].numpy()[lit]), np.angle(truth.object[lit])
    assert np.corrcoef(phase, true)[0, 1] > 0.7


def test_measured_modulus_replaces_that_of_all_modes_together_and_no_phase():
    waves = complex_noise(2, 3, N, N)
    amplitude = complex_noise(2, N, N, seed=1).abs()
    replaced = replace_modulus(waves, amplitude, None)
    torch.testing.assert_close(intensity(replaced).sqrt(), amplitude)
    torch.testing.assert_close(replaced / replaced.abs(), waves / waves.abs())
    torch.testing.assert_close(replaced[:, 0] / replaced[:, 2], waves[:, 0] / waves[:, 2])


def test_bad_pixels_keep_the_modulus_that_they_have():
    waves, amplitude = complex_noise(2, 3, N, N), complex_noise(2, N, N, seed=1).abs()
    weight = torch.ones(N, N, dtype=torch.float64)
    weight[2, 5] = weight[0, 0] = 0
    replaced = replace_modulus(waves, amplitude, weight)
    bad = weight == 0
    assert torch.equal(replaced[..., bad], waves[..., bad])
    other = amplitude.clone()
    other[:, bad] = 1e6
    assert torch.equal(replace_modulus(waves, other, weight), replaced)


def test_dark_pixels_give_a_finite_wave():
    waves = torch.zeros(1, 1, N, N, dtype=torch.complex64)
    assert bool(replace_modulus(waves, torch.full((1, N, N), 100.0), None).isfinite().all())


def test_scaled_probe_gives_the_brightest_pattern_on_vacuum():
    probe = scale_probe(complex_noise(3, N, N), 1234.0)
    assert float(intensity(FAR_FIELD.forward(probe)[None]).sum()) == pytest.approx(1234)
