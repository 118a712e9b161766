"""Probes: focused, defocused and flat-topped beams with incoherent modes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.simulation.forward import fourier, fresnel, inverse_fourier
from ptycho_core.simulation.spec import SimulationSpec

CENTRAL_STOP = 0.4
"""Diameter of a zone plate's central stop over that of the zone plate."""
FLAT_TOP_EDGE_PX = 2.0
"""Width of the soft edge of the flat-topped beam: a harder one fills the whole detector with fringes."""


def make_probe(spec: SimulationSpec) -> NDArray[np.complex64]:
    """Return the true probe: (M, N, N) complex64 in sqrt(counts), orthogonal modes, the strongest first.

    Scale: ``sum |P|^2 = counts_per_pixel N^2``, so that an object of modulus 1 gives the brightest pattern.
    """
    relative = spec.mode_ratio ** np.arange(spec.modes)
    powers = relative / relative.sum() * spec.counts_per_pixel * spec.size**2
    modes = _at_sample(spec, _modes(_aperture(spec), spec.modes), spec.defocus_m)
    return np.asarray(np.sqrt(powers)[:, None, None] * modes, np.complex64)


def make_probe_guess(spec: SimulationSpec) -> NDArray[np.complex64] | None:
    """Return what an operator would start from: (1, N, N) complex64, one mode, maximum modulus 1, defocus off.

    In the near field that is nothing: patterns show the beam.
    """
    if spec.propagator == "near":
        return None
    beam = _at_sample(spec, _modes(_aperture(spec), 1), spec.defocus_m + spec.guess_defocus_error_m)
    return np.asarray(beam / abs(beam).max(), np.complex64)


def _aperture(spec: SimulationSpec) -> NDArray[np.float64]:
    """Transmission (N, N) of what shapes the beam: the lens in its own plane, or the disc before the sample."""
    k = np.arange(spec.size) - spec.size // 2
    radius = np.hypot(k[:, None], k[None, :])
    edge = spec.aperture * spec.size / 2
    if spec.probe == "flat_top":
        return np.clip((edge - radius) / FLAT_TOP_EDGE_PX + 0.5, 0, 1)
    lens = np.clip(edge - radius + 0.5, 0, 1)
    if spec.probe == "zone_plate":
        lens *= np.clip(radius - CENTRAL_STOP * edge + 0.5, 0, 1)
    return lens


def _at_sample(spec: SimulationSpec, modes: NDArray[np.float64], defocus_m: float) -> NDArray[Any]:
    """Waves (M, N, N) at the sample of modes in the aperture's plane: unitary, so orthogonal modes stay so.

    In the near field the modes are the aperture's shadow on the detector.
    """
    if spread := spec.geometry.fresnel_spread:
        return fresnel(modes, (-spread[0], -spread[1]))
    spectrum = fourier(modes) if spec.probe == "flat_top" else modes
    return inverse_fourier(spectrum * transfer(spec, defocus_m))


def transfer(spec: SimulationSpec, distance_m: float) -> NDArray[np.complex128]:
    """Return the Fresnel transfer function ``exp(-i pi lambda z f^2)``, (N, N), DC centred.

    Goodman, Introduction to Fourier Optics, section 4.2 (without the constant phase ``k z``).
    """
    n = spec.size
    pixel_m = spec.geometry.pixel_size_m(n)
    assert pixel_m is not None
    f = (np.arange(n) - n // 2) / (n * pixel_m[0])
    f2 = f[:, None] ** 2 + f[None, :] ** 2
    wavelength = spec.geometry.wavelength_m
    assert wavelength is not None
    return np.asarray(np.exp(-1j * np.pi * wavelength * distance_m * f2))


def _modes(aperture: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """``count`` orthonormal modes (M, N, N) in the aperture's plane, the first of them the aperture itself.

    The others are the aperture times polynomials of rising degree, made orthogonal by QR: the modes of a
    Gaussian Schell-model beam (Starikov and Wolf, J. Opt. Soc. Am. 72, 923 (1982)) cut by an aperture.
    """
    n = aperture.shape[0]
    axis = (np.arange(n) - n // 2) / n
    degrees = sorted(((i, j) for i in range(count) for j in range(count)), key=lambda d: (d[0] + d[1], d[0]))[:count]
    columns = [(aperture * axis[:, None] ** i * axis[None, :] ** j).ravel() for i, j in degrees]
    q, r = np.linalg.qr(np.stack(columns, axis=1))
    return np.ascontiguousarray((q * np.sign(np.diag(r))).T).reshape(count, n, n)
