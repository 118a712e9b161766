"""A picture of one scan as the direct engine has it: object and probe, and what belongs to each pattern alone."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import REGION, Amplitudes, Batch, Placed, scan_canvas
from ptycho_core.engines.models.base import TILE, Model, half_of_pixels, patterns_of
from ptycho_core.engines.models.start import is_same_scan, starting_probe
from ptycho_core.engines.one_pass import Measured, Unknowns
from ptycho_core.engines.physics import Windows, capped, place
from ptycho_core.engines.propagators import FAR_FIELD, Propagator, of_state, propagator_of
from ptycho_core.engines.samplers import PatternSampler
from ptycho_core.engines.solver import expected_counts, steps_of_patterns
from ptycho_core.engines.stage import LARGEST_SHIFT, STEP, inside, limited
from ptycho_core.scan.scan import Scan

LARGEST_GAIN = 0.3
"""Of a step, of the logarithm."""
LARGEST_COEFFICIENT = 1.0
"""Of a step; they have mean square 1."""
SEARCHED = 3
"""Pixels around a held-out pattern in which it is looked for."""
SETTLING_STEPS = 6
"""Of a held-out pattern, once it is found."""
SINCE = ("prior", "variation_parts", "coefficients")
"""Parts of the state that version 0.1 had not."""


class Solution(Model):
    """An object on one canvas and a probe: it predicts patterns, and settles those that were held out.

    Parameters
    ----------
    config, probe, patterns, propagator
        As for `Model`.
    object
        (H, W) complex to start from.
    """

    prior: Tensor

    def __init__(
        self,
        config: Config,
        probe: Tensor,
        object: Tensor,
        patterns: int = 0,
        propagator: Propagator = FAR_FIELD,
    ) -> None:
        super().__init__(config, probe, patterns, propagator)
        for own in (self.shifts, self.log_gain):
            own.requires_grad_(len(own) > 0)
        modes, size = (config.probe_variation or 0) if patterns else 0, probe.shape[-1]
        self.variation_parts = nn.Parameter(torch.zeros(modes, size, size, 2), requires_grad=modes > 0)
        """(V, N, N, 2) in units of the probe's scale."""
        drawn = torch.randn(patterns, modes, generator=torch.Generator().manual_seed(config.seed))
        self.coefficients = nn.Parameter(drawn if modes else torch.zeros(0, 0), requires_grad=modes > 0)
        """(n, V) of each pattern; drawn, as nothing would come of nothing."""
        self.object_parts = nn.Parameter(torch.view_as_real(object).clone())
        self.register_buffer("prior", torch.tensor(0.0))

    @classmethod
    def from_scan(cls, scan: Scan, config: Config) -> Self:
        """Start from vacuum and the scan's own probe or a guess."""
        object = vacuum(scan_canvas(scan, config).shape)
        probe = starting_probe(scan, config.probe_modes or 1)
        return cls(config, probe, object, len(scan), propagator_of(scan))

    @classmethod
    def from_state(cls, config: Config, state: dict[str, Tensor]) -> Self:
        """Build the model of a checkpoint."""
        patterns, state = patterns_of(state)
        probe = torch.view_as_complex(state["probe_parts"]) * state["probe_scale"]
        object, propagator = torch.view_as_complex(state["object_parts"]), of_state(state["propagation"])
        model = cls(config, probe, object, patterns, propagator)
        earlier = {name: model.state_dict()[name] for name in SINCE}
        model.load_state_dict({**earlier, **state})
        return model

    @classmethod
    def from_model(cls, other: Model, config: Config, object: Tensor, patterns: int = 0) -> Self:
        """Start from an object (H, W) and what another model knows: probe, background, patterns."""
        model = cls(config, other.probe.detach().cpu(), object.cpu(), patterns, other.propagator)
        model.adopt_probe(other)
        model.adopt_patterns(other)
        return model

    def of_patterns(self) -> tuple[nn.Parameter, ...]:
        """Return shifts, brightness and what the probe is made of, as far as patterns have their own."""
        return *super().of_patterns(), *([self.coefficients] if len(self.coefficients) else [])

    def adopt_patterns(self, other: Model) -> None:
        """Go on with what another model of the same scan knows of each pattern."""
        super().adopt_patterns(other)
        coefficients, modes = other.variation()
        if len(coefficients) and self.coefficients.shape == coefficients.shape:
            self.coefficients.data.copy_(coefficients)
            self.variation_parts.data.copy_(modes * (other.probe_scale / self.probe_scale))

    def variation(self) -> tuple[Tensor, Tensor]:
        """Return coefficients (n, V) and modes (V, N, N, 2), these in units of the probe's scale."""
        return self.coefficients.detach(), self.variation_parts.detach()

    def _all_modes(self, probe: Tensor) -> Tensor:
        """Return modes (M, N, N), and those of the variation behind them."""
        if not len(self.coefficients):
            return probe
        return torch.cat([probe, torch.view_as_complex(self.variation_parts) * self.probe_scale])

    @property
    def object(self) -> Tensor:
        """(H, W) complex64."""
        return torch.view_as_complex(self.object_parts)

    def place_object(self, here: Placed, there: Placed) -> None:
        """Put the object of a part of a scan, on its canvas, in the place that it has on the canvas of the whole."""
        whole = vacuum(there.shape).to(self.device)
        y, x = (here.origin - there.origin).round().astype(int).tolist()
        # The smaller canvas is rounded up, and may reach over the edge: there is nothing but vacuum.
        inside = self.object.detach()[: there.shape[0] - y, : there.shape[1] - x]
        whole[y : y + len(inside), x : x + inside.shape[1]] = inside
        self.object_parts.data = torch.view_as_real(whole).clone()

    def sampler(self, scan: Scan, rows: NDArray[Any], *, rank: int, world: int) -> PatternSampler:
        """Single patterns on the canvas of the scan."""
        return PatternSampler(scan_canvas(scan, self.config), rows, self.config, rank=rank, world=world)

    def validation_canvas(self, trained: Scan, scan: Scan) -> Placed:
        """Its own, on which its object lies."""
        return scan_canvas(trained, self.config)

    def windows_of(self, batch: Batch) -> Windows:
        """Return where a batch's patterns lie on the canvas."""
        positions, size, shape = batch.positions, self.probe_parts.shape[1], self.object_parts.shape[:2]
        if len(self.shifts):  # one that would lie over the canvas' edge stays inside
            moved = (positions + self.shifts.detach()[batch.indexes]).clamp_min(size // 2)
            positions = capped(moved, (side - size - 1 + size // 2 for side in shape))
        return place(positions, size, (1, *shape))

    def batch_of(self, canvas: Canvas, rows: NDArray[np.int64]) -> Batch:
        """Return some of a canvas' patterns, at their recorded places."""
        some = canvas.batch(rows)
        positions = torch.from_numpy(canvas.recorded[rows].astype(np.float32)).to(canvas.device)
        return Batch(
            some.amplitude[None], positions[None], some.rows[None], canvas.shape, canvas.shape, weight=some.weight
        )

    def unknowns(self) -> Unknowns:
        """Return what a fit looks for."""
        modes = self._all_modes(self.probe)
        return Unknowns(self.object, modes, self.log_gain, self.background, self.shifts, self.coefficients)

    def patterns_in(self, batch: Batch, rho: float) -> Measured:
        """Return a batch as the solver takes it, with this rho of the envelope."""
        rows = batch.indexes.flatten() if self.of_patterns() else None
        counts = batch.amplitude.flatten(0, 1).square()
        windows = self.windows_of(batch)
        return Measured(counts, windows, batch.weight, rho, rows, propagator=self.propagator)

    def predict_patterns(self, canvas: Tensor, probe: Tensor, windows: Windows, rows: Tensor | None = None) -> Tensor:
        """Expected counts (b, N, N) of patterns in these windows of the object (1, H, W), which have places (b,)."""
        varied = rows is not None and len(self.coefficients) > 0
        modes, coefficients = (self._all_modes(probe), self.coefficients[rows]) if varied else (probe, None)
        gain = self.gains(rows)
        return expected_counts(canvas[0], modes, windows, gain, self.background, self.propagator, coefficients)

    def settle(self, canvas: Canvas) -> None:
        """Find what belongs to each of a canvas' patterns from half of their pixels."""
        for start in range(0, len(canvas.rows), REGION):
            batch = self.batch_of(canvas, canvas.rows[start : start + REGION])
            self.search(batch)
            for _ in range(SETTLING_STEPS):
                self.settle_once(batch)

    @torch.no_grad()
    def search(self, batch: Batch) -> None:
        """Put each of a batch's patterns where half of its pixels are explained best, of places around."""
        if not len(self.shifts):
            return
        rows, recorded = batch.indexes.flatten(), batch.positions.flatten(0, 1)
        half, start = self._asking_weight(batch), self.shifts[rows]
        best = start
        amplitude = batch.amplitude.flatten(0, 1)
        least = torch.full((len(rows),), math.inf, device=self.device)
        for there in sorted(
            itertools.product(range(-SEARCHED, SEARCHED + 1), repeat=2), key=lambda yx: math.hypot(*yx)
        ):
            self.shifts.data[rows] = self._on_canvas(recorded, start + start.new_tensor(there))
            expected = self.predict_patterns(self.object[None], self.probe, self.windows_of(batch), rows)
            error = ((expected.sqrt() - amplitude).square() * half).sum(dim=(1, 2))
            better = error < least
            best = torch.where(better[:, None], self.shifts[rows], best)
            least = torch.minimum(least, error)
        self.shifts.data[rows] = best

    def _asking_weight(self, batch: Batch) -> Tensor:
        """Return the weight of the pixels that held-out patterns are settled by; the others judge them."""
        half = half_of_pixels(self.probe_parts.shape[1], self.device)
        return half if batch.weight is None else half * batch.weight

    @torch.no_grad()
    def settle_once(self, batch: Batch) -> None:
        """Take a step with what belongs to each of a batch's patterns alone, by half of their pixels."""
        if not self.of_patterns():
            return
        patterns = dataclasses.replace(self.patterns_in(batch, 0.0), weight=self._asking_weight(batch))
        brighter, further, varied = steps_of_patterns(self.unknowns(), patterns)
        if len(self.coefficients):
            self.coefficients.data += varied.clamp(-LARGEST_COEFFICIENT, LARGEST_COEFFICIENT)
        if len(self.log_gain):
            self.log_gain.data += brighter.clamp(-LARGEST_GAIN, LARGEST_GAIN)
        if len(self.shifts):
            rows, recorded = batch.indexes.flatten(), batch.positions.flatten(0, 1)
            # Half of the pixels give half of the gradient.
            moved = self.shifts[rows] + limited(further[rows] * 2 * STEP, LARGEST_SHIFT)
            self.shifts.data[rows] = self._on_canvas(recorded, moved)

    def _on_canvas(self, recorded: Tensor, shifts: Tensor) -> Tensor:
        return inside(recorded, shifts, self.probe_parts.shape[1], self.object_parts.shape[:2])

    def object_of(self, canvas: Canvas, tile: int = TILE) -> Tensor:
        """Its own object; the canvas is the one that it was fitted on."""
        return self.object.detach()[None]

    def adapt(self, scan: Scan, canvas: Canvas, summary: dict[str, Any]) -> tuple[Model, str]:
        """Return itself, where this is the scan that it was fitted to."""
        if not is_same_scan(self.scan_summary, summary) or self.object.shape != canvas.shape:
            raise InputError(
                f"the checkpoint holds the object of the scan that the direct engine was fitted to "
                f"({_in_words(self.scan_summary, tuple(self.object.shape))}), and this is another "
                f"({_in_words(summary, canvas.shape)}): give that scan, or a checkpoint of the network engine"
            )
        return self.to(canvas.device), "used the checkpoint's object and probe"

    def pictured(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[Any]) -> Tensor:
        """Return the whole object."""
        return self.object.detach()


def _in_words(summary: dict[str, Any], canvas: tuple[int, ...]) -> str:
    spread = summary.get("spread")
    return (
        f"{summary.get('patterns')} patterns of {summary.get('size')} pixels, up to {summary.get('brightest')} counts "
        f"each, on a canvas of {canvas[0]} x {canvas[1]}"
        + ("" if spread is None else f", in the near field with light spread over {spread[0]:.4g} pixels")
    )


def vacuum(shape: tuple[int, int]) -> Tensor:
    """Return an object (H, W) complex64 of nothing."""
    return torch.ones(shape, dtype=torch.complex64)
