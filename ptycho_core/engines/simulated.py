"""Scans that are simulated while a network trains: varied objects under the beam of a scan that was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptycho_core.engines.canvas import middle
from ptycho_core.engines.data import Amplitudes, Measurement, Split, TrainingScans, scan_canvas
from ptycho_core.engines.estimate import Held
from ptycho_core.scan.scan import Patterns, Scan
from ptycho_core.simulation.forward import SimulatedPatterns
from ptycho_core.simulation.varied import varied_object

MOST_PATTERNS = 512
"""Of a large scan, those in its middle: more of one object teach no more."""
_NONE = np.zeros(0, np.int64)


class SimulatedScans(TrainingScans):
    """Simulated objects in place of measured ones: at the positions of a scan, with its probe, background and mask.

    Each number is another object, and so every epoch has new ones. Their counts are computed as they are read.

    Parameters
    ----------
    measured
        The scans, taken by turns.
    held
        Their probes and backgrounds.
    count
        Objects in an epoch.
    seed
        Of all that is drawn.
    """

    def __init__(self, measured: Sequence[Measurement], held: Sequence[Held], count: int, seed: int) -> None:
        super().__init__(measured)
        self._count, self._seed = count, seed
        self._places = [_middle(one.scan) for one in measured]
        self._beams = [(one.probe.cpu().numpy(), float(one.background)) for one in held]
        self._latest: tuple[int, Measurement] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Measurement:
        """Return the simulated scan of a number: the latest one is kept."""
        if self._latest is None or self._latest[0] != number:
            self._latest = None  # two would take twice the memory
            self._latest = number, self._simulated(number)
        return self._latest[1]

    @property
    def dealt(self) -> list[tuple[Scan, NDArray[np.int64]]]:
        """Where the patterns lie at each place; all of them train."""
        places = (self._places[number % len(self._places)] for number in range(self._count))
        return [(scan, np.arange(len(scan))) for scan in places]

    def _simulated(self, number: int) -> Measurement:
        which = number % self._count % len(self._places)
        measured, scan, (probe, background) = self._measured[which], self._places[which], self._beams[which]
        canvas, rng = scan_canvas(scan), np.random.default_rng([self._seed, number, 2])
        patterns = SimulatedPatterns(
            varied_object(canvas.shape, rng, number),
            probe,
            scan.positions - canvas.origin,
            background,
            dead=_NONE,
            hot=_NONE,
            noise_seed=int(rng.integers(2**31)),
            spread=scan.fresnel_spread,
        )
        simulated, every = scan.replace(patterns=Patterns(patterns)), np.arange(len(scan))
        parts = Split(every, _NONE, _NONE)
        return Measurement(simulated, Amplitudes(simulated, measured.amplitudes.home), parts, measured.beam)


def _middle(scan: Scan) -> Scan:
    rows = middle(scan, np.arange(len(scan)), MOST_PATTERNS)
    return scan if len(rows) == len(scan) else scan.take(rows)
