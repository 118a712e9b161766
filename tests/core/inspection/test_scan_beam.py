"""Whether a beam may be that of a scan whose own probe is a guess: what the patterns say of beams."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exact_scans import CASES, beam, make

from ptycho_core.inspection.scan_beam import ScanBeam
from ptycho_core.scan.scan import Patterns, Scan

WIDE = dataclasses.replace(CASES["second"], size=64, side=13, step_px=5, scatter_px=1.5, defocus=0.1)
NARROW = dataclasses.replace(WIDE, defocus=0.009)


def probe_of(case, guess=None):
    return beam(case, guess).astype(np.complex64)[None]


def scan_of(case) -> Scan:
    made = make(case)
    return Scan(Patterns(made.counts), made.recorded, None if made.guess is None else made.guess[None])


@pytest.fixture(scope="module", params=[30.0, 1.0], ids=["bright", "faint"])
def scans(request):
    """A scan under the wide beam, by the defocus of its own probe as a share of the true one."""
    return {
        guess: scan_of(dataclasses.replace(WIDE, guess=guess, counts_per_pixel=request.param))
        for guess in (0.8, 0.5, 0.25, None)
    }


@pytest.mark.parametrize("guess", [0.8, 0.5, 0.25, None])
def test_the_beam_of_a_scan_suits_whatever_the_defocus_of_the_scans_guess(scans, guess):
    assert ScanBeam(scans[guess]).may_be(probe_of(WIDE))


@pytest.mark.parametrize("guess", [0.8, 0.5, None])
def test_a_beam_of_another_width_does_not(scans, guess):
    assert not ScanBeam(scans[guess]).may_be(probe_of(NARROW))


def test_the_true_beam_is_the_nearest_also_where_the_scans_own_probe_is_wrong(scans):
    seen = ScanBeam(scans[0.5])
    as_guessed = probe_of(WIDE, 0.5)
    assert seen.apart(probe_of(WIDE)) < min(seen.apart(as_guessed), seen.apart(probe_of(NARROW)))


def test_a_beam_of_another_shape_suits_where_it_explains_the_patterns_and_the_scans_own_does_not():
    flat = dataclasses.replace(CASES["flat"], guess=0.5)
    assert ScanBeam(scan_of(flat)).may_be(probe_of(flat))


def test_where_patterns_cannot_tell_widths_do(scans):
    few = ScanBeam(scans[0.5].take(np.arange(3)))
    assert few.misfit(probe_of(WIDE)) is None
    assert not few.may_be(probe_of(WIDE))
    assert few.apart(probe_of(WIDE, 0.5)) < few.apart(probe_of(WIDE))
