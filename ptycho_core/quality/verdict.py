"""The verdict on a picture: from signs that need no truth, by a short table of thresholds. No torch here.

The measure is the relative error of amplitudes: what patterns that the fit has not seen are missed by beyond photon
noise (`Excess`), and what two halves of the scan, each reconstructed on its own, differ by. Both are about the relative
error of the object that they would find with the truth at hand, at any dose: docs/benchmarks.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION, Level, Verdict

GOOD, POOR = 0.05, 0.10
"""A picture is good where its error is below the one, and poor where it is above the other."""
EXPLAINS_NOTHING, EXPLAINS_LITTLE, EXPLAINS_ENOUGH = 0.1, 0.5, 0.8
"""The same of the part that it explains of what an object without features leaves unexplained."""
UNEVEN = 3.0
"""The worst tenth of the patterns are missed by this many times more than most: part of the picture is worse."""
STRAY, BY_CHANCE, MOST_STRAY = 4.0, 6.0, 0.05
"""A pattern is stray that is missed by this many times more than most, and by more than so many standard deviations of
what most are missed by; where more than such a part is, none are."""
BENT = 0.6
"""Pixels (rms) by which a picture has followed wrong positions from which on it is poor; from half of that on, refined
ones would help."""
FEW_PATTERNS = 4
"""That were kept apart, below which nothing is sure."""
TOLD = 8
"""Of the stray ones, so many are named."""
FEW_EPOCHS = 30
"""Epochs of the direct engine below which more are a way out."""
LITTLE_OVERLAP = 0.3
"""Part of the beam's diameter by which neighbouring views overlap, below which the scan itself may be too coarse."""
SCATTERED = 0.15
"""Part of the probe's light in the outer eighth of its frame from which on it is none that a lens makes."""
_REFINES = {
    "positions": "refine positions",
    "intensity": "refine brightness",
    "probe_variation": "let the probe vary",
}
_SEARCH_ORIENTATION = Fix("try all orientations", SEARCH_ORIENTATION, None)
FIT_TOO = 0.5
"""Error of the patterns that were fitted, over that of the others, from which on the model lacks something."""


@dataclass(frozen=True, eq=False)
class Excess:
    """By how much patterns are missed beyond photon noise: (n,) each, sums over a pattern's good pixels.

    Parameters
    ----------
    deviance
        Half deviance.
    noise
        What photon noise alone would leave of it.
    counts
        Photons that were counted.
    """

    deviance: NDArray[np.float64]
    noise: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def squares(self) -> NDArray[np.float64]:
        """Square of the relative error of each pattern's amplitudes, photon noise taken off; below 0 by chance.

        Half a deviance is ``2 (sqrt(lambda) - sqrt(k))^2`` to second order, so that what noise does not explain of it,
        over twice the counts, is the relative mean square error of the amplitudes, whatever the dose.
        """
        return np.asarray((self.deviance - self.noise) / (2 * np.maximum(self.counts, 1e-12)))

    @property
    def error(self) -> float:
        """Relative error of the amplitudes of a typical pattern, the median one."""
        return self.error_at(0.5)

    def error_at(self, part: float) -> float:
        """Return the error below which this part of the patterns lies; NaN without patterns."""
        return math.sqrt(max(0.0, float(np.quantile(self.squares, part)))) if len(self.squares) else math.nan

    @property
    def stray(self) -> NDArray[np.int64]:
        """Places of the patterns that are missed far more than the others; none where these are many."""
        limit, chance = STRAY * max(self.error, GOOD / 2), BY_CHANCE * self._spread
        found = np.flatnonzero(self.squares > max(limit**2, self.error**2 + chance))
        return found if len(found) <= MOST_STRAY * len(self.squares) else found[:0]

    @property
    def uncertain(self) -> float:
        """What `error` may be by chance alone, where it is smaller: of two standard errors of the median."""
        if len(self.squares) < 2:
            return math.nan
        return math.sqrt(2 * 1.2533 * self._spread / math.sqrt(len(self.squares)))

    @property
    def _spread(self) -> float:
        """Standard deviation of the squares, as the median of what they are off by tells it; NaN without patterns."""
        if not len(self.squares):
            return math.nan
        return 1.4826 * float(np.median(abs(self.squares - np.median(self.squares))))


@dataclass(frozen=True)
class Signs:
    """What a picture and its patterns show. Errors are relative ones of amplitudes, photon noise taken off.

    Parameters
    ----------
    patterns
        How many were kept apart from the fit.
    error
        Of a typical pattern among them.
    uncertain
        What that may be by chance alone.
    worst
        Of the worst tenth of them.
    fitted
        Of a typical pattern that was fitted.
    blank
        Of those kept apart, under an object without features: all that there is to explain.
    halves
        By how much two halves of the scan differ, each reconstructed alone; None where they were not compared.
    halves_error
        Of a typical pattern that neither half has seen, under their pictures.
    overlap
        Of neighbouring views, as a part of the beam's diameter.
    edge_light
        Part of the probe's light in the outer eighth of its frame.
    stray
        Places in the scan of patterns that are missed far more than the others.
    near_field
        Whether the patterns were taken for shadows.
    polished
        Whether the direct engine had the last word.
    epochs
        That the run has done; None where that is not known.
    late
        Whether its time limit has ended the run.
    rolled_back
        How often it diverged and went back to its best state.
    own_probe_left
        Whether the run began with a beam that it found in place of the scan's own probe.
    helps
        Settings that stood at ``check`` and would explain the validation patterns better, at these values.
    bent_px
        By how many pixels (rms) the picture has followed positions that are wrong, as far as that was looked for.
    """

    patterns: int
    error: float
    uncertain: float
    worst: float
    fitted: float
    blank: float
    halves: float | None
    overlap: float
    edge_light: float
    stray: tuple[int, ...] = ()
    near_field: bool = False
    polished: bool = True
    epochs: int | None = None
    late: bool = False
    rolled_back: int = 0
    own_probe_left: bool = False
    helps: dict[str, Any] = field(default_factory=dict)
    bent_px: float = 0.0
    halves_error: float | None = None

    @property
    def explained(self) -> float:
        """Part of all that there is to explain that the picture explains; 0 where it explains nothing."""
        return 1 - min(1.0, self.error / self.blank) ** 2 if self.blank > 0 else 0.0

    @property
    def tells_nothing(self) -> bool:
        """Whether the picture explains nothing of patterns that are missed."""
        return self.error > GOOD and self.explained < EXPLAINS_NOTHING

    @property
    def tells_little(self) -> bool:
        """Whether the picture explains less than half of patterns that are missed."""
        return self.error > GOOD and self.explained < EXPLAINS_LITTLE

    @property
    def noise(self) -> float:
        """Error of the whole picture, as its halves tell it; 0 where they were not compared.

        A half has half the photons, so that it misses patterns by sqrt 2 more than the whole does. Where it misses
        them by more, the halves lack overlap, which the whole has: by so much less is the whole picture off.
        """
        expected = math.sqrt(2) * max(self.error, self.uncertain)
        lacks = max(1.0, (self.halves_error or 0.0) / expected) if expected > 0 else 1.0
        return (self.halves or 0.0) / lacks

    @property
    def largest(self) -> float:
        """The error that counts: the larger one of what the patterns and the halves tell."""
        return max(self.error, self.noise)


def judge(signs: Signs, config: Config) -> Verdict:
    """Return the verdict on a picture.

    Parameters
    ----------
    signs
        Of the picture.
    config
        Of the run that it comes from: what it left out is a way out.
    """
    found = sorted(_findings(signs, config), key=lambda finding: _ORDER.index(finding[0]))
    if signs.tells_nothing:  # of a picture that is none, nothing finer is worth telling
        found = [finding for finding in found if finding[0] == Level.POOR]
    level = found[0][0] if found else Level.GOOD
    reasons = [reason for _, reason in found] or [_praise(signs)]
    return Verdict(level, tuple(reasons), tuple(_ways_out(signs, config)) if level != Level.GOOD else ())


_ORDER = (Level.POOR, Level.DOUBTFUL, Level.GOOD)


def _findings(signs: Signs, config: Config) -> Iterator[tuple[Level, str]]:
    """Yield what speaks against a picture, and how bad that alone would make it."""
    if signs.patterns < FEW_PATTERNS:
        kept = f"only {signs.patterns}" if signs.patterns else "no"
        yield Level.DOUBTFUL, f"{kept} patterns were kept apart, too few to judge by"
    missed = f"patterns that the fit has not seen are missed by {signs.error:.0%}, photon noise aside"
    if signs.error > POOR:
        yield Level.POOR, missed
    elif signs.error > GOOD:
        yield Level.DOUBTFUL, missed
    elif signs.uncertain > (GOOD if signs.halves is None else POOR):
        yield Level.DOUBTFUL, "too few photons were counted to tell how far the patterns are missed"
    if signs.tells_little:
        yield Level.POOR, f"the picture explains {signs.explained:.0%} of what an empty one does not"
    if signs.noise > GOOD:
        level = Level.POOR if signs.noise > POOR else Level.DOUBTFUL
        yield level, f"two halves of the scan, each reconstructed alone, differ by {signs.halves:.0%}"
    if signs.stray:
        count = f"{len(signs.stray)} patterns are" if len(signs.stray) > 1 else "one pattern is"
        # Refinement leaves some patterns where they were: they do no harm, and are no worse than the others.
        level = Level.GOOD if config.positions == "refine" else Level.DOUBTFUL
        yield level, f"{count} missed far more than the others: {' '.join(map(str, signs.stray[:TOLD]))}"
    if signs.worst > UNEVEN * max(signs.error, GOOD):
        yield Level.DOUBTFUL, f"some places are far worse than others: there, patterns are missed by {signs.worst:.0%}"
    if signs.bent_px > BENT:
        yield Level.POOR, f"the picture is bent by {signs.bent_px:.1f} pixels (rms), as the positions are: refine them"
    elif "positions" in signs.helps:
        yield Level.DOUBTFUL, "refined positions would explain the patterns better"
    elif config.positions == "off":  # a picture that is bent is sharp, and meets all patterns
        yield Level.DOUBTFUL, "it was not checked whether the positions are right"
    if "intensity" in signs.helps and signs.largest > GOOD:
        yield Level.DOUBTFUL, "the light varies from pattern to pattern: refined brightness would explain them better"
    if "probe_variation" in signs.helps and signs.largest > GOOD:
        yield Level.DOUBTFUL, "the beam varies from pattern to pattern: a probe that does would explain them better"
    if signs.edge_light > SCATTERED and not signs.near_field:
        yield Level.DOUBTFUL, f"{signs.edge_light:.0%} of the beam lies at the edge of its frame, as no lens makes it"
    if signs.largest > GOOD and signs.overlap < LITTLE_OVERLAP:
        yield Level.DOUBTFUL, f"neighbouring views overlap by {signs.overlap:.0%} of the beam: smaller steps would help"
    if signs.late and signs.largest > GOOD:
        level = Level.POOR if signs.tells_nothing else Level.DOUBTFUL
        yield level, "the time limit ended the run before it was done"
    if signs.rolled_back:
        yield Level.DOUBTFUL, "the run diverged, and went on from its best state"


def _praise(signs: Signs) -> str:
    error = max(signs.error, signs.uncertain)
    met = f"patterns that the fit has not seen are met to {error:.1%}, photon noise aside"
    if signs.halves is None:
        return met
    halves = "two halves of the scan" if signs.halves <= GOOD else "two halves of the scan, whose views overlap less,"
    return f"{met}, and {halves} {'agree to' if signs.halves <= GOOD else 'differ by'} {signs.halves:.1%}"


def judge_nothing(why: str, config: Config, own_probe_left: bool, cut_short: int | None = None) -> Verdict:
    """Return the verdict on a run of which no picture came, and ``why``.

    Parameters
    ----------
    why
        In a sentence.
    config
        Of the run.
    own_probe_left
        Whether it began with a beam that it found in place of the scan's own probe.
    cut_short
        The epochs after which it was; None for a run that had its time.
    """
    actions = [_SEARCH_ORIENTATION]
    actions += _other_beam(config, own_probe_left)
    if cut_short is None:
        return Verdict(Level.POOR, (why,), tuple(actions))
    few = f"there is no picture yet: the run ended after {cut_short} epoch{'s' * (cut_short != 1)}"
    return Verdict(Level.POOR, (few, why), (*_longer(config, cut_short), *actions))


def _other_beam(config: Config, own_probe_left: bool) -> Iterator[Fix]:
    """Yield the other way to a beam; what is wrong with a scan can lead the search for it astray."""
    if not config.probe_search:
        yield Fix("search for the beam", "probe_search", True)
    elif own_probe_left:
        yield Fix("start from the scan's own beam", "probe_search", False)


def _longer(config: Config, epochs: int) -> Iterator[Fix]:
    """Yield more epochs for a run of the direct engine that has done all of its few ones."""
    if ENGINES[config.engine].serves_one_scan and config.max_epochs <= epochs < FEW_EPOCHS:
        yield Fix("longer", "max_epochs", max(50, 2 * config.max_epochs))


def _ways_out(signs: Signs, config: Config) -> Iterator[Fix]:
    """Yield what to do next, the likeliest first."""
    turned = signs.error > GOOD and signs.explained < EXPLAINS_ENOUGH
    longer = Fix("longer", "max_time", None)
    begun = signs.late and signs.tells_nothing  # of what it would come to nothing is known
    if begun:
        yield longer
    if signs.tells_nothing:
        yield _SEARCH_ORIENTATION
    for knob, value in signs.helps.items():
        if KNOBS[knob].serves(config.engine):  # else another engine is proposed below
            yield Fix(_REFINES[knob], knob, value)
    if signs.stray and config.positions != "refine":
        named = " ".join(map(str, signs.stray))
        yield Fix(f"drop {len(signs.stray)} pattern{'s' * (len(signs.stray) > 1)}", "--drop-patterns", named)
    if signs.late and not begun:
        yield longer
    if not config.probe_trainable:
        yield Fix("improve the probe", "probe_trainable", True)
    yield from _other_beam(config, signs.own_probe_left and signs.error > POOR)
    if not signs.polished:
        yield Fix("polish", POLISH, ENGINES[config.engine].polish_epochs)
    if config.positions == "off":
        yield Fix("check positions", "positions", "check")
    one_scan = ENGINES[config.engine].serves_one_scan
    if signs.epochs is not None:
        yield from _longer(config, signs.epochs)
    if signs.rolled_back:
        yield Fix("slower", "learning_rate", config.learning_rate / 10)
    if turned and not signs.tells_nothing:
        yield _SEARCH_ORIENTATION
    lacks = signs.error > GOOD and signs.fitted > FIT_TOO * signs.error and not begun
    if lacks and config.probe_modes == 1:
        yield Fix("more probe modes", "probe_modes", None)
    if not one_scan:
        yield Fix("the direct engine", "engine", "direct")
    if lacks and signs.explained < EXPLAINS_LITTLE:
        there = "far" if signs.near_field else "near"
        yield Fix(f"{there} field", "propagator", there)
