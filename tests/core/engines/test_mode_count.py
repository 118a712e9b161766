"""The number of probe modes: chosen by patterns that the fits do not see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.events import Cancelled, StopToken
from ptycho_core.engines.data import Amplitudes, split
from ptycho_core.engines.mode_count import FEWEST_PATTERNS, ModeCount, choose_modes
from ptycho_core.engines.trainer import quiet_lightning
from ptycho_core.scan.scan import Scan
from tests.helpers.fits import simulated
from tests.helpers.specs import PHOTOGRAPHS

CONFIG = Config(engine="direct", probe_modes=None, accelerator="cpu", preview_seconds=0)
SPEC = dataclasses.replace(
    PHOTOGRAPHS,
    size=24,
    n_patterns=64,
    step_px=3.0,
    jitter_px=1.5,
    defocus_m=1.5e-3,
    guess_defocus_error_m=0.0,
    mode_ratio=0.5,
    counts_per_pixel=100.0,
)


def scan_of(modes: int) -> Scan:
    return simulated(dataclasses.replace(SPEC, modes=modes)).scan


def chosen(scan: Scan, stop: StopToken | None = None) -> ModeCount:
    with quiet_lightning(CONFIG):
        return choose_modes(scan, Amplitudes(scan), CONFIG, split(len(scan), CONFIG), stop or StopToken())


@pytest.mark.fit
def test_one_mode_is_enough_for_a_coherent_beam():
    found = chosen(scan_of(1))
    assert found.probe is None
    assert found.told.count == 1
    assert "a second" in found.told.why


@pytest.mark.fit
def test_a_partially_coherent_beam_gets_more():
    found = chosen(scan_of(2))
    assert found.told.count >= 2
    assert found.told.why.startswith(f"chose {found.told.count} probe modes")
    assert found.probe is not None
    assert found.probe.shape == (1, 24, 24)


def test_few_patterns_are_not_asked():
    scan = scan_of(1)
    found = chosen(scan.take(np.arange(FEWEST_PATTERNS)))
    assert (found.told.count, found.probe) == (1, None)
    assert "too few" in found.told.why


def test_a_stop_ends_the_choice_and_a_cancel_leaves_it():
    token = StopToken()
    token.stop()
    assert chosen(scan_of(2), token).told.count == 1
    token.cancel()
    with pytest.raises(Cancelled):
        chosen(scan_of(2), token)
