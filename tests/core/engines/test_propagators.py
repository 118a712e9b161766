"""From sample to detector and back, in the far field and in the near field."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.engines.propagators import FAR_FIELD, NearField, of_state, propagator_of
from ptycho_core.scan.scan import Geometry, Scan

SPREAD = (3.0, 4.5)
BOTH = pytest.mark.parametrize("propagator", [FAR_FIELD, NearField(SPREAD)], ids=["far", "near"])
N = 16


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def smooth(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A wave of few periods of N pixels, which is known between pixels."""
    turn = 2j * np.pi / N
    return 1 + 0.5 * np.exp(turn * (2 * y - x)) + 0.25j * np.exp(turn * (3 * x + y))


@BOTH
@pytest.mark.parametrize("moved", [False, True])
def test_the_way_back_undoes_the_way_there_and_is_its_adjoint(propagator, moved):
    a, b = noise(3, 2, N, N), noise(3, 2, N, N).flip(0)
    fraction = torch.tensor([[0.2, 0.9], [0.0, 0.0], [0.5, 0.25]]) if moved else None
    torch.testing.assert_close(propagator.back(propagator.forward(a, fraction), fraction), a, rtol=1e-4, atol=1e-5)
    one, other = (
        complex((x.conj() * y).sum())
        for x, y in ((b, propagator.forward(a, fraction)), (propagator.back(b, fraction), a))
    )
    assert one == pytest.approx(other, rel=1e-4)


@BOTH
def test_patterns_are_arranged_as_waves_arrive(propagator):
    """A blurred spot off the centre, seen where optics puts it."""
    k = np.arange(N) - N // 2
    numpy_wave = smooth(k[:, None], k[None])
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(numpy_wave), norm="ortho"))
    if propagator is not FAR_FIELD:
        q2 = SPREAD[0] * (k[:, None] / N) ** 2 + SPREAD[1] * (k[None] / N) ** 2
        far = centred * np.exp(-1j * np.pi * q2)
        centred = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(far), norm="ortho"))
    found = propagator.forward(torch.from_numpy(numpy_wave.astype(np.complex64)))
    np.testing.assert_allclose(abs(found), propagator.arranged(abs(centred)), atol=1e-4)


def test_in_the_near_field_the_frame_stays_with_the_beam():
    k = np.arange(N)
    there, moved = (smooth(k[:, None] + dy, k[None] + dx) for dy, dx in ((0, 0), (0.3, 0.8)))
    there, moved = (torch.from_numpy(wave.astype(np.complex64))[None, None] for wave in (there, moved))
    near = NearField(SPREAD)
    torch.testing.assert_close(near.forward(there, torch.tensor([[0.3, 0.8]])), near.forward(moved), atol=1e-4, rtol=0)


def test_a_point_spreads_over_as_many_pixels_as_the_spread_says():
    """The shadow of a grating of q cycles per pixel lies q times the spread beside it: the Talbot effect's geometry."""
    y = np.arange(64)
    beam = np.exp(-(((y[:, None] - 32) / 6) ** 2) - ((y[None] - 32) / 6) ** 2) * np.exp(2j * np.pi * 0.25 * y[:, None])
    light = abs(NearField((20.0, 20.0)).forward(torch.from_numpy(beam.astype(np.complex64))).numpy()) ** 2
    assert (light.sum(axis=1) * y).sum() / light.sum() == pytest.approx(32 + 0.25 * 20, abs=0.1)


def test_a_network_trains_through_a_propagator_that_a_preview_used_before():
    near, waves = NearField((1.5, 2.5)), noise(1, 1, N, N)
    with torch.inference_mode():
        near.forward(waves)
    waves.requires_grad_()
    near.forward(waves).abs().sum().backward()
    assert waves.grad is not None


def test_a_checkpoint_knows_the_propagator():
    assert of_state(FAR_FIELD.state) is FAR_FIELD
    assert of_state(NearField(SPREAD).state).spread == SPREAD  # type: ignore[attr-defined]


def test_the_geometry_tells_the_propagator(tiny_scan: Scan):
    """A cone of light: PETRA III P25, 12.66 keV, 3.65 mm behind the focus, 1.12 m from the detector."""
    assert propagator_of(tiny_scan) is FAR_FIELD
    geometry = Geometry(12660.0, 1.12, (55e-6, 55e-6), propagator="near", magnification=1 + 1.12 / 3.65e-3)
    near = propagator_of(tiny_scan.replace(geometry=geometry))
    assert isinstance(near, NearField)
    assert near.spread == pytest.approx((11.16, 11.16), rel=1e-3)
    assert geometry.pixel_size_m(100) == pytest.approx((178.66e-9, 178.66e-9), rel=1e-4)
