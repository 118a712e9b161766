"""The forward model: against the simulation's own in NumPy, adjoints, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.engines import losses
from ptycho_core.engines.physics import add_patches, light_on, place, read_patches, scale_probe, squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.engines.solver import expected_counts
from ptycho_core.simulation import Simulation, forward

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


def band_limited(modes: int) -> torch.Tensor:
    """A probe whose transform fills the middle half of the detector."""
    spectrum = complex_noise(modes, 32, 32, seed=1, dtype=torch.complex64)
    away = torch.fft.fftfreq(32).abs()
    return torch.fft.ifft2(spectrum * (torch.hypot(away[:, None], away) < 0.25))


@pytest.mark.parametrize("modes", [1, 3])
def test_patterns_equal_those_of_the_numpy_forward_model(modes):
    canvas, probe = complex_noise(60, 70, dtype=torch.complex64), band_limited(modes)
    positions = np.random.default_rng(2).uniform([16, 16], [43, 53], (20, 2))
    exact = np.fft.ifftshift(forward.intensities(canvas.numpy(), probe.numpy(), positions, 0.01), axes=(1, 2))
    windows = place(torch.from_numpy(positions).float(), 32, (1, 60, 70))
    found = expected_counts(canvas, probe, windows, background=0.01).numpy()
    assert abs(found - exact).max() < 0.01 * exact.max()
    whole = place(torch.from_numpy(positions).float().round(), 32, (1, 60, 70))
    assert abs(expected_counts(canvas, probe, whole).numpy() - exact).max() > 0.1 * exact.max()


def test_a_simulated_scan_is_explained_exactly_by_its_truth(tiny_sim: Simulation):
    truth = tiny_sim.truth
    windows = place(torch.from_numpy(truth.positions_px).float(), 32, (1, *truth.object.shape))
    expected = expected_counts(torch.from_numpy(truth.object), torch.from_numpy(truth.probe), windows)
    counts = torch.from_numpy(FAR_FIELD.arranged(tiny_sim.scan.patterns[:]))
    assert float(losses.poisson_deviance(expected, counts)) == pytest.approx(0.4, abs=0.1)


def test_the_middle_of_a_patch_is_the_canvas_at_the_whole_part_of_the_position():
    canvas = complex_noise(*CANVAS)
    patches = read_patches(canvas.flatten(0, 1), corner_windows())
    assert patches[1, N // 2, N // 2] == canvas[0, 4, 18]
    assert patches[3, N // 2, N // 2] == canvas[1, 14, 18]
    assert patches[5, N // 2, N // 2] == canvas[1, 9, 11]
    torch.testing.assert_close(corner_windows().fraction[5], torch.tensor([0.25, 0.0], dtype=torch.float64))


def test_adding_patches_is_the_adjoint_of_reading_them_and_its_gradient():
    windows = corner_windows()
    canvas, patches = complex_noise(*CANVAS).flatten(0, 1), complex_noise(6, N, N, seed=1)
    added = torch.zeros_like(canvas)
    add_patches(added, patches, windows)
    assert inner(read_patches(canvas, windows), patches) == pytest.approx(inner(canvas, added), rel=1e-12)
    _, gradient = torch.autograd.functional.vjp(lambda c: read_patches(c, windows), canvas, patches)
    torch.testing.assert_close(gradient, added)


def test_light_adds_up_where_patterns_overlap():
    probe = complex_noise(2, N, N)
    windows = place(torch.tensor([[9.0, 9.0], [9.0, 9.0], [12.0, 9.0]]), N, (1, 21, 19))
    light, one = light_on(probe, windows), squared_modulus(probe).sum(dim=0).float()
    torch.testing.assert_close(light[5:8, 5:13], 2 * one[:3])
    torch.testing.assert_close(light[8:13, 5:13], 2 * one[3:] + one[:5])
    assert light.sum() == pytest.approx(3 * float(one.sum()), rel=1e-5)


@pytest.mark.parametrize("position", [[3.99, 9], [9, 3.99], [-5, 9], [15.01, 9], [9, 19.01], [9, 40]])
def test_windows_over_the_edge_are_refused(position):
    with pytest.raises(ValueError, match="outside the canvas of 19 x 23"):
        place(torch.tensor([[9.0, 9.0], position]), N, (1, 19, 23))


def test_position_that_rounding_moves_onto_the_last_pixel_still_fits():
    position = np.array([[9.99999999, 9.99999999]])  # 10 as float32, on a canvas made for 9.99...
    windows = place(torch.from_numpy(position.astype(np.float32)), N, (1, 14, 14))
    assert windows.fraction.tolist() == [[1, 1]]
    assert read_patches(complex_noise(14, 14), windows).shape == (1, N, N)


def test_propagation_keeps_energy_and_inverts():
    wave = complex_noise(3, 2, N, N)
    assert float(squared_modulus(FAR_FIELD.forward(wave)).sum()) == pytest.approx(float(squared_modulus(wave).sum()))
    torch.testing.assert_close(FAR_FIELD.back(FAR_FIELD.forward(wave)), wave)


def test_scaled_probe_gives_the_brightest_pattern_on_vacuum():
    probe = scale_probe(complex_noise(3, N, N), 1234.0)
    assert float(squared_modulus(FAR_FIELD.forward(probe)).sum()) == pytest.approx(1234)
