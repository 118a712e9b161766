"""The picture of a scan that is still being measured, put together from its patterns as they come.

Each pattern is looked at once: the solver's few epochs on the new ones alone, piece by piece of the canvas, where all
earlier ones count as a parabola about what they gave (`estimate.Earlier`). The network then cleans what has changed. So
the cost of an update is that of the new patterns, however many there were before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.engines.canvas import LIT, Canvas, middle
from ptycho_core.engines.data import Amplitudes, Placed, canvas_around
from ptycho_core.engines.estimate import Earlier
from ptycho_core.engines.losses import MisfitSum
from ptycho_core.engines.models.base import binned
from ptycho_core.engines.models.pinn import PinnModel, light_in_counts
from ptycho_core.engines.physics import cut_out, place, squared_modulus
from ptycho_core.scan.scan import Scan

HELD_OUT = 20
"""Of how many patterns one is kept out of the picture, and judges it."""
_LIKELIHOOD_EPOCHS = 1
"""One in place of the pass's three: patterns come fast, and the picture is made anew when all are there."""
_TRUST = 0.1
"""Part of the light of earlier patterns that counts: what a few epochs on a few patterns gave is not yet all that they
tell. More holds their errors fast, less forgets what noise they have averaged."""
_PIECE = 3
"""Widths of a pattern that the positions of a piece spread over."""
_ROOM = 0.25
"""Of its side, by which a canvas that has become too small grows at least."""
_KNOWN = 0.95
"""Part of a pattern's light that falls on what is known, for it to judge."""
_MOST_WAITING = 64
"""Patterns kept out of which it is remembered that they have not judged yet."""
_TO_BEGIN_WITH = 256
"""Patterns by which the probe is chosen, at most."""
_LOOKED_AT = 2**18
"""Pixels of which the coverage is told."""
_NETWORK = "network."
_NEW_SCAN = {"patterns": 0}
"""Summary of a scan that is none of training, whose patterns are numbered otherwise."""


@dataclass(frozen=True)
class Progress:
    """How far a picture is.

    Parameters
    ----------
    patterns
        That are in it.
    covered_pixels
        Object pixels that are lit.
    median_coverage
        Light on them, in units of the probe's brightest pixel.
    free_misfit
        Of the patterns that were kept out, each judged once what it sees was known; NaN before the first.
    free_patterns
        How many of these have judged.
    """

    patterns: int
    covered_pixels: int
    median_coverage: float
    free_misfit: float
    free_patterns: int


@dataclass(frozen=True)
class _Judge:
    """A pattern (1, N, N) that was kept out, its weight, and its place (2,) among the scan's positions."""

    amplitude: Tensor
    weight: Tensor | None
    position: NDArray[np.float64]


class Mosaic:
    """An object that grows.

    Parameters
    ----------
    model
        A network with the probe of this scan.

    Attributes
    ----------
    origin
        (2,) whole pixels: where the canvas begins among the scan's positions.
    picture, object, light
        (H, W): cleaned; as the solver has it; counts that were sent through each pixel.
    """

    def __init__(self, model: PinnModel) -> None:
        self.model = model
        self.origin: NDArray[np.float64] = np.zeros(2)
        self.picture = self.object = torch.ones(0, 0, dtype=torch.complex64, device=model.device)
        self.light = torch.zeros(0, 0, device=model.device)
        self._extent: NDArray[np.float64] = np.array([[np.inf] * 2, [-np.inf] * 2])
        self._waiting: list[_Judge] = []
        self._misfit, self._shown, self._judged = MisfitSum(), 0, 0

    @classmethod
    def begin(cls, model: PinnModel, scan: Scan, device: torch.device) -> Mosaic:
        """Return an empty one, with the probe that explains the first patterns of a scan best, as `adapt` has it."""
        some = scan.take(middle(scan, np.arange(len(scan)), _TO_BEGIN_WITH))
        canvas = Canvas.of_scan(some, Amplitudes(some), np.arange(len(some)), device)
        adapted, _ = model.adapt(some, canvas, _NEW_SCAN)
        return cls(adapted)

    def state(self) -> dict[str, Any]:
        """Return all that `from_state` needs beside the network, as tensors and plain values."""
        return {
            "model": {name: t for name, t in self.model.state_dict().items() if not name.startswith(_NETWORK)},
            "canvas": [self.picture, self.object, self.light],
            "places": [torch.from_numpy(self.origin), torch.from_numpy(self._extent)],
            "waiting": [[each.amplitude, each.weight, torch.from_numpy(each.position)] for each in self._waiting],
            "misfit": self._misfit.sums,
            "counts": [self._shown, self._judged],
        }

    @classmethod
    def from_state(cls, model: PinnModel, state: dict[str, Any], device: torch.device) -> Mosaic:
        """Return the picture of which `state` is, made further with the network of a model."""
        network = {name: t for name, t in model.state_dict().items() if name.startswith(_NETWORK)}
        whole = {name: tensor.cpu() for name, tensor in {**state["model"], **network}.items()}
        mosaic = cls(PinnModel.from_state(model.config, whole).to(device).eval())
        mosaic.picture, mosaic.object, mosaic.light = (tensor.to(device) for tensor in state["canvas"])
        mosaic.origin, mosaic._extent = (tensor.cpu().numpy() for tensor in state["places"])
        mosaic._waiting = [_Judge(amplitude, weight, at.cpu().numpy()) for amplitude, weight, at in state["waiting"]]
        mosaic._misfit = MisfitSum(state["misfit"])
        mosaic._shown, mosaic._judged = state["counts"]
        return mosaic

    @property
    def _brightest(self) -> float:
        return float(squared_modulus(self.model.probe.detach()).sum(dim=0).max())

    @torch.no_grad()
    def add(self, scan: Scan, numbers: NDArray[np.int64]) -> None:
        """Put patterns into the picture.

        Parameters
        ----------
        scan
            The new patterns alone, at positions in the same frame as those before them.
        numbers
            (n,) of them, by which every `HELD_OUT`-th is kept out.
        """
        placed = canvas_around(scan.positions, scan.size)
        self._make_room(placed)
        self._extent[0] = np.minimum(self._extent[0], placed.origin)
        self._extent[1] = np.maximum(self._extent[1], placed.origin + placed.shape)
        amplitudes, kept_out = Amplitudes(scan), numbers % HELD_OUT == HELD_OUT // 2
        for rows in _pieces(scan, np.flatnonzero(~kept_out)):
            self._add_piece(scan, amplitudes, rows)
        self._shown += int((~kept_out).sum())
        for row in np.flatnonzero(kept_out).tolist():
            self._waiting.append(_Judge(*amplitudes[np.array([row])], scan.positions[row]))
        self._judge()

    def progress(self) -> Progress:
        """Return how far the picture is."""
        step = max(1, math.isqrt(self.light.numel() // _LOOKED_AT))
        light = self.light[::step, ::step] / self._brightest
        lit = light[light > LIT]
        return Progress(
            self._shown,
            len(lit) * step**2,
            float(lit.median()) if len(lit) else 0.0,
            self._misfit.result().misfit,
            self._judged,
        )

    def preview(self) -> tuple[NDArray[np.complex64], NDArray[np.complex64], int]:
        """Return the picture as far as patterns reach, the first probe mode, and the picture's binning."""
        (top, left), (bottom, right) = (self._extent - self.origin).astype(int).tolist()
        picture, binning = binned(self.picture[top:bottom, left:right])
        return picture, self.model.probe[0].detach().cpu().numpy(), binning

    def _make_room(self, wanted: Placed) -> None:
        """Have the canvas hold another one; it grows by so much that it does not grow often."""
        if not self.object.numel():
            self.origin = wanted.origin
            self.picture = torch.ones(wanted.shape, dtype=torch.complex64, device=self.model.device)
            self.object, self.light = self.picture.clone(), torch.zeros(wanted.shape, device=self.model.device)
            return
        shape = np.array(self.object.shape)
        before = np.maximum(self.origin - wanted.origin, 0).astype(int)
        after = np.maximum(wanted.origin + wanted.shape - self.origin - shape, 0).astype(int)
        if not (before.any() or after.any()):
            return
        room = (shape * _ROOM).astype(int)
        (top, left), (bottom, right) = (np.where(more > 0, more + room, 0).tolist() for more in (before, after))
        around = (left, right, top, bottom)
        self.picture = torch.nn.functional.pad(self.picture, around, value=1.0)
        self.object = torch.nn.functional.pad(self.object, around, value=1.0)
        self.light = torch.nn.functional.pad(self.light, around)
        self.origin = self.origin - (top, left)

    def _add_piece(self, scan: Scan, amplitudes: Amplitudes, rows: NDArray[np.int64]) -> None:
        model = self.model
        lowest = np.floor(scan.positions[rows].min(axis=0)) - scan.size // 2
        extent = np.floor(scan.positions[rows]).max(axis=0) - scan.size // 2 - lowest + scan.size + 1
        placed = Placed(lowest, (int(extent[0]), int(extent[1])))
        canvas = Canvas(scan, amplitudes, rows, model.device, placed)
        here = self._at(placed, 0)
        earlier = Earlier(self.object[here], self.light[here] * _TRUST)
        self.object[here] = model.solved(canvas, _LIKELIHOOD_EPOCHS, earlier=earlier)
        self.light[here] += light_in_counts(canvas, model.probe.detach())
        reach = model.network.reach  # pixels beyond the piece change too, by as far as the network sees
        changed, seen = self._at(placed, reach), self._at(placed, 2 * reach)
        cleaned = model.network(self.object[seen][None], self.light[seen][None])[0]
        top, left = (some.start - whole.start for some, whole in zip(changed, seen, strict=True))
        height, width = self.picture[changed].shape
        self.picture[changed] = cleaned[top : top + height, left : left + width]

    def _at(self, placed: Placed, margin: int) -> tuple[slice, slice]:
        """Return where a piece lies on the canvas, with a margin around it as far as there is one."""
        corner = (placed.origin - self.origin).astype(int).tolist()
        y, x = (
            slice(max(0, first - margin), min(side, first + length + margin))
            for first, length, side in zip(corner, placed.shape, self.object.shape, strict=True)
        )
        return y, x

    def _judge(self) -> None:
        """Let patterns that were kept out judge, each once, when what they see is known."""
        probe, rest = self.model.probe.detach(), []
        shape = squared_modulus(probe).sum(dim=0)
        least, size = LIT * self._brightest, probe.shape[-1]
        for judge in self._waiting:
            position = torch.from_numpy((judge.position - self.origin).astype(np.float32)).to(probe.device)
            windows = place(position[None], size, (1, *self.light.shape))
            light = cut_out(self.light, windows.start, (size, size))[0]
            if float(shape[light > least].sum() / shape.sum()) < _KNOWN:
                rest.append(judge)
                continue
            expected = self.model.predict_patterns(self.picture[None], probe, windows)
            weight = None if judge.weight is None else judge.weight.to(probe.device)
            self._misfit.add(expected, judge.amplitude.to(probe.device), weight)
            self._judged += 1
        self._waiting = rest[-_MOST_WAITING:]


def _pieces(scan: Scan, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the patterns of each part of the canvas, in the order in which it was first visited."""
    cells = np.floor(scan.positions[rows] / (_PIECE * scan.size)).astype(np.int64)
    _, first, which = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    for cell in np.argsort(first):
        yield rows[which.ravel() == cell]
