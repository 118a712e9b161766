"""What a fit by the direct engine does when: amplitudes from afar, then the likelihood, then stronger priors."""

from __future__ import annotations

import math

from ptycho_core.base.config import Config

AMPLITUDES_UNTIL = 0.3
"""Part of the fit with projections onto amplitudes, which converge from afar; then the likelihood."""
AMPLITUDES_WITH_POSITIONS_UNTIL = 0.7
"""The same where positions are refined: those that are far off are found from afar as well."""
LANDING = 6
"""Epochs of the rest, in a fit that stays with amplitudes until the probe stands."""
LIKELIHOOD = 20.0
"""rho of the envelope from then on."""
PATTERNS_FROM = 2
"""Epoch from which on each pattern's place and brightness are refined."""
TOGETHER_FROM, TOGETHER_UNTIL = 4, 0.95
"""Epoch from which on, and part of the fit until which, patterns are moved together."""
ALL_ALIKE_FROM = 0.3
"""Part of the fit from which on the whole scan is stretched, turned, sheared and bent: what is still wrong with the
probe looks like that at first."""
LOOSENING, LOOSENING_UNTIL = 0.1, 0.6
"""Weight of the prior while positions are looked for, as for `RUNGS`, and part of the fit until which: an object that
is free to follow every pattern freezes where they are, and nothing asks them to move."""
VARIES_FROM = 0.5
"""Part of the amplitudes' part of the fit after which the probe may vary."""
RUNGS = (0.1, 0.3, 0.9)
"""Weights of the prior that are tried one after another, in units of the object's noise, until validation objects."""
RUNG = 0.1
"""Part of a run that each of them takes."""
_SLACK = 1e-9


class Course:
    """The phases of a fit. A part of a fit is a number from 0 to 1.

    Parameters
    ----------
    config
        Of the fit.

    Attributes
    ----------
    from_afar
        Whether it begins with amplitudes; else there is a picture to go on from.
    patient
        Whether it stays with them, at the whole rate, until told to `land`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.from_afar, self.patient = True, False
        self._skipped = 0.0

    def begin(self) -> None:
        """Skip nothing."""
        self._skipped = 0.0

    def part_done(self, step: int, steps: int) -> float:
        """Return the part that is done after so many of all steps."""
        return step / max(1, steps) + self._skipped

    def land(self, done: float) -> None:
        """Leave out what a patient fit has still to do with amplitudes; call it at the end of an epoch."""
        self._skipped += max(0.0, self.amplitudes_until - done)

    def landed(self, done: float) -> bool:
        """Whether nothing is left."""
        return done >= 1 - _SLACK

    @property
    def finds_positions(self) -> bool:
        """Whether it looks for positions that may be far off."""
        return self.from_afar and self.config.positions == "refine"

    @property
    def tries_priors(self) -> bool:
        """Whether the end is for priors that validation may choose."""
        return self.config.prior is None and self.config.val_fraction > 0

    @property
    def climb_from(self) -> float:
        """The part after which priors are tried."""
        return 1 - RUNG * len(RUNGS) if self.tries_priors else 1.0

    @property
    def amplitudes_until(self) -> float:
        """The part with projections onto amplitudes."""
        if not self.from_afar:
            return 0.0
        if self.patient:
            return max(1 - LANDING / self.config.max_epochs, AMPLITUDES_UNTIL)
        return (AMPLITUDES_WITH_POSITIONS_UNTIL if self.finds_positions else AMPLITUDES_UNTIL) * self.climb_from

    def rho(self, done: float) -> float:
        """Return rho of the envelope."""
        return 0.0 if self.config.loss == "mae" or done < self.amplitudes_until else LIKELIHOOD

    def rate(self, done: float) -> float:
        """Return the rate over its peak: whole with amplitudes, then falling, and once more with each prior."""
        climb = self.climb_from
        if done >= climb and climb < 1:
            within = 0.4 + 0.6 * math.fmod((done - climb) / RUNG, 1.0)
            return 0.3 + 0.7 * (1 + math.cos(math.pi * within)) / 2
        start = self.amplitudes_until
        late = min(1.0, max(0.0, (done - start) / (climb - start)))
        return 0.05 + 0.95 * (1 + math.cos(math.pi * late)) / 2

    def knows_patterns(self, epoch: int) -> bool:
        """Whether the object says enough of each pattern by now."""
        return not self.from_afar or epoch >= PATTERNS_FROM

    def moves_together(self, epoch: int, done: float) -> bool:
        """Whether patterns are moved together before this epoch."""
        return (not self.from_afar or epoch >= TOGETHER_FROM) and done < TOGETHER_UNTIL

    def all_alike(self, done: float) -> bool:
        """Whether the whole scan may be stretched, turned, sheared and bent."""
        return not self.from_afar or done >= ALL_ALIKE_FROM

    def varies(self, epoch: int, done: float) -> bool:
        """Whether object and probe stand well enough to tell how the probe differs from pattern to pattern."""
        return self.knows_patterns(epoch) and done >= VARIES_FROM * self.amplitudes_until

    def prior(self, done: float) -> float | None:
        """Return the weight of the prior from here on, in units of the object's noise; None leaves it as it is."""
        looked_for = LOOSENING if self.finds_positions and done < LOOSENING_UNTIL else 0.0
        if self.config.prior is not None:
            return max(self.config.prior, looked_for)
        return looked_for if self.finds_positions and done < self.climb_from - _SLACK else None

    def rung(self, done: float) -> int | None:
        """Return which of `RUNGS` comes next after an epoch, their number after the last, or None in between."""
        if not self.tries_priors or done < self.climb_from - _SLACK:
            return None
        rung = (done - self.climb_from) / RUNG
        if abs(rung - round(rung)) > 0.5 / max(1, RUNG * self.config.max_epochs) or round(rung) > len(RUNGS):
            return None
        return round(rung)
