"""`LiveScan`: a scan while it is measured, and which of its patterns are in its picture, also for who starts again."""

from __future__ import annotations

import contextlib
import math
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write, explain_write_errors
from ptycho_core.base.errors import PtychoError
from ptycho_core.base.file_state import FileState
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.mosaic import Mosaic
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Step

_MOST_AT_ONCE = 5000
"""New patterns that one look puts into a picture, so that a stop is obeyed soon."""
_SAME_PLACE_PX = 0.01
_WORTH_ANOTHER_LOOK = 1.1
_KEPT_EVERY_S = 10.0
_KEPT_PART = 0.05
"""Part of the time that goes into keeping a picture, at most."""


class LiveScan:
    """A picture that grows with its scan, kept in a file from time to time: who starts again goes on with it.

    Parameters
    ----------
    model
        Makes the picture, with the probe that suits the scan.
    checkpoint
        Where the model is from: what another one has begun is not gone on with.
    device
        Where to compute.
    kept
        The file.

    Attributes
    ----------
    mosaic
        The picture; None before it is begun.
    """

    def __init__(self, model: PinnModel, checkpoint: Path, device: torch.device, kept: Path) -> None:
        self.model, self.checkpoint, self.device, self.kept = model, checkpoint, device, kept
        self.seen = 0
        """Patterns at the last look."""
        self.pictured = True
        """Whether a picture can be made of it."""
        self._prepared, self._left = 0, False
        self.mosaic: Mosaic | None = None
        self._numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self._positions: NDArray[np.float64] = np.empty((0, 2))
        self._first, self._shown = 0, True
        self._kept_at, self._kept_s = -math.inf, 0.0
        if kept.exists():
            with contextlib.suppress(Exception):  # a file that is cut, or another version's: the picture is begun anew
                self._resume(torch.load(kept, map_location=device, weights_only=True))

    def grow(self, scan: Scan) -> bool:
        """Put patterns into the picture that are not in it yet; return whether it is another than was shown."""
        new, shown = self._new_of(scan), self._shown
        self._shown = True
        if not len(new):
            return not shown
        self.mosaic = self.mosaic or Mosaic.begin(self.model, scan, self.device)
        self.mosaic.add(new, new.numbers)
        if not len(self._numbers):
            self._first = _crc(new, 0)
        self._numbers = np.concatenate([self._numbers, new.numbers])
        self._positions = np.concatenate([self._positions, new.positions])
        if time.monotonic() - self._kept_at > max(_KEPT_EVERY_S, self._kept_s / _KEPT_PART):
            with contextlib.suppress(PtychoError):  # a share that is out of reach: the next time
                self.keep()
        return True

    def is_time_for(self, steps: Iterable[Step], patterns: int) -> bool:
        """Return whether steps are to be done on so many patterns: those that look at all, once a tenth more is there.

        So each pattern is looked at eleven times at most, however often there are new ones, and once more for each
        portion of those that are put in at a time.
        """
        if any(step.looks_at_all for step in steps):
            if not self._left and patterns < _WORTH_ANOTHER_LOOK * self._prepared:
                return False
            self._prepared = patterns
        return True

    def keep(self) -> None:
        """Keep the picture in the file.

        Raises
        ------
        PtychoError
            It cannot be written.
        """
        if self.mosaic is None:
            return
        begun = time.monotonic()
        with explain_write_errors(self.kept):
            self.kept.parent.mkdir(exist_ok=True)
        with atomic_write(self.kept) as temporary:
            torch.save({"of": self._of(), "mosaic": self.mosaic.state(), **self._places()}, temporary)
        self._kept_at = time.monotonic()
        self._kept_s = self._kept_at - begun

    def forget(self) -> None:
        """Remove the file: the scan is over."""
        self.kept.unlink(missing_ok=True)

    def _of(self) -> list[Any]:
        state = FileState.of(self.checkpoint)
        return [state.size, state.modified_ns]

    def _places(self) -> dict[str, Any]:
        numbers, positions = torch.from_numpy(self._numbers), torch.from_numpy(self._positions)
        return {"numbers": numbers, "positions": positions, "first": self._first}

    def _resume(self, kept: dict[str, Any]) -> None:
        if kept["of"] == self._of():
            self.mosaic = Mosaic.from_state(self.model, kept["mosaic"], self.device)
            self._numbers, self._positions = kept["numbers"].cpu().numpy(), kept["positions"].cpu().numpy()
            self._first, self._shown = kept["first"], False

    def _new_of(self, scan: Scan) -> Scan:
        """Return the first patterns that are not in the picture yet, where they lie among those that are.

        Positions that have moved all alike are moved back. Where they have moved otherwise, or the first pattern is
        another, the picture is begun anew.
        """
        common, here, before = np.intersect1d(scan.numbers, self._numbers, return_indices=True)
        apart = scan.positions[here] - self._positions[before]
        shift: NDArray[np.float64] = np.median(apart, axis=0) if len(common) else np.zeros(2)
        first = np.flatnonzero(scan.numbers == self._numbers[0]).tolist() if len(self._numbers) else []
        other = len(self._numbers) > 0 and [_crc(scan, row) for row in first] != [self._first]
        if other or (len(common) and abs(apart - shift).max() > _SAME_PLACE_PX):
            self.mosaic, self._numbers, self._positions = None, self._numbers[:0], self._positions[:0]
            common, shift = common[:0], np.zeros(2)
        rows = np.flatnonzero(~np.isin(scan.numbers, common))
        self._left = len(rows) > _MOST_AT_ONCE
        new = scan.take(rows[:_MOST_AT_ONCE])
        return new.replace(positions=new.positions - shift)


def _crc(scan: Scan, row: int) -> int:
    return zlib.crc32(np.ascontiguousarray(scan.patterns[row]).tobytes())
