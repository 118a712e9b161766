"""Searches for the beam of a scan whose probe is out of focus, astigmatic or missing.

A wrong defocus leaves every engine without an image, and the probe's own refinement does not find out of it. So before
training many beams are tried: with each, an object is fitted to about a hundred patterns of the scan's middle in an
epoch or two by the solver's own steps, and the half deviance of some patterns that the fit did not see tells how good
it is. Nothing else ranks.

The scan's own probe gets a longer fit first, in which the probe learns. Where that explains the held-out patterns
nearly as well as photon noise allows, nothing else is tried; and so it is with what is found on the way:

1. The best defocus of the scan's own probe, from focused to as wide as the window.
2. The best defocus of any of `beams.families`.
3. Astigmatism is tried around the best few, and the lowest deviance looked for by parabolas along defocus and
   astigmatism, then spherical aberration and coma too, where one of them helps.

Where no beam explains that much, the scan's own probe is kept unless another is clearly better, pattern by pattern; and
where all explain little, as with positions that are off, the best few are fitted again while patterns move.

Where the beam of another scan is known and explains the patterns better than the scan's own probe, it takes the place
of that, and only what lies about it is tried.

How much is tried is bounded by work, not by the clock, so that two searches find the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_TRIED = 64
"""Of those to fit, the innermost that a trial looks at: they surround the ones that are held out."""
_OWN, _KNOWN = "the scan's own probe", "the beam of the model to go on from"
FEWEST_PATTERNS = 12
"""With fewer there is nothing to judge by."""
WORK = 270e6
"""Patterns times pixels times epochs that a search may take: seconds of one core."""
CLEARLY = 3.0
"""Standard errors, over the held-out patterns, by which a beam has to beat the scan's own probe."""

ENOUGH = 0.9
"""Part of what lies between knowing nothing and photon noise that a beam has to explain for the search to end."""
PROMISING = 0.6
"""The same in the detector's middle, above which the scan's own probe is tried on the whole."""
MOST = 0.6
"""The same from which on no doubt is thrown on the positions."""
_PIXELS = 2**26
"""Read at most: 256 MiB."""
_SPACING = 3.0
"""Radians between trials of defocus: the valley is about twice as wide to either side."""
_ASTIGMATISM = (3.0, 6.0)
_SURVIVORS = 3
_STEP = 1.0
"""Radians to either side through which a parabola is laid."""
_PRECISE = 0.15
"""Radians that are worth another trial."""
_ROUNDS = 4
"""Along all terms, at most."""
_LEAST_GAIN = 0.03
"""Part of the deviance that a round, or a higher aberration, has to take off to be worth going on."""
_LONGER, _LEARNS_FROM, _MOVING = 6, 2, 8
"""Epochs of longer fits, and from which on the probe learns in them; and of those in which patterns move."""
_WHOLE = 256
"""Pixels across the detector that is looked at as a whole, at most."""


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
    known: NDArray[np.complex64] | None = None,
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
    known
        (M, N, N) of another scan that may have been measured with the same beam: it takes the place of the scan's own
        probe where it explains the patterns better.
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
    search = _Search(scan, amplitudes, rows, known, token, tried)
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
    probe: Tensor
    """From which it began."""
    noise: float
    """Half deviance that photon noise alone would leave."""
    nothing: float
    """That of knowing nothing."""

    @property
    def mean(self) -> float:
        return float(self.deviance.mean())

    @property
    def explained(self) -> float:
        """Part of what lies between knowing nothing and photon noise."""
        return (self.nothing - self.mean) / max(self.nothing - self.noise, 1e-12)


class _End(NamedTuple):
    """A beam that was found, and what the longer fit makes of it."""

    found: _Found
    final: _Final


class _Search:
    """One call of `search_probe`."""

    def __init__(
        self,
        scan: Scan,
        amplitudes: Amplitudes,
        rows: NDArray[np.int64],
        known: NDArray[np.complex64] | None,
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
        self.known, self.name = known, _OWN
        self.kept: NDArray[np.complex64] | None = None

    def go(self) -> SearchResult:
        """Search, and return the beam."""
        size = beams.crop_for(self.mean, self.edge)
        self.last, own = self._bench(size, self._fewer(size)), None
        if self.own is not None:
            own = self._final(self.last, self.last.given(self.own))
        if self.known is not None:
            known = self._final(self.last, self.last.given(self.known))
            if own is None or known.mean < own.mean:
                own, self.own, self.name, self.kept = known, self.known, _KNOWN, self.known
        promising = self.own if own is not None and own.explained > PROMISING else None
        if promising is not None and (told := self._explained_by_own(promising)):
            return SearchResult(self.kept, told)
        self.families = beams.families(self.own, self.name, self.mean, self.edge)
        informed = own is not None and standard_errors(self.last.featureless() - own.deviance) > CLEARLY
        ends = self._nearby() if informed and self.name == _KNOWN else self._ends()
        if all(end.final.explained < MOST for end in ends):
            ends, own = self._while_moving(ends, own)
        return self._result(ends, own)

    def _explained_by_own(self, probe: NDArray[np.complex64]) -> str:
        """Say how well the probe that is given explains patterns on the whole detector, where that is well enough."""
        size = min(self.scan.size, max(_WHOLE, self.last.size))
        whole = self._bench(size, self._fewer(size))
        own = self._final(whole, whole.given(probe))
        figures = f"half deviance {own.mean:.4g}, {own.noise:.4g} with photon noise alone"
        return f"kept {self.name}: it explains the patterns ({figures})" if own.explained >= ENOUGH else ""

    def _nearby(self) -> list[_End]:
        """Look about a beam that is known, and tells something, for the one that it has become since."""
        bench = self._bench(self.last.size, self._few(self.last.size))
        found = self._descend(bench, _Found(0.0, 0, (0.0,)), range(3), until=1.0)
        return [_End(found, self._final(self.last, self.last.probe(self.families[0], found.terms)))]

    def _few(self, size: int) -> NDArray[np.int64]:
        """Return the patterns that a trial takes: not all of large ones."""
        return self.fit[: max(48, int(_TRIED * min(1.0, (96 / size) ** 2)))]

    def _ends(self) -> list[_End]:
        """Look for beams with more and more effort; return those that got the longer fit, up to one that explains."""
        size = beams.crop_for(self.mean, self.edge)
        bench = self._bench(size, self._few(size))
        ends: list[_End] = []

        def ends_with(found: _Found) -> bool:
            probe = self.last.probe(self.families[found.family], found.terms)
            ends.append(_End(found, self._final(self.last, probe)))
            return ends[-1].final.explained >= ENOUGH

        found: list[_Found] = []
        for number in range(len(self.families)):
            found += self._defoci(bench, number)
            told = number == len(self.families) - 1 or (number == 0 and self.own is not None)
            if told and not any(end.found == min(found) for end in ends) and ends_with(min(found)):
                return ends
        found = sorted(found + self._bent(bench, _distinct(sorted(found), _SURVIVORS)))
        starts = _distinct(found, 2)
        if self.own is not None and all(start.family for start in starts):
            starts.append(next(f for f in found if f.family == 0))
        refined = []
        for number, start in enumerate(starts):
            refined.append(self._descend(bench, start, range(3), until=0.65 + 0.06 * number))
            if ends_with(refined[-1]):
                return ends
        best = min(refined)
        further = self._descend(bench, best, range(3, len(beams.TERMS)), until=0.8)
        if further.deviance < (1 - _LEAST_GAIN) * best.deviance:
            ends_with(self._descend(bench, further, range(len(beams.TERMS)), until=0.8))
        return ends

    def _while_moving(self, ends: list[_End], own: _Final | None) -> tuple[list[_End], _Final | None]:
        """Return the best beams and the scan's own with fits in which patterns move: maybe their positions are off.

        Moving takes up a part of what is wrong with a beam as well: where the best is better than the scan's own then,
        but not clearly, the fits before decide between the two.
        """
        self.last = self._bench(self.last.size, self.fit[: min(_TRIED, len(self.last.fit))])
        kept = _distinct(sorted(end.found for end in ends), _SURVIVORS)
        moved = [_End(found, self._final(self.last, final.probe, moves=True)) for found, final in ends if found in kept]
        if own is None:
            return moved, None
        own_moved, best = self._final(self.last, own.probe, moves=True), min(moved, key=lambda end: end.final.mean)
        clear = standard_errors(own_moved.deviance - best.final.deviance)
        if 0 < clear <= CLEARLY:
            return [end for end in ends if end.found == best.found], own
        return [best], own_moved

    def _bench(self, size: int, fit: NDArray[np.int64]) -> Bench:
        """Crop the detector, not the window: the object's pixels grow, and no wide beam wraps around."""
        n = self.scan.size
        low = n // 2 - size // 2
        inner = slice(low, low + size)
        weight = None if self.weight is None else self.weight[..., inner, inner]
        counts, positions = self.counts[:, inner, inner], self.positions * (size / n)
        return Bench(counts, positions, weight, fit, self.held, self.edge, self.stop)

    def _fewer(self, size: int) -> NDArray[np.int64]:
        """Return the patterns that a longer fit takes: not all of large ones."""
        return self.fit[: max(40, int(len(self.fit) * min(1.0, (160 / size) ** 2)))]

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

    def _defoci(self, bench: Bench, number: int) -> list[_Found]:
        """Scan the defocus of a family, and look between the best and those beside it."""
        family = self.families[number]
        # So many radians move the ray at the edge by half the window.
        steps = np.ceil(family.reach * np.pi * self.edge / 2 / _SPACING)
        defoci = np.arange(-steps, steps + 1) * _SPACING - (family.curvature if family.reach == 1 else 0.0)
        found: list[_Found] = []
        for defocus in [0.0, *sorted((float(d) for d in defoci if abs(d) > 1e-6), key=abs)]:
            if defocus and self._over(0.45):
                break
            found.append(self._try(bench, number, (defocus,), 1))
        return [*found, self._along(bench, min(found), 0, _SPACING / 2, 1)]

    def _bent(self, bench: Bench, best: list[_Found]) -> list[_Found]:
        """Try astigmatism with the best defoci."""
        ring = [(m * c, m * s) for m in _ASTIGMATISM for c, s in ((1, 0), (-1, 0), (0, 1), (0, -1))]
        around = [(of, (of.terms[0], u, v)) for of in best for u, v in ring]
        return [self._try(bench, of.family, terms, 1) for of, terms in around if not self._over(0.6)]

    def _descend(self, bench: Bench, start: _Found, axes: Sequence[int], *, until: float) -> _Found:
        """Look for the lowest deviance along some terms of a beam, until so much of the work is done."""
        best = self._try(bench, start.family, start.terms, 2)
        for _ in range(_ROUNDS):
            before = best.deviance
            for axis in axes:
                if self._over(until):
                    return best
                best = self._along(bench, best, axis, _STEP, 2)
            if best.deviance > (1 - _LEAST_GAIN) * before:
                break
        return best

    def _along(self, bench: Bench, start: _Found, axis: int, step: float, epochs: int) -> _Found:
        """Return the best of a beam, its neighbours along a term, and the lowest point of the parabola through them."""

        def moved(by: float) -> _Found:
            terms = [*start.terms, *[0.0] * (axis + 1 - len(start.terms))]
            terms[axis] += by
            return self._try(bench, start.family, tuple(terms), epochs)

        low, high = moved(-step), moved(step)
        tried, bend = [start, low, high], low.deviance + high.deviance - 2 * start.deviance
        if bend > 0:
            lowest = float(np.clip(step * (low.deviance - high.deviance) / (2 * bend), -2 * step, 2 * step))
            if abs(lowest) > _PRECISE:
                tried.append(moved(lowest))
        return min(tried)

    def _result(self, ends: list[_End], own: _Final | None) -> SearchResult:
        """Decide between the scan's own probe and the best of those that had the longer fit, as it has."""
        end, best = min(ends, key=lambda end: end.final.mean)
        if own is None:
            informed = standard_errors(self.last.featureless() - best.deviance)
            doubt = "" if informed > CLEARLY else ", but hardly better than their mean does: do not trust it yet"
            why = f"found the beam from the patterns, which it explains to a half deviance of {best.mean:.4g}{doubt}"
        else:
            clear = standard_errors(own.deviance - best.deviance)
            if clear <= CLEARLY:
                why = f"kept {self.name}: of {len(self.trials)} beams tried none is clearly better"
                return SearchResult(
                    self.kept, f"{why} (half deviance {own.mean:.4g}, best {best.mean:.4g})", tuple(self.trials)
                )
            why = f"found a better beam than {self.name}: half deviance {best.mean:.4g} for {own.mean:.4g}"
        return SearchResult(self._whole(end), f"{why} ({self._described(end)})", tuple(self.trials))

    def _whole(self, end: _Found) -> NDArray[np.complex64]:
        """Return a beam on the whole detector: one that the patterns' mean made as it has learned there."""
        bench = self._bench(self.scan.size, self._fewer(self.scan.size))
        probe = bench.probe(self.families[end.family], end.terms)
        of_own = end.family == 0 and self.own is not None
        if not of_own and self.scan.size <= _WHOLE:
            probe = bench.judge(probe, _LONGER, _LEARNS_FROM)[1]
        return np.asarray(probe.numpy())

    def _final(self, bench: Bench, probe: Tensor, *, moves: bool = False) -> _Final:
        if self.stop.stop_requested:
            raise Cancelled
        epochs = (_MOVING, 1) if moves else (_LONGER, _LEARNS_FROM)
        deviance, _, expected = bench.judge(probe, *epochs, moves=moves)
        return _Final(deviance, probe, bench.noise(expected), float(bench.featureless().mean()))

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
