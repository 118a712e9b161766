"""What a fit by the direct engine does when: amplitudes from afar until they level off, the likelihood, then priors."""

from __future__ import annotations

import math
from typing import Any

from ptycho_core.base.config import Config

STANDS = 0.02
"""The probe stands when an epoch takes less than this part off the deviance of the patterns that are fitted."""
FEWEST, SHORTEST_BEGINNING = 8, 0.3
"""Epochs before, as a fit from vacuum begins slowly; in a short fit so large a part of all."""
POSITIONS_STAND = 0.01
"""Pixels that half of the patterns move less than in an epoch, against all together, once their positions stand."""
FEWEST_OF_ALL = 4
"""Epochs before, in which the whole scan may be stretched and bent."""
LANDING = 6
"""Epochs of the likelihood, at a rate that falls."""
RUNGS = (0.1, 0.3, 0.9)
"""Weights of the prior that are tried one after another, in units of the object's noise, until validation objects."""
RUNG = 3
"""Epochs that each of them takes."""
FEWEST_WITH_PRIORS = 6
"""Epochs of a fit in which priors are tried."""
LONGEST_END = 0.7
"""Part of the epochs that likelihood and priors take at most: they are shorter in a short fit."""
LIKELIHOOD = 20.0
"""rho of the envelope with the likelihood; with amplitudes it is 0."""
PATTERNS_FROM = 2
"""Epoch from which on each pattern's place and brightness are refined."""
TOGETHER_FROM = 4
"""Epoch from which on patterns are moved together, until the last prior is tried."""
LOOSENING = 0.1
"""Weight of the prior while positions are looked for, as for `RUNGS`: an object that is free to follow every pattern
freezes where they are, and nothing asks them to move."""
_SLACK = 1e-6


class Phases:
    """The phases of a fit, in epochs since it began, which need not be whole.

    From afar it begins with projections onto amplitudes at the whole rate, until the probe stands: until the deviance
    of the patterns that are fitted levels off, and at the latest when there is just time for the rest, the likelihood
    at a falling rate and the priors. Where positions are refined or the probe varies there is a second phase with
    amplitudes, in which the whole scan may be stretched, turned, sheared and bent, and the probe may vary. Before, what
    is still wrong with the probe looks like that. It lasts until positions stand, and takes all the time that there is
    where they do not, or the probe varies.

    Parameters
    ----------
    config
        Of the fit.

    Attributes
    ----------
    epochs
        There are at most.
    from_afar
        Whether it begins with amplitudes; else there is a picture to go on from, and the likelihood takes all epochs.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.epochs: float = config.max_epochs
        self.from_afar = True
        self.begin()

    def begin(self) -> None:
        """Begin anew."""
        self._stood: float | None = None
        self._positions_stood: float | None = None
        self._deviance = math.inf
        self._slow = False

    @property
    def state(self) -> dict[str, Any]:
        """What a resumed fit goes on with."""
        return {
            "stood": self._stood,
            "positions_stood": self._positions_stood,
            "deviance": self._deviance,
            "slow": self._slow,
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._stood, self._deviance, self._slow = state["stood"], state["deviance"], state["slow"]
        self._positions_stood = state.get("positions_stood")  # runs of version 0.1 have none

    def look(self, at: float, deviance: float, moved: float = math.inf) -> None:
        """See the mean deviance of the patterns that were fitted in the epoch that just ended.

        ``moved`` is by how many pixels half of them were moved at most, against all together, where they are.
        """
        before, self._deviance = self._deviance, deviance
        level = deviance > (1 - STANDS) * before and not self._slow
        if level and min(FEWEST, SHORTEST_BEGINNING * self.epochs) <= at < self.probe_stands_from:
            self._stood = at
        may_end = self.finds_positions and not self.config.probe_variation and not self._slow
        if may_end and moved < POSITIONS_STAND and self.probe_stands_from + FEWEST_OF_ALL <= at < self.amplitudes_until:
            self._positions_stood = at

    def end_within(self, epochs: float, at: float) -> None:
        """Take so many epochs at most, unless likelihood and priors, which they end with, have begun."""
        if self.from_afar and at < self.amplitudes_until:
            self.epochs = epochs

    def slow_down(self) -> None:
        """Take all the time that there is: at a lower rate, a deviance that hardly falls says nothing."""
        self._slow = True

    @property
    def finds_positions(self) -> bool:
        """Whether it looks for positions that may be far off."""
        return self.from_afar and self.config.positions == "refine"

    @property
    def tries_priors(self) -> bool:
        """Whether the end is for priors that validation may choose."""
        asked = self.config.prior is None and self.config.val_fraction > 0
        return self.from_afar and asked and self.epochs >= FEWEST_WITH_PRIORS

    @property
    def probe_stands_from(self) -> float:
        """The end of the first phase."""
        if not self.from_afar:
            return 0.0
        latest = self._latest / 2 if self._second else self._latest
        return latest if self._stood is None else self._stood

    @property
    def amplitudes_until(self) -> float:
        """The end of the projections onto amplitudes."""
        if not self.from_afar or not self._second:
            return self.probe_stands_from
        return self._latest if self._positions_stood is None else self._positions_stood

    @property
    def climb_from(self) -> float:
        """The end of the likelihood alone."""
        return self.amplitudes_until + self._landing

    @property
    def end(self) -> float:
        """When all is done."""
        return self.climb_from + self._rung * self._rungs

    @property
    def _second(self) -> bool:
        return self.finds_positions or bool(self.config.probe_variation)

    @property
    def _rungs(self) -> int:
        return len(RUNGS) if self.tries_priors else 0

    @property
    def _share(self) -> float:
        return min(1.0, LONGEST_END * self.epochs / (LANDING + RUNG * self._rungs))

    @property
    def _landing(self) -> float:
        return max(1.0, round(self._share * LANDING)) if self.from_afar else self.epochs

    @property
    def _rung(self) -> float:
        return max(1.0, round(self._share * RUNG))

    @property
    def _latest(self) -> float:
        return max(0.0, self.epochs - self._landing - self._rung * self._rungs)

    def rho(self, at: float) -> float:
        """Return rho of the envelope."""
        return 0.0 if self.config.loss == "mae" or at < self.amplitudes_until else LIKELIHOOD

    def rate(self, at: float) -> float:
        """Return the rate over its peak: whole with amplitudes, then falling, and once more with each prior."""
        if self._rungs and at >= self.climb_from:
            rung = (at - self.climb_from) / self._rung
            within = 0.4 + 0.6 * (math.fmod(rung, 1.0) if rung < self._rungs else 1.0)
            return 0.3 + 0.7 * (1 + math.cos(math.pi * within)) / 2
        late = min(1.0, max(0.0, (at - self.amplitudes_until) / self._landing))
        return 0.05 + 0.95 * (1 + math.cos(math.pi * late)) / 2

    def knows_patterns(self, at: float) -> bool:
        """Whether the object says enough of each pattern by now."""
        return not self.from_afar or at >= PATTERNS_FROM

    def moves_together(self, at: float) -> bool:
        """Whether patterns are moved together before this epoch."""
        return not self.from_afar or TOGETHER_FROM <= at < self.end - self._rung

    def finds_common(self, at: float) -> bool:
        """Whether the probe stands: the whole scan may be stretched and bent, and the probe may vary."""
        return not self.from_afar or at >= self.probe_stands_from

    def prior(self, at: float) -> float | None:
        """Return the weight of the prior from here on, in units of the object's noise; None leaves it as it is."""
        looked_for = LOOSENING if self.finds_positions and at < self.amplitudes_until else 0.0
        if self.config.prior is not None:
            return max(self.config.prior, looked_for)
        return looked_for if self.finds_positions and at < self.climb_from - _SLACK else None

    def rung(self, at: float) -> int | None:
        """Return which of `RUNGS` comes next after an epoch, their number after the last, or None in between."""
        if not self._rungs or at < self.climb_from - 0.5:
            return None
        rung = (at - self.climb_from) / self._rung
        near = round(rung)
        return near if near <= self._rungs and abs(rung - near) * self._rung < 0.5 else None
