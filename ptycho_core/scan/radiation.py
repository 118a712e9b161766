"""What a beam is made of, its wavelength, and in which field of the sample the detector stands."""

from __future__ import annotations

import math

PLANCK_TIMES_C_EV_M = 1.23984198e-6
"""h c in eV m: a photon's wavelength[m] = this / energy[eV]."""
ELECTRON_EV = 510998.95
"""Rest energy of an electron (CODATA 2018)."""
SOURCES = ("photons", "electrons")
PROPAGATORS = ("far", "near")
"""Far field, or near field (Fresnel)."""


def wavelength_m(energy_ev: float, source: str) -> float:
    """Return ``h c / E`` of photons; of electrons ``h c / sqrt(E (E + 2 m c^2))``, E their kinetic energy.

    The second is ``h / sqrt(2 m e V (1 + e V / (2 m c^2)))``: 1.9687 pm at 300 kV.
    """
    return PLANCK_TIMES_C_EV_M / math.sqrt(energy_ev * (energy_ev + 2 * _rest_energy_ev(source)))


def energy_ev(wavelength_m: float, source: str) -> float:
    """Return the energy that `wavelength_m` takes, in the other direction."""
    photon, rest = PLANCK_TIMES_C_EV_M / wavelength_m, _rest_energy_ev(source)
    return photon**2 / (math.hypot(photon, rest) + rest)


def _rest_energy_ev(source: str) -> float:
    return ELECTRON_EV if source == "electrons" else 0.0
