"""A beam along the optical axis: where it is focused, and how wide it is there and elsewhere. No torch here.

Along y, and along x, it is looked at as profiles: its light summed over the other axis. Fresnel propagation changes a
profile by its own axis alone, so that each axis has a focus of its own, and the two differ where it is astigmatic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Geometry
from ptycho_core.simulation.forward import fourier, fresnel

PLANES = 161
"""Of a `Caustic`."""
_FWHM = math.sqrt(2 * math.log(2) / math.pi)
"""Full width at half maximum of a Gaussian profile p over ``(sum p)^2 / sum p^2``."""
_POWER_KEPT = 0.999
_PLANES_IN_DEPTH = 2
_CLEARLY_NARROWER = 0.9
"""A focus is at most so much of the width where the beam outgrows its frame."""
_BEYOND, _RAYLEIGH_LENGTHS = 0.3, 3.0
"""How far a caustic goes beyond sample and foci: a part of the distance between these, or so many Rayleigh lengths."""
_TOLD_APART = 0.5
"""Rayleigh lengths by which foci, or focus and sample, have to differ."""
_WIDEST = 2048
"""Pixels of a probe whose foci are looked for: that takes a time that goes with their cube."""


@dataclass(frozen=True)
class Units:
    """In what lengths are told.

    Parameters
    ----------
    pixel
        Object pixel (y, x) in metres; 1 where it, or the wavelength, is not known.
    wavelength
        In metres; 1 where it, or the pixel, is not known. Distances are then wavelength x distance in square pixels.
    in_metres
        Whether both are known.
    """

    pixel: tuple[float, float] = (1.0, 1.0)
    wavelength: float = 1.0
    in_metres: bool = False

    def spread(self, z: float) -> tuple[float, float]:
        """Return what `fresnel` takes for a distance."""
        return self.wavelength * z / self.pixel[0] ** 2, self.wavelength * z / self.pixel[1] ** 2


@dataclass(frozen=True)
class Beam:
    """Where a probe is focused.

    Parameters
    ----------
    units
        Of all lengths.
    foci
        (y, x) distance from the sample to the plane where the profile is narrowest, positive behind the sample; None
        where there is none within reach.
    widths, focus_widths
        (y, x) of the profiles at the sample, and in the focus of each: the full width at half maximum of the Gaussian
        profile that has the same ``(sum p)^2 / sum p^2``, which weak light far out hardly changes.
    """

    units: Units
    foci: tuple[float | None, float | None]
    widths: tuple[float, float]
    focus_widths: tuple[float | None, float | None]

    @property
    def focus(self) -> float | None:
        """Middle of the foci along y and x; None where one is missing."""
        y, x = self.foci
        return None if y is None or x is None else (y + x) / 2

    @property
    def depth(self) -> float:
        """Rayleigh length of a Gaussian beam as narrow as this one is at its narrowest: pi w0^2 / wavelength."""
        narrowest = min(width for width in (*self.widths, *self.focus_widths) if width is not None)
        return math.pi / (2 * math.log(2)) * narrowest**2 / self.units.wavelength

    @property
    def in_focus(self) -> bool:
        """Whether the sample is about where the beam is narrowest."""
        return self.focus is not None and abs(self.focus) < _TOLD_APART * self.depth

    @property
    def astigmatic(self) -> bool:
        """Whether the foci along y and x are clearly apart."""
        y, x = self.foci
        return y is not None and x is not None and abs(y - x) > _TOLD_APART * self.depth

    def figures(self) -> dict[str, Any]:
        """Return all as primitives, lengths as (y, x), None where not known.

        ``defocus`` is from focus to sample, positive where the sample is behind it; in square pixels over the
        wavelength it is known always.
        """
        pixel, wavelength = self.units.pixel, self.units.wavelength
        area = pixel[0] * pixel[1]
        defocus = [None if focus is None else -focus for focus in self.foci]
        known = self.units.in_metres

        def in_pixels(widths: tuple[float | None, float | None]) -> list[float | None]:
            return [width and width / side for width, side in zip(widths, pixel, strict=True)]

        return {
            "defocus_m": defocus if known else None,
            "defocus_px2_per_wavelength": [z and z * wavelength / area for z in defocus],
            "in_focus": self.in_focus,
            "astigmatic": self.astigmatic,
            "width_px": in_pixels(self.widths),
            "width_m": list(self.widths) if known else None,
            "focus_width_px": in_pixels(self.focus_widths),
            "focus_width_m": list(self.focus_widths) if known else None,
        }


@dataclass(frozen=True, eq=False)
class Caustic:
    """Widths of a beam against the distance from the sample.

    Parameters
    ----------
    beam
        Its foci.
    z
        (K,) distances, positive behind the sample.
    widths
        (K, 2) of the profiles along y and x.
    """

    beam: Beam
    z: NDArray[np.float64]
    widths: NDArray[np.float64]


def units_of(geometry: Geometry, size: int) -> Units:
    """Return metres where wavelength and object pixel are known, of patterns of ``size`` pixels, or else pixels."""
    pixel, wavelength = geometry.pixel_size_m(size), geometry.wavelength_m
    return Units(pixel, wavelength, True) if pixel and wavelength else Units()


def beam_of(probe: NDArray[np.complex64], units: Units) -> Beam | None:
    """Find the foci of a probe (M, N, N); None where it is not finite, has no light or is wider than `_WIDEST`."""
    lines = _lines_of(probe, units)
    return None if lines is None else _beam(lines, units)


def caustic_of(probe: NDArray[np.complex64], units: Units) -> Caustic | None:
    """Follow a probe (M, N, N) through sample and foci, and a few Rayleigh lengths on; None as for `beam_of`."""
    lines = _lines_of(probe, units)
    if lines is None:
        return None
    beam = _beam(lines, units)
    marked = [0.0, *(focus for focus in beam.foci if focus is not None)]
    low, high = min(marked), max(marked)
    beyond = max(_BEYOND * (high - low), _RAYLEIGH_LENGTHS * beam.depth)
    z = np.linspace(low - beyond, high + beyond, PLANES)
    return Caustic(beam, z, np.array([[line.width(distance) for line in lines] for distance in z]))


def propagated(probe: NDArray[np.complex64], z: float, units: Units) -> NDArray[np.complex64]:
    """Return modes (M, N, N) a distance behind the sample, or before it where that is negative.

    The frame stays, so that a beam that outgrows it enters at the other side.
    """
    return np.asarray(fresnel(probe, units.spread(z)), np.complex64)


@dataclass(frozen=True, eq=False)
class _Line:
    """A beam along one axis: spectra (N, r), DC in the middle, of its coherent modes, which add in intensity.

    The probe's columns of all modes have the same mutual intensity as these few, its eigenvectors (Wolf, J. Opt. Soc.
    Am. 72, 343 (1982)).
    """

    spectra: NDArray[np.complex128]
    pixel: float
    wavelength: float

    def width(self, z: float) -> float:
        """As in `Beam`."""
        n = len(self.spectra)
        q = (np.arange(n) - n // 2) / n
        moved = self.spectra * np.exp(-1j * np.pi * self.wavelength * z / self.pixel**2 * q**2)[:, None]
        # Intensity has twice the bandwidth of a wave.
        finer = np.fft.ifft(np.pad(moved, ((n // 2, n - n // 2), (0, 0))), axis=0)
        return _FWHM * _extent((abs(finer) ** 2).sum(axis=1)) / 2 * self.pixel

    def focus(self) -> tuple[float | None, float | None]:
        """Return where the width is least, and the width; None where that is not clearly within the frame's reach."""
        from scipy import optimize  # takes long to import

        n = len(self.spectra)
        edge = max(_extent((abs(self.spectra) ** 2).sum(axis=1)) / 2, 1.0) / n  # cycles per pixel
        per_spread = self.pixel**2 / self.wavelength
        reach, step = n / (2 * edge) * per_spread, per_spread / (_PLANES_IN_DEPTH * edge**2)
        count = math.ceil(reach / step)
        z = np.linspace(-reach, reach, 2 * count + 1)
        widths = np.array([self.width(distance) for distance in z])
        best = int(widths.argmin())
        if best in (0, len(z) - 1) or widths[best] > _CLEARLY_NARROWER * min(widths[0], widths[-1]):
            return None, None
        bounds = z[best - 1], z[best + 1]
        found = optimize.minimize_scalar(self.width, bounds=bounds, method="bounded", options={"xatol": 1e-3 * step})
        return float(found.x), float(found.fun)


def _beam(lines: tuple[_Line, _Line], units: Units) -> Beam:
    (y, width_y), (x, width_x) = (line.focus() for line in lines)
    return Beam(units, (y, x), (lines[0].width(0.0), lines[1].width(0.0)), (width_y, width_x))


def _lines_of(probe: NDArray[np.complex64], units: Units) -> tuple[_Line, _Line] | None:
    if probe.shape[-1] > _WIDEST or not (np.isfinite(probe).all() and probe.any()):
        return None
    wide = probe.astype(np.complex128)
    spectra = fourier(wide / abs(wide).max())  # powers of numbers of any scale
    return (
        _line(spectra.transpose(1, 0, 2), units.pixel[0], units.wavelength),
        _line(spectra.transpose(2, 0, 1), units.pixel[1], units.wavelength),
    )


def _line(columns: NDArray[np.complexfloating[Any, Any]], pixel: float, wavelength: float) -> _Line:
    columns = columns.reshape(len(columns), -1).astype(np.complex128)
    power, modes = np.linalg.eigh(columns @ columns.conj().T)
    power, modes = power[::-1].clip(0), modes[:, ::-1]
    kept = 1 + int(np.searchsorted(power.cumsum(), _POWER_KEPT * power.sum()))
    return _Line(modes[:, :kept] * np.sqrt(power[:kept]), pixel, wavelength)


def _extent(profile: NDArray[np.float64]) -> float:
    """Return how many samples a uniform profile has that is as wide."""
    return float(profile.sum() ** 2 / (profile**2).sum())
