"""From the sample to the detector: far field, or near field as a shadow that is Fresnel-blurred.

A propagator is all that tells one from the other: what a wave becomes, the way back, and how stored patterns lie.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.scan.scan import Scan

_WEAK = 0.1


class Propagator(ABC):
    """Takes exit waves (..., N, N) to the detector and back; unitary, so that the way back is the adjoint too."""

    @property
    @abstractmethod
    def state(self) -> Tensor:
        """What a checkpoint keeps of it: `of_state` makes it anew."""

    @property
    def lowest_frequency(self) -> float:
        """Cycles per pixel below which patterns hardly tell the object's phase."""
        return 0.0

    @abstractmethod
    def forward(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Return the waves at the detector.

        Parameters
        ----------
        waves
            (..., N, N) in the window of the object.
        fraction
            (b, 2) by which the beam lies below and to the right of where the windows (b, M, N, N) have it, or None.
        """

    @abstractmethod
    def back(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Return what `forward` made these of."""

    @abstractmethod
    def arranged(self, patterns: NDArray[Any]) -> NDArray[Any]:
        """Return patterns (..., N, N) of a scan as `forward` gives them."""


class FarField(Propagator):
    """The orthonormal transform, DC in the corner: stored patterns are shifted once instead of every wave.

    Where in its window a wave lies changes only the phase at the detector.
    """

    @property
    def state(self) -> Tensor:
        """Nothing."""
        return torch.zeros(0)

    def forward(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Transform."""
        result: Tensor = torch.fft.fft2(waves, norm="ortho")
        return result

    def back(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Transform back."""
        result: Tensor = torch.fft.ifft2(waves, norm="ortho")
        return result

    def arranged(self, patterns: NDArray[Any]) -> NDArray[Any]:
        """Move DC from pixel (N//2, N//2) to the corner."""
        return np.fft.ifftshift(patterns, axes=(-2, -1))


class NearField(Propagator):
    """Fresnel propagation on the object's grid: ``F^-1[exp(-i pi s q^2) F psi]``, q in cycles per pixel.

    Goodman, Introduction to Fourier Optics, section 4.2, without the constant phase. A cone of light is a parallel beam
    over the effective distance, seen with the magnified detector's pixels (Paganin, Coherent X-Ray Optics, appendix B:
    the Fresnel scaling theorem).

    Parameters
    ----------
    spread
        s (y, x), `Geometry.fresnel_spread`.
    """

    def __init__(self, spread: tuple[float, float]) -> None:
        self.spread = spread

    @property
    def state(self) -> Tensor:
        """The spread."""
        return torch.tensor(self.spread)

    @property
    def lowest_frequency(self) -> float:
        """Where the transfer of a weak phase to a shadow's light, ``sin(pi s q^2)``, is a tenth.

        Pogany, Gao and Wilkins, Rev. Sci. Instrum. 68, 2774 (1997).
        """
        return math.sqrt(math.asin(_WEAK) / (math.pi * min(self.spread)))

    def forward(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Propagate; the frame stays with the beam, so waves in windows that do not are moved there."""
        return self._apply(waves, fraction, conjugate=False)

    def back(self, waves: Tensor, fraction: Tensor | None = None) -> Tensor:
        """Propagate back."""
        return self._apply(waves, fraction, conjugate=True)

    def _apply(self, waves: Tensor, fraction: Tensor | None, *, conjugate: bool) -> Tensor:
        spectrum = torch.fft.fft2(waves)
        for axis in (0, 1):
            factor = _transfer(waves.shape[-1], self.spread[axis], waves.device)
            if fraction is not None:
                factor = factor * _ramp(waves.shape[-1], fraction[:, axis])[:, None]
            spectrum = spectrum * (factor.conj() if conjugate else factor).unsqueeze(-1 if axis == 0 else -2)
        result: Tensor = torch.fft.ifft2(spectrum)
        return result

    def arranged(self, patterns: NDArray[Any]) -> NDArray[Any]:
        """Leave them: a pixel of the detector is one of the object."""
        return patterns


FAR_FIELD = FarField()


def propagator_of(scan: Scan) -> Propagator:
    """Return what a scan was measured in."""
    spread = scan.fresnel_spread
    return FAR_FIELD if spread is None else NearField(spread)


def of_state(state: Tensor | None) -> Propagator:
    """Return the propagator of a checkpoint; those of version 0.1 keep none."""
    return FAR_FIELD if state is None or not len(state) else NearField((float(state[0]), float(state[1])))


@functools.lru_cache(maxsize=8)
def _transfer(size: int, spread: float, device: torch.device) -> Tensor:
    """(N,) complex64, of one axis; computed in float64, as the phase is large."""
    with torch.inference_mode(False):  # kept for training too, whoever asks first
        q = torch.fft.fftfreq(size, dtype=torch.float64)
        return torch.polar(torch.ones_like(q), -math.pi * spread * q.square()).to(torch.complex64).to(device)


def _ramp(size: int, fraction: Tensor) -> Tensor:
    """(b, N): what moves waves up, or to the left, by fractions (b,) of a pixel."""
    phase = 2 * math.pi * fraction[:, None] * torch.fft.fftfreq(size, device=fraction.device)
    return torch.polar(torch.ones_like(phase), phase)
