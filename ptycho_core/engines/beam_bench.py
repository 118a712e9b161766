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
from ptycho_core.engines.one_pass import Measured, Unknowns, look
from ptycho_core.engines.physics import place, scale_probe
from ptycho_core.engines.solver import expected_counts
from ptycho_core.engines.subpixel import to_knots
from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.simulation.forward import fourier, inverse_fourier

_BATCH, _FEWEST_STEPS = 16, 6
"""Patterns of a step; fewer where an epoch would be of so few steps that a probe hardly learns in it."""


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
        places = torch.from_numpy((positions - origin).astype(np.float32))
        # The same batches for every beam, so that all see the same steps.
        order = np.random.default_rng(0).permutation(fit)
        count = max(1, round(len(fit) / _BATCH), min(_FEWEST_STEPS, len(fit) // 4))
        self.batches = [
            (self.counts[batch], place(places[batch], self.size, (1, *shape)), self._weight(batch))
            for batch in map(torch.from_numpy, np.array_split(order, count))
        ]
        self.fit, held_rows = torch.from_numpy(fit), torch.from_numpy(held)
        self.held, self.held_weight = self.counts[held_rows], self._weight(held_rows)
        self.held_windows = place(places[torch.from_numpy(held)], self.size, (1, *shape))
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
        self, probe: Tensor, epochs: int, learn_from: int | None = None
    ) -> tuple[NDArray[np.float64], Tensor, Tensor]:
        """Fit an object, and from an epoch on the probe; return what it is like after the best epoch.

        With wrong positions a fit soon gets worse, and beams that fit nothing but the mean would win in the end.

        Returns
        -------
        deviance
            Half deviance of each held-out pattern.
        probe
            (M, N, N).
        expected
            (h, N, N) counts of the held-out patterns.
        """
        object, copies = vacuum(self.shape), to_knots(probe)
        best = np.full(len(self.held), np.inf), probe, self.held
        for epoch in range(epochs):
            self.stop.leave_if_cancelled()
            learns = learn_from is not None and epoch >= learn_from
            for counts, windows, weight in self.batches:
                patterns = Measured(counts, windows, weight, 0.0, seen=None)
                wanted = {"object", "probe"} if learns else {"object"}
                found = look(Unknowns.of(object, probe), patterns, wanted, copies)
                object = object - found.gradients["object"] / calm(found.light.object)
                if learns:
                    assert isinstance(found.light.probe, Tensor)
                    probe = probe - found.gradients["probe"] / found.light.probe.max()
                    copies = to_knots(probe)
            expected = expected_counts(object, probe, self.held_windows, copies=copies)
            deviance = self._deviance(expected)
            if deviance.mean() < best[0].mean():  # never where it is not a number
                best = deviance, probe, expected
        return best

    def noise(self, expected: Tensor) -> float:
        """Return the mean half deviance that photon noise would leave where so much is expected."""
        weight = None if self.held_weight is None else self.held_weight.numpy()
        return float(np.average(expected_half_deviance(expected.numpy()), weights=weight))

    def featureless(self) -> NDArray[np.float64]:
        """Return the half deviance of each held-out pattern from the mean of the others: that of knowing nothing."""
        fitted, weight = self.counts[self.fit], self._weight(self.fit)
        mean = fitted.mean(dim=0) if weight is None else (fitted * weight).sum(dim=0) / weight.sum(dim=0).clamp_min(1)
        return self._deviance(mean.expand_as(self.held))

    def _weight(self, rows: Tensor) -> Tensor | None:
        return None if self.weight is None else self.weight[rows]

    def _deviance(self, expected: Tensor) -> NDArray[np.float64]:
        values = half_deviance(self.held.numpy(), expected.numpy())
        weight = np.ones_like(values) if self.held_weight is None else self.held_weight.numpy()
        return np.asarray((values * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1))
