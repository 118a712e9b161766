"""The search for the orientation of a scan's patterns, as a job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.events import StopToken
from ptycho_core.preprocessing import with_steps
from ptycho_core.scan.orientation import ORIENTATIONS, OrientationTrial
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Step
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True, eq=False)
class Tried:
    """Event: an orientation was tried; ``object`` (h, w) is what came of it, complex."""

    trial: OrientationTrial
    object: NDArray[np.complex64]


def orientation_job(scan: Scan, steps: tuple[Step, ...]) -> Job:
    """Try all orientations of a scan with other steps than it was loaded with.

    Result: list of `OrientationTrial`, the best first.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> list[OrientationTrial]:
        emit(Progress("reading the scan"))
        prepared = with_steps(scan, steps)
        token.leave_if_cancelled()
        emit(Progress("loading the reconstruction software"))
        leave_one_core_to_the_window()
        from ptycho_core.engines.orientation_search import search_orientation

        done = 0

        def tell(trial: OrientationTrial, object: NDArray[np.complex64]) -> None:
            nonlocal done
            token.leave_if_cancelled()
            done += 1
            emit(Tried(trial, object))
            emit(Progress("trying orientations", done, len(ORIENTATIONS)))

        emit(Progress("trying orientations", 0, len(ORIENTATIONS)))
        trials = search_orientation(prepared, stop=token, tried=tell)
        token.leave_if_cancelled()
        return trials

    return job
