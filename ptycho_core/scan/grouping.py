"""Groups of overlapping patterns: what is wrong with gridsize and neighbor count, and the groups themselves.

The window and the command line both ask `GroupingPlan.check`; training draws with `merged_groups`. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.config import KNOBS
from ptycho_core.base.errors import Fix, InputError, Problem

LEAST_OVERLAP = 0.3
"""Overlap of a probe with its K-th neighbour's, as a part of the diameter, below which `check` warns."""

_SAMPLE, _SAMPLE_NEIGHBORS = 2000, 50_000
"""Patterns, and neighbours of them all together, from which a median distance is taken, in a hundredth of a second."""

AGAIN = 2.5
"""Times that a network which has learned draws each pattern from an object: making that takes longer than the steps."""
_MOST_GROUPS_PER_STEP = 8
_MOST_PATTERNS_PER_STEP = 48
_FEWEST_STEPS = 9


def patterns_per_step(count: int) -> int:
    """Return how many of an epoch's patterns a step of the direct engine takes: fewer of small scans."""
    return max(1, min(_MOST_PATTERNS_PER_STEP, math.ceil(count / _FEWEST_STEPS)))


def groups_per_step(count: int) -> int:
    """Return how many of an epoch's groups a step of the network takes: fewer of small scans."""
    return max(1, min(_MOST_GROUPS_PER_STEP, math.ceil(count / _FEWEST_STEPS)))


@dataclass(frozen=True)
class GroupingPlan:
    """How many patterns make a group and from how many neighbours they are drawn.

    Parameters
    ----------
    gridsize
        A group holds gridsize squared patterns: one and others drawn from its nearest neighbours.
    neighbor_count
        K, the nearest neighbours to draw from, the pattern itself included; None is automatic.

    Any value is accepted: `check` reports what is wrong with it. The other members need a checked plan.
    """

    gridsize: Any
    neighbor_count: Any = None

    @property
    def group_size(self) -> int:
        """C, the number of patterns in a group."""
        return int(self.gridsize) ** 2

    def resolve_neighbors(self, n_patterns: int) -> int:
        """Return K: as set, else ``min(C + 2 gridsize, n_patterns)``."""
        if self.neighbor_count is not None:
            return int(self.neighbor_count)
        return min(self.group_size + 2 * int(self.gridsize), n_patterns)

    def groups_per_epoch(self, n_patterns: int, *, fine_tunes: bool = False) -> int:
        """Return how many groups use each of the patterns about once, or `AGAIN` times where a network has learned."""
        return math.ceil((AGAIN if fine_tunes else 1) * n_patterns / self.group_size)

    def check(
        self,
        n_patterns: int,
        near: Neighborhoods | None = None,
        probe_diameter: float | None = None,
    ) -> list[Problem]:
        """Return what is wrong with this plan for a scan, and what would put it right.

        Parameters
        ----------
        n_patterns
            Patterns to draw from.
        near
            Of the patterns; with the probe's diameter the overlap is checked as well.
        probe_diameter
            In pixels, as `probe_diameter` measures it.

        Returns
        -------
        list of Problem
            Empty where all is well; a lack of overlap is a warning, everything else an error.
        """
        return (
            self._value_problems()
            or self._count_problems(n_patterns)
            or self._overlap_problems(n_patterns, near, probe_diameter)
        )

    def _value_problems(self) -> list[Problem]:
        problems = []
        for name in ("gridsize", "neighbor_count"):
            try:
                KNOBS[name].check(name, getattr(self, name))
            except InputError as error:
                problems.append(Problem(name, str(error)))
        return problems

    def _count_problems(self, n_patterns: int) -> list[Problem]:
        size, neighbors = self.group_size, self.resolve_neighbors(n_patterns)
        groups = f"gridsize {self.gridsize} groups {size} patterns"
        largest = math.isqrt(min(neighbors, n_patterns))
        smaller_grid = (Fix(f"gridsize {largest}", "gridsize", largest),) if largest else ()
        problems = []
        if size > n_patterns:
            problems.append(Problem("gridsize", f"{groups}, but there are only {n_patterns}", fixes=smaller_grid))
        elif neighbors < size:
            more_neighbors = Fix(f"neighbor count {size}", "neighbor_count", size)
            message = f"{groups}, so neighbor count must be at least {size} (it is {neighbors})"
            problems.append(Problem("neighbor_count", message, fixes=(more_neighbors, *smaller_grid)))
        if neighbors > n_patterns:
            message = f"neighbor count must be at most the number of patterns, {n_patterns} (it is {neighbors})"
            fewer = (Fix(f"neighbor count {n_patterns}", "neighbor_count", n_patterns),) if n_patterns else ()
            problems.append(Problem("neighbor_count", message, fixes=fewer))
        return problems

    def _overlap_problems(
        self, n_patterns: int, near: Neighborhoods | None, probe_diameter: float | None
    ) -> list[Problem]:
        neighbors = self.resolve_neighbors(n_patterns)
        if near is None or not probe_diameter or neighbors == 1:
            return []
        distance = near.reach(neighbors)
        overlap = overlap_at(distance, probe_diameter)
        if overlap >= LEAST_OVERLAP:
            return []
        message = (
            f"neighbor {neighbors} lies {distance:.3g} px away, where probes of {probe_diameter:.3g} px diameter "
            f"overlap by {overlap:.0%} of it (under {LEAST_OVERLAP:.0%}): such groups share little of the object"
        )
        return [Problem("neighbor_count", message, "warning")]


def probe_diameter(probe: NDArray[np.complexfloating[Any, Any]]) -> float:
    """Return the probe's diameter in pixels: of the disc whose area is ``(sum I)^2 / sum I^2``.

    ``I`` is the intensity summed over the modes of ``probe``, (M, N, N). The diameter of a uniform disc
    is exact; a Gaussian beam gives 4 sigma, the width of ISO 11146. A probe of zeros has none: 0.
    """
    intensity = (np.abs(probe).astype(np.float64) ** 2).sum(axis=0)
    if not intensity.any():
        return 0.0
    area = intensity.sum() ** 2 / (intensity**2).sum()
    return float(2 * math.sqrt(area / math.pi))


def overlap_at(distance: float, probe_diameter: float) -> float:
    """Return the part of its diameter by which a probe overlaps another one at a distance, both in pixels."""
    return max(0.0, 1 - distance / probe_diameter)


def group_overlap(positions: NDArray[np.float64], probe_diameter: float) -> float:
    """Return the mean of `overlap_at` over all pairs of a group's positions, (c, 2); 1 where there is no pair."""
    if len(positions) < 2:
        return 1.0
    from scipy.spatial.distance import pdist

    return float(np.maximum(0.0, 1 - pdist(positions) / probe_diameter).mean())


class Neighborhoods:
    """Finds the nearest patterns of patterns, quickly for any number of them.

    Parameters
    ----------
    positions
        (n, 2) in pixels; repeated positions are fine.
    """

    def __init__(self, positions: NDArray[np.float64]) -> None:
        self.positions = positions
        from scipy.spatial import cKDTree  # whose import the window need not wait for

        self.tree = cKDTree(positions)

    def __len__(self) -> int:
        return len(self.positions)

    def reach(self, k: int) -> float:
        """Return the distance in pixels from a pattern to its k-th nearest, itself the first: the median of a sample.

        Parameters
        ----------
        k
            1 to n.
        """
        count = max(1, min(_SAMPLE, _SAMPLE_NEIGHBORS // k))
        sample = self.positions[:: max(1, len(self) // count)]
        return float(np.median(self.tree.query(sample, k=[k])[0]))

    def nearest(self, centers: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """Return the k nearest patterns of each centre, itself first, then by distance.

        Parameters
        ----------
        centers
            (G,) indexes of patterns.
        k
            1 to n, the pattern itself included.

        Returns
        -------
        ndarray
            (G, k) int64 indexes into the positions, distinct in each row.

        Raises
        ------
        InputError
            ``k`` is not within 1 to n.
        """
        if not 1 <= k <= len(self):
            raise InputError(f"neighbor count must be from 1 to the number of patterns, {len(self)} (it is {k})")
        found: NDArray[np.int64] = self.tree.query(self.positions[centers], k=np.arange(1, k + 1))[1]
        own = found == centers[:, None]
        crowded = ~own.any(axis=1)  # k others lie at the very same position
        found[crowded, -1] = centers[crowded]
        own[crowded, -1] = True
        return np.take_along_axis(found, np.argsort(~own, axis=1, kind="stable"), axis=1)


def draw_groups(neighbors: NDArray[np.int64], group_size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one group around each centre: itself and ``group_size - 1`` others of its neighbours, uniformly.

    Parameters
    ----------
    neighbors
        (G, K) from `Neighborhoods.nearest`; the same centre in several rows gets draws of its own.
    group_size
        C, at most K.
    rng
        Source of the draws.

    Returns
    -------
    ndarray
        (G, group_size) int64, the centre first, distinct in each row.
    """
    others = rng.permuted(neighbors[:, 1:], axis=1)[:, : group_size - 1]
    return np.concatenate([neighbors[:, :1], others], axis=1)


def epoch_centers(n: int, n_groups: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the centres (n_groups,) of an epoch's groups: random orders of the n patterns, one after another."""
    rounds = [rng.permutation(n) for _ in range(math.ceil(n_groups / n))]
    return np.concatenate(rounds)[:n_groups]


def merged_groups(
    neighborhoods: Neighborhoods, plan: GroupingPlan, n_groups: int, batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Draw an epoch's batches of groups around randomly ordered centres.

    Every batch holds as many patterns as ``batch_size`` groups of C, in groups of C, 2 C, 4 C ... up to one group of
    them all: so a network learns from the sparse coverage of a group to the dense one of a scan. A size is drawn as
    often as it is large, because small groups have more canvas for their patterns and take more time.

    Parameters
    ----------
    neighborhoods
        Of the patterns to draw from.
    plan
        C, and K; a group of m C patterns is drawn from m K neighbours.
    n_groups
        Groups of C in the epoch; beyond the number of patterns the centres repeat, with neighbours drawn anew. The
        last ones are left out where they do not fill a batch.
    batch_size
        Groups of C in a batch, at most ``n_groups``.
    rng
        Source of the draws.

    Yields
    ------
    ndarray
        (g, c) int64, the centre first, distinct in each row.
    """
    n = len(neighborhoods)
    neighbors = plan.resolve_neighbors(n)
    centers = epoch_centers(n, n_groups // batch_size * batch_size, rng)
    sizes = 2 ** np.arange(int(math.log2(batch_size)) + 1)
    for batch in centers.reshape(-1, batch_size):
        merged = int(rng.choice(sizes, p=sizes / sizes.sum()))
        near = neighborhoods.nearest(batch[: batch_size // merged], min(n, merged * neighbors))
        yield draw_groups(near, min(n, merged * plan.group_size), rng)
