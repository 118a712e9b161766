"""Batches of patterns: which are dealt, on which canvas, and their data, never a copy more than needed."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ptycho_core.base.config import Config
from ptycho_core.engines.physics import capped
from ptycho_core.engines.propagators import propagator_of
from ptycho_core.inspection.memory import HIDDEN_AT_ONCE, IN_MEMORY_BYTES
from ptycho_core.scan.grouping import (
    GroupingPlan,
    Neighborhoods,
    groups_per_step,
    merged_groups,
    patterns_per_step,
)
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
    predict them.
    """

    groups: NDArray[np.int64]
    canvas: Placed
    hidden: int = 0


class Batch(NamedTuple):
    """A deal with its data.

    ``amplitude`` (g, c, N, N), as the propagator has it; ``positions`` (g, c, 2) on the canvas of ``canvas`` pixels;
    ``indexes`` (g, c), the patterns' places in the scan. The first ``hidden`` patterns of each group are to be
    predicted. ``piece`` is the shape of a piece of the canvas that holds the windows of any of the groups. ``weight``
    is as `Measured` has it of all patterns one after another.
    """

    amplitude: Tensor
    positions: Tensor
    indexes: Tensor
    canvas: tuple[int, int]
    piece: tuple[int, int]
    hidden: int = 0
    weight: Tensor | None = None


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
    """

    def __init__(self, scan: Scan, home: torch.device | None = None) -> None:
        self._scan, self._arranged = scan, propagator_of(scan).arranged
        self.home = home
        self.kept: tuple[Tensor, Tensor | None] | None = None
        """Amplitudes of all patterns and, as booleans, which pixels are good."""
        if home is not None:
            self.kept = self._read_to(home)
        elif self._is_small:
            self.kept = self._read(np.arange(len(scan)))

    @property
    def _is_small(self) -> bool:
        return self._scan.patterns.nbytes <= IN_MEMORY_BYTES

    def __getitem__(self, rows: NDArray[np.int64]) -> Measured:
        """What was measured of these patterns, where it is kept."""
        amplitude, good = self._found(rows)
        return Measured(amplitude, None if good is None else good.float())

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


class PatternDataset(Dataset[Batch]):
    """Turns deals into batches.

    Parameters
    ----------
    amplitudes
        Of the whole scan.
    positions
        (n, 2) of the whole scan.
    """

    def __init__(self, amplitudes: Amplitudes, positions: NDArray[np.float64]) -> None:
        self.amplitudes, self.positions = amplitudes, positions

    def __getitem__(self, deal: Deal) -> Batch:
        """Return the batch of a deal."""
        groups = deal.groups
        amplitude, weight = self.amplitudes[groups.reshape(-1)]
        # From the canvas' origin first: float32 is too coarse for positions far from 0.
        positions = (self.positions[groups] - deal.canvas.origin).astype(np.float32)
        return Batch(
            amplitude.view(*groups.shape, *amplitude.shape[1:]),
            torch.from_numpy(positions),
            torch.from_numpy(groups),
            deal.canvas.shape,
            piece_of(positions, amplitude.shape[-1]),
            deal.hidden,
            weight,
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


class EpochSampler(Sampler[Deal]):
    """Deals an epoch's batches of training patterns, by seed and epoch alone.

    Parameters
    ----------
    rank, world
        Which part of each epoch's batches is ours.
    """

    def __init__(self, seed: int, *, rank: int, world: int) -> None:
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes next."""
        self.epoch = epoch

    def generator(self) -> np.random.Generator:
        """Return the epoch's, alike in all processes."""
        return np.random.default_rng([self.seed, self.epoch])


class GroupSampler(EpochSampler):
    """Deals groups of neighbours on the canvas of the scan.

    Parameters
    ----------
    scan
        To train on.
    rows
        Patterns to draw from.
    config
        gridsize, neighbor_count, n_groups, batch_size and seed.
    rank, world
        As for `EpochSampler`.
    """

    def __init__(self, scan: Scan, rows: NDArray[np.int64], config: Config, *, rank: int, world: int) -> None:
        super().__init__(config.seed, rank=rank, world=world)
        self.canvas, self.rows = scan_canvas(scan), rows
        self.neighborhoods = Neighborhoods(scan.positions[rows])
        self.plan = GroupingPlan(config.gridsize, config.neighbor_count)
        self.n_groups = config.n_groups or self.plan.groups_per_epoch(len(rows))
        self.batch_size = min(config.batch_size or groups_per_step(self.n_groups), self.n_groups)

    def __len__(self) -> int:
        return max(1, self.n_groups // self.batch_size // self.world)

    def __iter__(self) -> Iterator[Deal]:
        count = len(self) * self.world * self.batch_size
        batches = merged_groups(self.neighborhoods, self.plan, count, self.batch_size, self.generator())
        for groups in itertools.islice(batches, self.rank, None, self.world):  # every rank draws the same
            yield Deal(self.rows[groups], self.canvas)


class PatternSampler(EpochSampler):
    """Deals single patterns, each once in an epoch, on one canvas.

    Parameters
    ----------
    canvas
        Of all patterns.
    rows
        Patterns to draw from.
    config
        n_groups, batch_size and seed.
    rank, world
        As for `EpochSampler`.
    """

    def __init__(self, canvas: Placed, rows: NDArray[np.int64], config: Config, *, rank: int, world: int) -> None:
        super().__init__(config.seed, rank=rank, world=world)
        self.canvas, self.rows = canvas, rows
        self.count = min(config.n_groups or len(rows), len(rows))
        self.batch_size = min(config.batch_size or patterns_per_step(self.count), self.count)

    def __len__(self) -> int:
        return math.ceil(self.count / self.batch_size / self.world)

    def __iter__(self) -> Iterator[Deal]:
        order = self.generator().permutation(self.rows)[: self.count]
        count = len(self) * self.world
        # Every process needs as many batches, and a pattern in each: where they do not suffice, some come again.
        for batch in np.array_split(np.resize(order, max(self.count, count)), count)[self.rank :: self.world]:
            yield Deal(batch[None], self.canvas)


class FixedSampler(Sampler[Deal]):
    """Deals the same batches every time, shared by the processes."""

    def __init__(self, deals: Iterable[Deal], *, rank: int, world: int) -> None:
        everything = list(deals)
        # The processes wait for each other at every batch, so each takes as many, some of them again if need be.
        ours = range(rank, math.ceil(len(everything) / world) * world, world)
        self.deals = [everything[number % len(everything)] for number in ours]

    def __len__(self) -> int:
        return len(self.deals)

    def __iter__(self) -> Iterator[Deal]:
        yield from self.deals


def chunks(hidden: NDArray[np.int64], canvas: Placed) -> Iterator[Deal]:
    """Deal patterns to be predicted from an object that is there already."""
    for start in range(0, len(hidden), REGION):
        some = hidden[start : start + REGION]
        yield Deal(some[None], canvas, some.size)
