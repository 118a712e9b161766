"""An object in a second or two: a few epochs of the solver's steps with the probe and all else held.

No Lightning, no gradients through it: the network cleans what comes out, and training makes many of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import REGION, Amplitudes
from ptycho_core.engines.descent import LightDescent, calm
from ptycho_core.engines.one_pass import Light, Measured, Unknowns, look
from ptycho_core.engines.propagators import Propagator
from ptycho_core.scan.grouping import patterns_per_step

MOMENTUM = 0.7
RATE, LAST_RATE = 0.5, 0.05
"""Length of the first step and of the last, of the gradient over the light; a cosine lies between."""
LATER = 0.4
"""Part of these where there is an object to go on from."""
LIKELIHOOD = 20.0
"""rho of the envelope where there is an object to go on from."""


@dataclass(frozen=True)
class Held:
    """What is known of a scan while its object is estimated.

    Parameters
    ----------
    probe
        (M, N, N) complex64 in sqrt(counts).
    background
        () counts per pixel.
    log_gain
        (n,) logarithms of the patterns' brightness, or (0,).
    propagator
        To the detector.
    """

    probe: Tensor
    background: Tensor
    log_gain: Tensor
    propagator: Propagator

    def gain(self, rows: Tensor) -> Tensor | None:
        """Return the brightness (b,) of patterns at these places; None where it is 1 for all."""
        return self.log_gain[rows].exp() if len(self.log_gain) else None

    def dimmed(self, part: float) -> Held:
        """Return the same with this part of the light."""
        return Held(self.probe * math.sqrt(part), self.background * part, self.log_gain, self.propagator)


_KEPT_BYTES = 2**28


class Thinning:
    """Divides the counts of each pattern into two that are independent and of the same truth.

    Of k photons each goes to the first part with probability ``part``: binomial, and so exact for Poisson counts, where
    both parts are Poisson counts again, of ``part`` and ``1 - part`` of the light. What is drawn for a pattern depends
    on ``seed`` and the pattern's place in the scan alone; some of it is kept, as drawing takes as long as looking.
    Where all patterns are kept on an accelerator, all are drawn there at once.

    Parameters
    ----------
    part, seed
        As above.
    amplitudes
        Of the scan, or None where there is no need to know of all.
    """

    def __init__(self, part: float, seed: int, amplitudes: Amplitudes | None = None) -> None:
        self.part, self.seed = part, seed
        self._kept: dict[int, Tensor] = {}
        kept = None if amplitudes is None or amplitudes.home is None else amplitudes.kept
        self._all = None if kept is None else self._drawn(kept[0])

    def first(self, counts: Tensor, rows: Tensor) -> Tensor:
        """Return the first part (b, N, N) of the counts of patterns at these places (b,)."""
        if self._all is not None:
            return self._all[rows]
        return torch.stack([self._first(*pair) for pair in zip(counts, rows.tolist(), strict=True)])

    def _drawn(self, amplitudes: Tensor) -> Tensor:
        """Return the first part (n, N, N) of the counts of all patterns."""
        generator = torch.Generator(amplitudes.device).manual_seed(self.seed)
        drawn = torch.empty_like(amplitudes)
        for start in range(0, len(amplitudes), REGION):
            whole = amplitudes[start : start + REGION].square().round()
            share = torch.full_like(whole, self.part)
            drawn[start : start + REGION] = torch.binomial(whole, share, generator=generator)
        return drawn

    def _first(self, counts: Tensor, row: int) -> Tensor:
        if row in self._kept:
            return self._kept[row]
        generator = torch.Generator(counts.device)
        generator.manual_seed((self.seed * 1_000_003 + row) % 2**63)
        whole = counts.round()  # real detectors may report fractions of photons
        share = torch.tensor(self.part, device=counts.device)
        drawn = torch.binomial(whole, share.expand_as(whole), generator=generator)
        if len(self._kept) * drawn.nbytes < _KEPT_BYTES:
            self._kept[row] = drawn
        return drawn

    def second(self, counts: Tensor, rows: Tensor) -> Tensor:
        """Return the rest."""
        return counts.round() - self.first(counts, rows)


@dataclass(frozen=True)
class Earlier:
    """What patterns that are not looked at again say of an object: a parabola about what they gave.

    Parameters
    ----------
    object
        (H, W) as they gave it, 1 where they saw nothing.
    light
        (H, W) counts that they sent through each pixel.
    """

    object: Tensor
    light: Tensor


def solve(
    canvas: Canvas,
    held: Held,
    epochs: int,
    object: Tensor | None = None,
    *,
    thinning: Thinning | None = None,
    seed: int = 0,
    earlier: Earlier | None = None,
) -> Tensor:
    """Return an object (H, W) that explains the patterns of a canvas.

    Parameters
    ----------
    canvas
        The patterns, where they lie.
    held
        All that is not the object; of the whole light.
    epochs
        Times that every pattern is looked at; 0 gives the object back.
    object
        To go on from, with the likelihood and shorter steps; None begins with vacuum, or what is known from earlier
        patterns, and amplitudes.
    thinning
        Whose first part of the counts is taken; None takes all.
    seed
        Of the order of the patterns.
    earlier
        What other patterns, which have been looked at, say of the same canvas.
    """
    from_afar = object is None
    rate, rho = (1.0, 0.0) if from_afar else (LATER, LIKELIHOOD)
    vacuum = torch.ones(canvas.shape, dtype=torch.complex64, device=canvas.device)
    start = (vacuum if earlier is None else earlier.object) if object is None else object
    now = start.clone()
    if thinning is not None:
        held = held.dimmed(thinning.part)
    count = len(canvas.rows)
    batches = max(1, math.ceil(count / patterns_per_step(count)))
    rng = np.random.default_rng([seed, count])
    light = Light()
    optimizer = LightDescent([{"params": [now], "divisor": lambda: calm(light.object)}], lr=rate, momentum=MOMENTUM)
    unknowns = Unknowns.of(now, held.probe, held.background, held.log_gain)
    for step in range(epochs * batches):
        if step % batches == 0:
            parts = np.array_split(rng.permutation(canvas.rows), batches)
        amplitude, windows, rows, weight = canvas.batch(parts[step % batches])
        counts = amplitude.square()
        if thinning is not None:
            counts = thinning.first(counts, rows)
        patterns = Measured(counts, windows, weight, rho, rows, seen=None, propagator=held.propagator)
        found = look(unknowns, patterns, {"object"})
        now.grad, light = found.gradients["object"], found.light
        if earlier is not None:  # in the units of `look`; each step has its part of the patterns, and of what is known
            weight = earlier.light * (2 / (count * canvas.size**2))
            now.grad += weight * (now - earlier.object)
            light.object = light.object + weight
        part = 0.5 + 0.5 * math.cos(math.pi * step / (epochs * batches))
        optimizer.param_groups[0]["lr"] = rate * (LAST_RATE + (RATE - LAST_RATE) * part)
        optimizer.step()
    now.grad = None
    return now
