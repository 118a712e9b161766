"""How many incoherent modes a scan's beam has.

The direct engine fits the patterns in the scan's middle with one mode. From there it goes on twice for a few epochs,
with as many modes and with one more: that one counts if patterns that were held out are explained clearly better with
it. Then on with the next, until one does not help.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptycho_core.base.config import Config
from ptycho_core.base.events import ModesChosen, StopToken
from ptycho_core.engines.canvas import Canvas, middle
from ptycho_core.engines.data import Amplitudes, Split
from ptycho_core.engines.models.direct import DirectModel
from ptycho_core.engines.polish import polish
from ptycho_core.engines.probe_modes import add_modes, order_modes
from ptycho_core.engines.trainer import choose_accelerator, device_of
from ptycho_core.quality.deviance import standard_errors
from ptycho_core.scan.scan import Scan

MOST = 4
_NAMES = "second", "third", "fourth"
EPOCHS, FURTHER = 24, 6
"""Of the first fit, and of those that go on from it."""
PATTERNS, _FEWEST_LOOKED_AT, _PIXELS = 100, 48, 2**23
"""Patterns looked at: at most, and as many as have so many pixels, but not fewer than the second number."""
HELD_OUT = 12
"""Patterns that judge, at least: validation patterns, and others where these are fewer."""
FEWEST_PATTERNS = 30
RATIO = 0.1
"""Power of the mode that is added to the one before: little, as the others fit already."""
WORTH = 0.01
"""Part of the deviance that a mode has to take off to be worth its time."""
CLEARLY = 3.0
"""Standard errors, over the patterns that judge, by which it has to do so."""


@dataclass(frozen=True, eq=False)
class ModeCount:
    """What was chosen.

    Parameters
    ----------
    probe
        (1, N, N) complex64, the strongest mode, to start from; None where one is enough: then the scan's own stays.
    told
        The number, and why, for the operator.
    """

    probe: NDArray[np.complex64] | None
    told: ModesChosen


def choose_modes(scan: Scan, amplitudes: Amplitudes, config: Config, parts: Split, stop: StopToken) -> ModeCount:
    """Choose the number of modes, 1 to `MOST`.

    Parameters
    ----------
    scan, amplitudes, parts
        With the probe to start from. Free patterns take no part.
    config
        Of the run.
    stop
        A stop ends it with what is known so far, a cancel raises `Cancelled`.

    Raises
    ------
    TrainingError
        A fit diverged.
    """
    rows = np.sort(np.concatenate([parts.train, parts.validation]))
    if len(rows) < FEWEST_PATTERNS:
        return ModeCount(None, ModesChosen(1, f"took 1 probe mode: {len(rows)} patterns are too few to choose by"))
    rows = middle(scan, rows, max(_FEWEST_LOOKED_AT, min(PATTERNS, _PIXELS // scan.size**2)))
    chosen = _split(np.isin(rows, parts.validation))
    return _Choice(scan.take(rows), amplitudes.take(rows), config, chosen, stop).go()


class _Choice:
    """One call of `choose_modes`."""

    def __init__(self, scan: Scan, amplitudes: Amplitudes, config: Config, parts: Split, stop: StopToken) -> None:
        self.scan, self.parts, self.stop = scan, parts, stop
        self.accelerator = choose_accelerator(config.accelerator)[0]
        alone = {"positions": "off", "intensity": "off", "probe_variation": 0}
        self.config = config.replace(engine="direct", probe_modes=1, preview_seconds=0.0, **alone)
        device = device_of(config.accelerator)
        self.canvas = Canvas.of_scan(scan, amplitudes, parts.train, device, self.config)

    def go(self) -> ModeCount:
        fit = self._fit(DirectModel.from_scan(self.scan, self.config), EPOCHS, from_afar=True)
        count = 1
        gains: list[str] = []
        while count < MOST:
            fit, more = self._fit(fit, FURTHER), self._fit(self._with_one_more(fit), FURTHER)
            before, after = self._judged(fit), self._judged(more)
            if self.stop.stop_requested:
                break
            gain = 1 - after.mean() / before.mean()
            gains.append(f"a {_NAMES[count - 1]} {gain:.1%}")
            if gain < WORTH or standard_errors(before - after) < CLEARLY:
                break
            fit, count = more, count + 1
        self.stop.leave_if_cancelled()
        why = f" (off the deviance of patterns held out: {', '.join(gains)})" if gains else ""
        told = ModesChosen(count, f"chose {count} probe mode{'s' * (count > 1)}{why}")
        strongest = order_modes(fit.probe.detach())[:1].cpu().numpy()
        return ModeCount(strongest if count > 1 else None, told)

    def _fit(self, model: DirectModel, epochs: int, *, from_afar: bool = False) -> DirectModel:
        fitted: DirectModel = polish(
            model,
            self.scan,
            self.canvas,
            self.parts,
            model.object.detach()[None],
            epochs,
            self.accelerator,
            lambda event: None,
            self.stop,
            from_afar=from_afar,
        ).model
        return fitted

    def _with_one_more(self, fit: DirectModel) -> DirectModel:
        probe = add_modes(fit.probe.detach().cpu(), len(fit.probe_parts) + 1, RATIO)
        more = DirectModel(self.config, probe, fit.object.detach().cpu(), propagator=fit.propagator)
        more.background_root.data.copy_(fit.background_root.data)
        return more

    @torch.inference_mode()
    def _judged(self, fit: DirectModel) -> NDArray[np.float64]:
        """Return the half deviance of each pattern that was held out."""
        object = fit.object[None]
        alone = (self.canvas.only(self.parts.validation[[i]]) for i in range(len(self.parts.validation)))
        return np.array([fit.misfit_of(object, one, held_out=True).deviance for one in alone])


def _split(validates: NDArray[np.bool_]) -> Split:
    """Return which patterns are fitted and which judge: those that validate, and as many others as are missing."""
    judges = validates.copy()
    others = np.flatnonzero(~validates)
    judges[np.random.default_rng(0).choice(others, max(0, HELD_OUT - validates.sum()), replace=False)] = True
    return Split(np.flatnonzero(~judges), np.flatnonzero(judges), others[:0])
