"""Short fits that judge beams: of an object to some patterns, and how well it predicts others."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.base.events import StopToken
from ptycho_core.engines import beams
from ptycho_core.engines.beams import Family, Terms
from ptycho_core.engines.data import canvas_around
from ptycho_core.engines.descent import calm
from ptycho_core.engines.models.solution import vacuum
from ptycho_core.engines.one_pass import Found, Measured, Unknowns, look
from ptycho_core.engines.physics import Windows, place, scale_probe
from ptycho_core.engines.solver import expected_counts, uphill
from ptycho_core.engines.stage import LARGEST_SHIFT, inside, limited
from ptycho_core.engines.subpixel import to_knots
from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.simulation.forward import fourier, inverse_fourier

_BATCH, _FEWEST_STEPS = 16, 6
"""Patterns of a step; fewer where an epoch would be of so few steps that a probe hardly learns in it."""
_HELD_MOVES = 2
"""Of the patterns to predict after an epoch."""


class Bench:
    """Short fits of an object to patterns of one size, and how well they predict others.

    Parameters
    ----------
    counts
        (n, N, N), DC in the middle.
    positions
        (n, 2) in pixels of the object.
    weight
        (N, N) or (n, N, N) 0 where a pixel is bad, or None.
    fit, held
        Places of the patterns to fit and to predict.
    edge
        Of the far field.
    stop
        Asked for a cancel after each epoch.
    """

    def __init__(
        self,
        counts: Tensor,
        positions: NDArray[np.float64],
        weight: Tensor | None,
        fit: NDArray[np.int64],
        held: NDArray[np.int64],
        edge: float,
        stop: StopToken,
    ) -> None:
        self.size, self.edge, self.stop = counts.shape[-1], edge, stop
        self.counts = torch.fft.ifftshift(counts, dim=(-2, -1))
        self.weight = None if weight is None else torch.fft.ifftshift(weight, dim=(-2, -1)).expand_as(counts)
        good = self.counts if self.weight is None else self.counts * self.weight
        self.brightest = float(good.sum(dim=(1, 2)).max())
        origin, shape = canvas_around(positions, self.size)
        self.shape = shape
        self.places = torch.from_numpy((positions - origin).astype(np.float32))
        # The same batches for every beam, so that all see the same steps.
        order = np.random.default_rng(0).permutation(fit)
        count = max(1, round(len(fit) / _BATCH), min(_FEWEST_STEPS, len(fit) // 4))
        self.batches = [torch.from_numpy(batch) for batch in np.array_split(order, count)]
        self.fit, self.held = torch.from_numpy(fit), torch.from_numpy(held)
        self.nowhere = torch.zeros_like(self.places)
        self.work = float((len(fit) + len(held) / 3) * self.size**2)
        """Of an epoch."""

    def probe(self, family: Family, terms: Terms) -> Tensor:
        """Return a beam (1, N, N) at the brightness of the patterns."""
        far_field = beams.cut(family.far_field, self.size) * np.exp(1j * beams.phase(self.size, self.edge, terms))
        return self._bright(inverse_fourier(far_field)[None])

    def given(self, probe: NDArray[np.complex64]) -> Tensor:
        """Return a probe (M, n, n), seen by the part of the detector that is looked at."""
        same = probe.shape[-1] == self.size
        return self._bright(probe if same else inverse_fourier(beams.cut(fourier(probe), self.size)))

    def _bright(self, probe: NDArray[np.complexfloating]) -> Tensor:
        return scale_probe(torch.from_numpy(np.ascontiguousarray(probe, dtype=np.complex64)), self.brightest)

    def judge(
        self, probe: Tensor, epochs: int, learn_from: int | None = None, *, moves: bool = False
    ) -> tuple[NDArray[np.float64], Tensor, Tensor]:
        """Fit an object, and from an epoch on the probe; return what it is like after the best epoch.

        With wrong positions a fit soon gets worse, and beams that fit nothing but the mean would win in the end, unless
        each pattern ``moves``, from the same epoch on, to where it is explained better.

        Returns
        -------
        deviance
            Half deviance of each held-out pattern.
        probe
            (M, N, N).
        expected
            (h, N, N) counts of the held-out patterns.
        """
        object, copies, shifts = vacuum(self.shape), to_knots(probe), self.nowhere
        best = np.full(len(self.held), np.inf), probe, self.counts[self.held]
        for epoch in range(epochs):
            self.stop.leave_if_cancelled()
            learns = learn_from is not None and epoch >= learn_from
            wanted = {"object", *(("probe",) if learns else ()), *(("shifts",) if learns and moves else ())}
            for batch in self.batches:
                found = look(self._unknowns(object, probe, shifts), self._patterns(batch, shifts), wanted, copies)
                object = object - found.gradients["object"] / calm(found.light.object)
                if learns:
                    assert isinstance(found.light.probe, Tensor)
                    probe = probe - found.gradients["probe"] / found.light.probe.max()
                    copies = to_knots(probe)
                if learns and moves:
                    shifts = self._moved(shifts, found)
            for _ in range(_HELD_MOVES if learns and moves else 0):
                held = self._patterns(self.held, shifts)
                shifts = self._moved(shifts, look(self._unknowns(object, probe, shifts), held, {"shifts"}, copies))
            expected = expected_counts(object, probe, self._windows(self.held, shifts), copies=copies)
            deviance = self._deviance(expected)
            if deviance.mean() < best[0].mean():  # never where it is not a number
                best = deviance, probe, expected
        return best

    def _unknowns(self, object: Tensor, probe: Tensor, shifts: Tensor) -> Unknowns:
        return Unknowns.of(object, probe)._replace(shifts=shifts)

    def _patterns(self, rows: Tensor, shifts: Tensor) -> Measured:
        return Measured(self.counts[rows], self._windows(rows, shifts), self._weight(rows), 0.0, rows, seen=None)

    def _windows(self, rows: Tensor, shifts: Tensor) -> Windows:
        return place(self.places[rows] + shifts[rows], self.size, (1, *self.shape))

    def _moved(self, shifts: Tensor, found: Found) -> Tensor:
        """Return the shifts (n, 2) with the steps of the patterns that were looked at."""
        curvature = found.light.shifts
        assert isinstance(curvature, Tensor)
        step = limited(-uphill(found.gradients["shifts"], curvature), LARGEST_SHIFT)
        seen = curvature[:, 0, 0, None] > 0
        return inside(self.places, torch.where(seen, shifts + step, shifts), self.size, self.shape)

    def noise(self, expected: Tensor) -> float:
        """Return the mean half deviance that photon noise would leave where so much is expected."""
        good = self._weight(self.held)
        weight = None if good is None else good.numpy()
        return float(np.average(expected_half_deviance(expected.numpy()), weights=weight))

    def featureless(self) -> NDArray[np.float64]:
        """Return the half deviance of each held-out pattern from the mean of the others: that of knowing nothing."""
        fitted, weight = self.counts[self.fit], self._weight(self.fit)
        mean = fitted.mean(dim=0) if weight is None else (fitted * weight).sum(dim=0) / weight.sum(dim=0).clamp_min(1)
        return self._deviance(mean.expand_as(self.counts[self.held]))

    def _weight(self, rows: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight[rows]

    def _deviance(self, expected: Tensor) -> NDArray[np.float64]:
        values, good = half_deviance(self.counts[self.held].numpy(), expected.numpy()), self._weight(self.held)
        weight = np.ones_like(values) if good is None else good.numpy()
        return np.asarray((values * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1))
