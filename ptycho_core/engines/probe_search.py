"""Searches for the beam of a scan whose probe is out of focus, astigmatic or missing.

A wrong defocus leaves every engine without an image, and the probe's own refinement does not find out of it. So before
training many beams are tried: with each, an object is fitted to about a hundred patterns of the scan's middle in an
epoch or two by the solver's own steps, and the half deviance of some patterns that the fit did not see tells how good
it is. Nothing else ranks.

The scan's own probe gets a longer fit first, in which the probe learns: where that explains the held-out patterns
nearly as well as photon noise allows, nothing else is tried. Otherwise:

1. A scan of defocus, from focused to as wide as the window, of every family of `beams.families`.
2. Astigmatism around the best few.
3. Simplexes (Nelder and Mead, The Computer Journal 7, 308 (1965)) in defocus and astigmatism; spherical aberration and
   coma too, where one of them helps at once.
4. Where these end gets the longer fit too. The scan's own probe is kept unless another is clearly better, pattern by
   pattern.

How much is tried is bounded by work, not by the clock, so that two searches find the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.base.events import Cancelled, StopToken
from ptycho_core.engines import beams
from ptycho_core.engines.beam_bench import Bench
from ptycho_core.engines.beams import Terms
from ptycho_core.engines.canvas import middle
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.propagators import FAR_FIELD, propagator_of
from ptycho_core.quality.deviance import standard_errors
from ptycho_core.scan.scan import Scan

PATTERNS = 110
HELD_OUT = 16
FEWEST_PATTERNS = 12
"""With fewer there is nothing to judge by."""
WORK = 270e6
"""Patterns times pixels times epochs that a search may take: seconds of one core."""
CLEARLY = 3.0
"""Standard errors, over the held-out patterns, by which a beam has to beat the scan's own probe."""

ENOUGH = 0.9
"""Part of what lies between knowing nothing and photon noise that the scan's own probe has to explain to be kept."""

_PIXELS = 2**26
"""Read at most: 256 MiB."""
_SPACING = 3.0
"""Radians between trials of defocus: the valley is about twice as wide to either side."""
_ASTIGMATISM = (3.0, 6.0)
_SURVIVORS = 3
_TRIALS = (40, 25, 25)
"""Of the simplexes from the best, the second best and the scan's own probe."""
_FIRST_STEP = 1.0
"""Radians, of a simplex."""
_PRECISE = 0.15
"""Radians at which a simplex has converged."""
_LEAST_GAIN = 0.03
"""Part of the deviance that a higher aberration has to take off before all of them are searched."""
_ABERRATION_TRIALS = 50
_WHOLE = 256
"""Pixels of the detector that the last fits look at, at most."""


@dataclass(frozen=True)
class BeamTrial:
    """A beam that was tried.

    Parameters
    ----------
    family
        Its name.
    terms
        Radians at the far field's edge, in the order of `beams.TERMS`.
    deviance
        Mean half deviance of the patterns that were held out.
    """

    family: str
    terms: Terms
    deviance: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What was found.

    Parameters
    ----------
    probe
        (1, N, N) complex64 to start from; None where the scan's own, or a quick guess, is to stay.
    why
        A sentence for the operator.
    trials
        All, in order.
    """

    probe: NDArray[np.complex64] | None
    why: str
    trials: tuple[BeamTrial, ...] = ()


def search_probe(
    scan: Scan,
    amplitudes: Amplitudes,
    rows: NDArray[np.int64],
    *,
    stop: StopToken | None = None,
    tried: Callable[[BeamTrial], None] = lambda trial: None,
) -> SearchResult:
    """Find the beam with which patterns explain each other best.

    Parameters
    ----------
    scan
        With its probe, or without.
    amplitudes
        Of the scan.
    rows
        The patterns to look at: those that train.
    stop
        A stop ends the search without a result, a cancel raises `Cancelled`.
    tried
        Told each trial when it is done.
    """
    if propagator_of(scan) is not FAR_FIELD:
        why = "did not search for the beam: in the near field patterns show it, and the fit finds the rest"
        return SearchResult(None, why)
    if len(rows) < FEWEST_PATTERNS:
        return SearchResult(None, f"did not search for the beam: {len(rows)} patterns are too few to judge by")
    token = stop or StopToken()
    search = _Search(scan, amplitudes, rows, token, tried)
    if not search.mean.any():
        return SearchResult(None, "did not search for the beam: the patterns in the scan's middle are empty")
    try:
        return search.go()
    except Cancelled:
        token.leave_if_cancelled()
        return SearchResult(None, "the search for the beam was stopped", tuple(search.trials))


class _Found(NamedTuple):
    """A beam and its score; compared by the score."""

    deviance: float
    family: int
    terms: Terms


class _Final(NamedTuple):
    """What a longer fit makes of a probe."""

    deviance: NDArray[np.float64]
    """Of each held-out pattern."""
    still: Tensor
    """The probe from which it began."""
    learned: Tensor
    noise: float
    """Half deviance that photon noise alone would leave."""

    @property
    def mean(self) -> float:
        return float(self.deviance.mean())


class _Search:
    """One call of `search_probe`."""

    def __init__(
        self,
        scan: Scan,
        amplitudes: Amplitudes,
        rows: NDArray[np.int64],
        stop: StopToken,
        tried: Callable[[BeamTrial], None],
    ) -> None:
        self.scan, self.stop, self.tried = scan, stop, tried
        self.trials: list[BeamTrial] = []
        self.work = 0.0
        near = middle(scan, rows, min(PATTERNS, max(2 * FEWEST_PATTERNS, _PIXELS // scan.size**2)))
        amplitude, weight = amplitudes[near].on(torch.device("cpu"))
        self.counts = torch.fft.fftshift(amplitude.square(), dim=(-2, -1))
        self.weight = None if weight is None else torch.fft.fftshift(weight, dim=(-2, -1))
        self.positions = scan.positions[near]
        self.fit, self.held = _parts(self.positions)
        self.mean = self.counts.mean(dim=0).double().numpy()
        if self.weight is not None:
            measured = self.weight.expand_as(self.counts).mean(dim=0).double().numpy()
            self.mean = beams.filled(self.mean / np.where(measured > 0, measured, 1), measured > 0)
        self.edge = beams.edge_of(self.mean) if self.mean.any() else 0.0
        self.own = scan.probe if scan.probe is not None and scan.probe.any() else None

    def go(self) -> SearchResult:
        """Search, and return the beam."""
        size = min(self.scan.size, max(_WHOLE, beams.crop_for(self.mean, self.edge)))
        last = self._bench(size, self.fit[: max(40, int(len(self.fit) * min(1.0, (160 / size) ** 2)))])
        own = None if self.own is None else self._final(last, last.given(self.own))
        if own is not None:
            nothing = float(last.featureless().mean())
            part = (nothing - own.mean) / max(nothing - own.noise, 1e-12)
            if part >= ENOUGH:
                figures = f"half deviance {own.mean:.4g}, {own.noise:.4g} with photon noise alone"
                return SearchResult(None, f"kept the scan's own probe: it explains the patterns ({figures})")
        self.families = beams.families(self.own, self.mean, self.edge)
        size = beams.crop_for(self.mean, self.edge)
        few = max(48, int(len(self.fit) * min(1.0, (96 / size) ** 2)))
        coarse, fine = self._bench(size, self.fit[:few]), self._bench(size, self.fit)
        found = self._defoci(coarse)
        found = sorted(found + self._bent(coarse, _distinct(found, _SURVIVORS)))
        ends = self._refined(fine, found)
        return self._result(_distinct(ends, len(ends)), last, own)

    def _bench(self, size: int, fit: NDArray[np.int64]) -> Bench:
        """Crop the detector, not the window: the object's pixels grow, and no wide beam wraps around."""
        n = self.scan.size
        low = n // 2 - size // 2
        inner = slice(low, low + size)
        weight = None if self.weight is None else self.weight[..., inner, inner]
        counts, positions = self.counts[:, inner, inner], self.positions * (size / n)
        return Bench(counts, positions, weight, fit, self.held, self.edge, self.stop)

    def _over(self, part: float) -> bool:
        return self.work > part * WORK

    def _try(self, bench: Bench, family: int, terms: Terms, epochs: int) -> _Found:
        if self.stop.stop_requested:
            raise Cancelled
        deviance = bench.judge(bench.probe(self.families[family], terms), epochs)[0]
        self.work += bench.work * epochs
        trial = BeamTrial(self.families[family].name, terms, float(deviance.mean()))
        self.trials.append(trial)
        self.tried(trial)
        return _Found(trial.deviance, family, terms)

    def _defoci(self, bench: Bench) -> list[_Found]:
        """Scan the defocus of every family, the best first."""
        found: list[_Found] = []
        for number, family in enumerate(self.families):
            # So many radians move the ray at the edge by half the window.
            steps = np.ceil(family.reach * np.pi * self.edge / 2 / _SPACING)
            defoci = np.arange(-steps, steps + 1) * _SPACING - (family.curvature if family.reach == 1 else 0.0)
            for defocus in [0.0, *sorted((float(d) for d in defoci if abs(d) > 1e-6), key=abs)]:
                if defocus and self._over(0.45):
                    break
                found.append(self._try(bench, number, (defocus,), 1))
        return sorted(found)

    def _bent(self, bench: Bench, best: list[_Found]) -> list[_Found]:
        """Try astigmatism with the best defoci."""
        ring = [(m * c, m * s) for m in _ASTIGMATISM for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        around = [(of, (of.terms[0], u, v)) for of in best for u, v in ring]
        return [self._try(bench, of.family, terms, 1) for of, terms in around if not self._over(0.6)]

    def _refined(self, bench: Bench, found: list[_Found]) -> list[_Found]:
        """Refine the best two, and the best of the scan's own probe where it is neither: the best first."""
        starts = _distinct(found, 2)
        if self.own is not None and all(start.family for start in starts):
            starts.append(next(f for f in found if f.family == 0))
        ends = [
            self._descend(bench, start, 3, _TRIALS[number], until=0.65 + 0.06 * number)
            for number, start in enumerate(starts)
        ]
        ends.sort()
        if not self._over(0.75):
            ends[0] = self._descend(bench, ends[0], 6, _ABERRATION_TRIALS, until=0.8, least_gain=_LEAST_GAIN)
        return ends

    def _descend(
        self, bench: Bench, start: _Found, terms: int, most: int, *, until: float, least_gain: float = 0.0
    ) -> _Found:
        """Refine the first so many terms of a beam, until so much of the work is done."""

        def cost(numbers: NDArray[np.float64]) -> float:
            return self._try(bench, start.family, tuple(map(float, numbers)), 2).deviance

        begin = np.zeros(terms)
        begin[: len(start.terms)] = start.terms
        found, value = _simplex(cost, begin, _FIRST_STEP, most, lambda: self._over(until), least_gain)
        return _Found(value, start.family, tuple(map(float, found)))

    def _result(self, ends: list[_Found], bench: Bench, own: _Final | None) -> SearchResult:
        """Let the best beams learn, as the scan's own probe has, and decide."""
        n = self.scan.size
        finals = [self._final(bench, bench.probe(self.families[end.family], end.terms)) for end in ends]
        number = min(range(len(finals)), key=lambda i: finals[i].mean)
        best, end = finals[number], ends[number]
        if own is None:
            informed = standard_errors(bench.featureless() - best.deviance)
            doubt = "" if informed > CLEARLY else ", but hardly better than their mean does: do not trust it yet"
            why = f"found the beam from the patterns, which it explains to a half deviance of {best.mean:.4g}{doubt}"
        else:
            clear = standard_errors(own.deviance - best.deviance)
            if clear <= CLEARLY:
                why = f"kept the scan's own probe: of {len(self.trials)} beams tried none is clearly better"
                return SearchResult(
                    None, f"{why} (half deviance {own.mean:.4g}, best {best.mean:.4g})", tuple(self.trials)
                )
            why = f"found a better beam than the scan's own probe: half deviance {best.mean:.4g} for {own.mean:.4g}"
        # The probe that learned on these patterns, or the one before: whichever serves a new object better.
        still, learned = (bench.judge(probe, 4)[0].mean() for probe in (best.still, best.learned))
        if learned < still and bench.size == n:
            probe = best.learned.numpy()
        else:
            probe = self._bench(n, self.fit[:1]).probe(self.families[end.family], end.terms).numpy()
        return SearchResult(probe, f"{why} ({self._described(end)})", tuple(self.trials))

    def _final(self, bench: Bench, probe: Tensor) -> _Final:
        if self.stop.stop_requested:
            raise Cancelled
        deviance, learned, expected = bench.judge(probe, 6, learn_from=2)
        return _Final(deviance, probe, learned, bench.noise(expected))

    def _described(self, end: _Found) -> str:
        """Say how the beam was made, its defocus in metres where the geometry tells."""
        defocus, *others = end.terms
        named = [f"{t:+.1f} rad of {name}" for t, name in zip(others, beams.TERMS[1:], strict=False) if abs(t) > 0.5]
        moved, pixel = f"{defocus:+.1f} rad of defocus", self.scan.pixel_size_m
        wavelength = self.scan.geometry.wavelength_m
        if pixel is not None and wavelength is not None:
            along = -defocus * (self.scan.size * pixel[0] / self.edge) ** 2 / np.pi
            moved += f" ({1e3 * along / wavelength:+.3g} mm)"
        return ", ".join([self.families[end.family].name, moved, *named])


def _parts(positions: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places of patterns to fit, the innermost first, and to predict, from the inner half: these need others."""
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    order = np.argsort(away, kind="stable")
    count = max(2, min(HELD_OUT, len(order) // 6))
    inner = max(2 * count, int(0.6 * len(order)))
    held = np.random.default_rng(0).choice(order[:inner], count, replace=False)
    return order[~np.isin(order, held)], np.sort(held)


def _distinct(found: list[_Found], count: int) -> list[_Found]:
    """Return the best that are no neighbours of better ones."""
    kept: list[_Found] = []
    for one in found:
        terms = np.array((*one.terms, 0.0, 0.0)[:3])
        same = (other for other in kept if other.family == one.family)
        if all(np.linalg.norm(terms - (*other.terms, 0.0, 0.0)[:3]) >= 1.2 * _SPACING for other in same):
            kept.append(one)
    return kept[:count]


def _simplex(
    cost: Callable[[NDArray[np.float64]], float],
    start: NDArray[np.float64],
    step: float,
    most: int,
    over: Callable[[], bool],
    least_gain: float,
) -> tuple[NDArray[np.float64], float]:
    """Descend to the lowest cost in at most so many trials; stay where no first step gains a part of the cost."""
    points = [start, *(start + step * axis for axis in np.eye(len(start)))]
    values = [cost(point) for point in points]
    if min(values) > (1 - least_gain) * values[0]:
        return start, values[0]
    used = len(points)
    while used < most and not over():
        order = np.argsort(values, kind="stable")
        points, values = [points[i] for i in order], [values[i] for i in order]
        if max(abs(point - points[0]).max() for point in points) < _PRECISE:
            break
        centre = np.mean(points[:-1], axis=0)
        away = centre - points[-1]
        mirrored = cost(centre + away)
        used += 1
        if values[0] <= mirrored < values[-2]:
            points[-1], values[-1] = centre + away, mirrored
            continue
        if mirrored < values[0]:
            factor, kept = 2.0, (centre + away, mirrored)
        else:
            factor, kept = (
                (0.5, (centre + away, mirrored)) if mirrored < values[-1] else (-0.5, (points[-1], values[-1]))
            )
        value = cost(centre + factor * away)
        used += 1
        if value < kept[1]:
            points[-1], values[-1] = centre + factor * away, value
        elif factor == 2.0:
            points[-1], values[-1] = kept
        else:
            points = [points[0], *(points[0] + 0.5 * (point - points[0]) for point in points[1:])]
            values = [values[0], *(cost(point) for point in points[1:])]
            used += len(points) - 1
    lowest = int(np.argmin(values))
    return points[lowest], values[lowest]
