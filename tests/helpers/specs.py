"""Simulated scans that several tests use; others: `dataclasses.replace` one of them."""

from __future__ import annotations

from ptycho_core.simulation import SimulationSpec

SMALL = SimulationSpec(size=16, n_patterns=36, step_px=2, jitter_px=0.5)
"""For what trains without a picture to be asked for: an epoch takes a few hundredths of a second."""

PHOTOGRAPHS = SimulationSpec(
    object="photographs",
    modulus_min=0.5,
    phase_max=1.5,
    size=32,
    n_patterns=100,
    step_px=4.0,
    jitter_px=1.0,
    defocus_m=2.5e-3,
    guess_defocus_error_m=-0.6e-3,
    counts_per_pixel=300.0,
)
"""For fits that have to find the truth: every place differs, in modulus and phase, and photons abound."""

KNOWN_PROBE = SimulationSpec(
    size=32,
    n_patterns=100,
    step_px=4.0,
    jitter_px=1.0,
    defocus_m=2.5e-3,
    guess_defocus_error_m=0.0,
    counts_per_pixel=100,
)
"""For fits of what else is not known of a scan: its probe is."""
