"""`StepsPreview`: what steps make of a scan, looked at quickly while they are edited."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.preprocessing import with_steps
from ptycho_core.preprocessing.sketch import sketch
from ptycho_core.scan.scan import Masks, Scan
from ptycho_core.scan.steps import Step
from ptycho_core.scan.survey import Survey, survey

_SAMPLE_BYTES = 64 * 2**20
_FEWEST, _MOST = 16, 256
_MOST_PLACES = 20_000


@dataclass(frozen=True, eq=False)
class Look:
    """A scan as it is before or after some steps.

    Parameters
    ----------
    n
        How many patterns it has.
    mean
        (N, N) mean of a sample of them, pixels that are masked in all included.
    pattern
        (N, N) the pattern that was chosen, or None where the steps leave it out.
    pattern_mask
        (N, N) bool, True where a pixel of the chosen pattern is good.
    mask
        (N, N) bool, True where a pixel is good in any pattern of the sample.
    positions
        (m, 2) in object pixels, of a sample of a large scan.
    rows
        (m,) their places in the scan before all steps.
    pixel_size_m
        Object pixel (y, x), or None.
    """

    n: int
    mean: NDArray[np.float64]
    pattern: NDArray[np.float32] | None
    pattern_mask: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    positions: NDArray[np.float64]
    rows: NDArray[np.int64]
    pixel_size_m: tuple[float, float] | None

    @property
    def size(self) -> int:
        """N."""
        return len(self.mask)

    @property
    def counts(self) -> float:
        """Mean counts per pattern on good pixels."""
        return float(self.mean[self.mask].sum())


@dataclass(frozen=True, eq=False)
class Effect:
    """What steps make of a scan.

    Parameters
    ----------
    before, after
        The scan as it was read, and after the steps that were to be shown, or those that could be done.
    n_shown
        How many steps ``after`` has seen.
    row
        The place of the chosen pattern before all steps.
    notes
        A sentence for each step that could be done.
    failure
        Why the next one could not; empty if all could.
    """

    before: Look
    after: Look
    n_shown: int
    row: int
    notes: tuple[str, ...]
    failure: str


class _Stage:
    """A scan between two steps, and its mean once it was asked for."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan

    @functools.cached_property
    def seen(self) -> Survey:
        affordable = _SAMPLE_BYTES // (4 * self.scan.size**2)
        some = self.scan.take(_spread(len(self.scan), min(max(affordable, _FEWEST), _MOST)))
        return survey(some.patterns, some.mask if isinstance(some.mask, Masks) else None)

    def look(self, row: int) -> Look:
        scan = self.scan
        rows = np.asarray(scan.indexes)
        place = np.flatnonzero(rows == row)
        some = _spread(len(scan), _MOST_PLACES)
        everywhere = np.ones((scan.size, scan.size), bool)
        good = scan.good_pixels(int(place[0])) if len(place) else None
        return Look(
            n=len(scan),
            mean=self.seen.mean,
            pattern=scan.patterns[int(place[0])] if len(place) else None,
            pattern_mask=everywhere if good is None else good,
            mask=self.seen.good if isinstance(scan.mask, Masks) else everywhere if scan.mask is None else scan.mask,
            positions=scan.positions[some],
            rows=rows[some],
            pixel_size_m=scan.pixel_size_m,
        )


def _spread(n: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


class StepsPreview:
    """The scan before and after each step, kept, so that editing one step does not do those before it again.

    It is looked at by one thread at a time.

    Parameters
    ----------
    scan
        As it is loaded; if steps were done to it, it is read again without them.
    """

    def __init__(self, scan: Scan) -> None:
        self._loaded = scan
        self._steps: list[Step] = []
        self._stages: list[_Stage] = []

    def look(self, steps: tuple[Step, ...], n_shown: int, row: int, token: StopToken) -> Effect:
        """Try steps, and look at the scan before them and after the first ``n_shown``.

        Parameters
        ----------
        steps
            To be tried.
        n_shown
            How many of them are to be shown.
        row
            Of the chosen pattern, before all steps.
        token
            Asked between steps.

        Raises
        ------
        InputError
            The scan cannot be read again without the steps that were done to it.
        Cancelled
            ``token`` was cancelled; what was done so far is kept.
        """
        failure = self._try(steps, token)
        shown, first = min(n_shown, len(self._steps)), self._stages[0]
        there = min(row, len(first.scan) - 1)
        token.leave_if_cancelled()
        before = first.look(there)
        token.leave_if_cancelled()
        after = self._stages[shown].look(there)
        notes = tuple(stage.scan.history[-1] for stage in self._stages[1:])
        return Effect(before, after, shown, there, notes, failure)

    def _try(self, steps: tuple[Step, ...], token: StopToken) -> str:
        if not self._stages:
            scan = with_steps(self._loaded, ())
            self._stages.append(_Stage(scan.replace(indexes=np.arange(len(scan)))))
        same = 0
        while same < min(len(steps), len(self._steps)) and steps[same] == self._steps[same]:
            same += 1
        del self._steps[same:], self._stages[same + 1 :]
        for step in steps[same:]:
            token.leave_if_cancelled()
            try:
                stage = _Stage(sketch(step, self._stages[-1].scan))
            except InputError as error:
                return str(error)
            self._steps.append(step)
            self._stages.append(stage)
        return ""
