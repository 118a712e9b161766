"""Scans as engines take them: their amplitudes, parts and canvases, and batches, never a copy more than needed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ptycho_core.base.config import Config
from ptycho_core.engines.physics import capped
from ptycho_core.engines.propagators import propagator_of
from ptycho_core.inspection.memory import HIDDEN_AT_ONCE, IN_MEMORY_BYTES
from ptycho_core.scan.scan import Masks, Scan

REGION = HIDDEN_AT_ONCE
"""Hidden patterns that are predicted at once."""
CANVAS_MULTIPLE = 8
"""Canvases are rounded up to this, as those of checkpoints are."""


class Placed(NamedTuple):
    """Where a canvas lies: its origin (2,) among the scan's positions, and its shape."""

    origin: NDArray[np.float64]
    shape: tuple[int, int]


class Deal(NamedTuple):
    """What a sampler deals: groups of patterns and their canvas.

    ``groups`` (g, c) are places in the scan; the first ``hidden`` of each group are kept from the model, which has to
    predict them. ``scan`` is the number of the `Measurement` that they are of. ``again`` says that another process has
    them too, so that they do not count.
    """

    groups: NDArray[np.int64]
    canvas: Placed
    hidden: int = 0
    scan: int = 0
    again: bool = False


class Batch(NamedTuple):
    """A deal with its data.

    ``amplitude`` (g, c, N, N), as the propagator has it; ``positions`` (g, c, 2) on the canvas of ``canvas`` pixels;
    ``indexes`` (g, c), the patterns' places in the scan. The first ``hidden`` patterns of each group are to be
    predicted. ``piece`` is the shape of a piece of the canvas that holds the windows of any of the groups. ``weight``
    is as `Measured` has it of all patterns one after another. ``scan`` and ``again`` are those of the deal.
    """

    amplitude: Tensor
    positions: Tensor
    indexes: Tensor
    canvas: tuple[int, int]
    piece: tuple[int, int]
    hidden: int = 0
    weight: Tensor | None = None
    scan: int = 0
    again: bool = False


@dataclass(frozen=True)
class Split:
    """Places in a scan of the patterns that train, that validate, and that nothing sees (`free`)."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    free: NDArray[np.int64]


def split(n: int, config: Config, *, validate: bool = True) -> Split:
    """Divide n patterns by the config's seed and fractions; the same for every run with the same numbers."""
    order = np.random.default_rng([config.seed, n]).permutation(n)
    n_free = round(n * config.free_fraction)
    n_validation = (
        min(n - 1 - n_free, max(1, round(n * config.val_fraction))) if validate and config.val_fraction else 0
    )
    free, validation, train = np.split(order, [n_free, n_free + n_validation])
    return Split(np.sort(train), np.sort(validation), np.sort(free))


class Measured(NamedTuple):
    """Patterns as they were measured.

    ``amplitude`` (b, N, N) float32, the square roots of counts as the propagator has them, 0 where a pixel is bad;
    ``weight`` 1 for good pixels and 0 for bad ones, (N, N), or (b, N, N) where they differ from pattern to pattern;
    None where all are good.
    """

    amplitude: Tensor
    weight: Tensor | None

    def on(self, device: torch.device) -> Measured:
        """Return the same on a device."""
        there = device.type != "cpu"  # where what is sent is used in the order in which it comes
        weight = None if self.weight is None else self.weight.to(device, non_blocking=there)
        return Measured(self.amplitude.to(device, non_blocking=there), weight)


class Amplitudes:
    """What was measured of a scan, for the engines; kept if it fits.

    Parameters
    ----------
    scan
        Its patterns, and its masks, may be on disk.
    home
        The accelerator that all of them are kept on, where batches are made of them without the processor; None keeps
        them in memory if they are few, else every batch is read.
    most
        Bytes that are few; None for `IN_MEMORY_BYTES`.
    """

    def __init__(self, scan: Scan, home: torch.device | None = None, most: int | None = None) -> None:
        self._scan, self._arranged = scan, propagator_of(scan).arranged
        self.home, self._most = home, IN_MEMORY_BYTES if most is None else most
        self.kept: tuple[Tensor, Tensor | None] | None = None
        """Amplitudes of all patterns and, as booleans, which pixels are good."""
        if home is not None:
            self.kept = self._read_to(home)
        elif self._is_small:
            self.kept = self._read(np.arange(len(scan)))

    @property
    def _is_small(self) -> bool:
        return self._scan.patterns.nbytes <= self._most

    def __getitem__(self, rows: NDArray[np.int64]) -> Measured:
        """What was measured of these patterns, where it is kept."""
        amplitude, good = self._found(rows)
        return Measured(amplitude, None if good is None else good.float())

    def close(self) -> None:
        """Let go of what is kept: what has used it may live on for a while, as trainers do in cycles of references."""
        self.kept = None

    def take(self, rows: NDArray[np.int64]) -> Amplitudes:
        """Return those of these patterns only, in this order: of `Scan.take`. What is kept is not read again."""
        some = copy.copy(self)
        some._scan = self._scan.take(rows)
        some.kept = self._found(rows) if self.home is not None or some._is_small else None
        return some

    def _found(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        if self.kept is None:
            return self._read(rows)
        amplitude, good = self.kept
        index = torch.from_numpy(rows).to(amplitude.device, non_blocking=True)
        return amplitude[index], good if good is None or good.ndim == 2 else good[index]

    def _read(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        counts, good = self._arranged(self._scan.patterns[rows]), self._scan.good_pixels(rows)
        if good is not None:
            good = self._arranged(good)
            counts = np.where(good, counts, np.float32(0))
        return torch.from_numpy(counts).sqrt_(), None if good is None else torch.from_numpy(np.ascontiguousarray(good))

    def _read_to(self, home: torch.device) -> tuple[Tensor, Tensor | None]:
        """Read all patterns to a device, some at a time."""
        shape = (len(self._scan), self._scan.size, self._scan.size)
        amplitude, good = torch.empty(shape, device=home), None
        if isinstance(self._scan.mask, Masks):
            good = torch.empty(shape, dtype=torch.bool, device=home)
        for start in range(0, len(amplitude), REGION):
            rows = np.arange(start, min(start + REGION, len(amplitude)))
            some, there = self._read(rows)
            amplitude[start : start + len(rows)] = some.to(home)
            if good is not None and there is not None:
                good[start : start + len(rows)] = there.to(home)
        return amplitude, good if good is not None or there is None else there.to(home)


@dataclass(frozen=True)
class Measurement:
    """A scan, what was measured of it, and which of its patterns train, validate and stay free.

    ``beam`` is the place, among the scans of a run, of the one whose probe, background and brightness it has.
    """

    scan: Scan
    amplitudes: Amplitudes
    parts: Split
    beam: int = 0


def measure(
    scans: Sequence[Scan], parts: Sequence[Split], home_of: Callable[[Scan], torch.device | None]
) -> list[Measurement]:
    """Return scans of a run with their patterns, of which memory keeps what fits together.

    ``home_of`` says which accelerator, if any, has room for all patterns of a scan, when it is its turn.
    """
    found, left = [], IN_MEMORY_BYTES
    for beam, (scan, of_scan) in enumerate(zip(scans, parts, strict=True)):
        amplitudes = Amplitudes(scan, home_of(scan), left)
        if amplitudes.kept is not None and amplitudes.home is None:
            left -= scan.patterns.nbytes
        found.append(Measurement(scan, amplitudes, of_scan, beam))
    return found


class TrainingScans:
    """The scans that an epoch trains on, and their numbers, which go on from epoch to epoch.

    Parameters
    ----------
    measured
        The scans.
    """

    def __init__(self, measured: Sequence[Measurement]) -> None:
        self._measured = measured

    def __len__(self) -> int:
        return len(self._measured)

    def __getitem__(self, number: int) -> Measurement:
        """Return the scan of a number: place + epoch times how many there are."""
        return self._measured[number % len(self)]

    @property
    def dealt(self) -> list[tuple[Scan, NDArray[np.int64]]]:
        """Where the patterns lie, and which of them train, at each place."""
        return [(one.scan, one.parts.train) for one in self._measured]

    @property
    def at_home(self) -> bool:
        """Whether patterns of any lie on an accelerator."""
        return any(one.amplitudes.home is not None for one in self._measured)


class PatternDataset(Dataset[Batch]):
    """Turns deals into batches.

    Parameters
    ----------
    scans
        By the numbers of deals.
    """

    def __init__(self, scans: TrainingScans) -> None:
        self.scans = scans

    def __getitem__(self, deal: Deal) -> Batch:
        """Return the batch of a deal."""
        groups, one = deal.groups, self.scans[deal.scan]
        amplitude, weight = one.amplitudes[groups.reshape(-1)]
        # From the canvas' origin first: float32 is too coarse for positions far from 0.
        positions = (one.scan.positions[groups] - deal.canvas.origin).astype(np.float32)
        return Batch(
            amplitude.view(*groups.shape, *amplitude.shape[1:]),
            torch.from_numpy(positions),
            torch.from_numpy(groups),
            deal.canvas.shape,
            piece_of(positions, amplitude.shape[-1]),
            deal.hidden,
            weight,
            deal.scan,
            deal.again,
        )


def as_it_is(batch: Any) -> Any:
    """Collate nothing. Here, so that the processes that read ahead import torch and not Lightning, in half the time."""
    return batch


def canvas_around(positions: NDArray[np.float64], size: int) -> Placed:
    """Return the canvas that holds the windows of patterns of N pixels at positions (n, 2)."""
    lowest = np.floor(positions.min(axis=0))
    extent = np.floor(positions).max(axis=0) - lowest + size + 1
    height, width = (-(-int(pixels) // CANVAS_MULTIPLE) * CANVAS_MULTIPLE for pixels in extent)
    return Placed(lowest - size // 2, (height, width))


def piece_of(positions: NDArray[np.float32], size: int) -> tuple[int, int]:
    """Return the shape of a piece that holds the windows of N pixels of any of these groups, at (g, c, 2)."""
    height, width = (np.ptp(np.floor(positions), axis=1).max(axis=0).astype(int) + size + 1).tolist()
    return height, width


def corners_of(batch: Batch) -> Tensor:
    """Return the first pixels (g, 2) of the pieces of the canvas that hold the windows of a batch's groups."""
    lowest = torch.floor(batch.positions).to(torch.int64).amin(dim=1) - batch.amplitude.shape[-1] // 2
    return capped(lowest, (whole - part for whole, part in zip(batch.canvas, batch.piece, strict=True)))


def scan_canvas(scan: Scan, config: Config | None = None) -> Placed:
    """Return the canvas that holds the windows of all patterns of a scan: its origin (2,) and shape.

    Where the config lets positions move, it has a margin for them, of an eighth of a pattern.
    """
    margin = scan.size // 8 if config is not None and config.positions == "refine" else 0
    origin, (height, width) = canvas_around(scan.positions, scan.size)
    wider = -(-2 * margin // CANVAS_MULTIPLE) * CANVAS_MULTIPLE
    return Placed(origin - margin, (height + wider, width + wider))
