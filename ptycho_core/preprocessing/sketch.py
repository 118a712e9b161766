"""What a step does to a scan, known quickly enough to be shown while it is edited. No torch here."""

from __future__ import annotations

import numpy as np

from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.scan import Masks, Scan, both_good
from ptycho_core.scan.steps import DropDead, Saturation, Step
from ptycho_core.scan.survey import ever_good, rows_to_look_at


def sketch(step: Step, scan: Scan) -> Scan:
    """Do a step as `preprocess` does, but look for a large scan's dead patterns and saturated pixels in a sample only.

    Raises
    ------
    InputError
        As `preprocess`.
    """
    rows = rows_to_look_at(scan.patterns)
    if not isinstance(step, (DropDead, Saturation)) or len(rows) == len(scan):
        return preprocess(scan, [step])
    seen = preprocess(scan.take(rows).replace(indexes=rows), [step])
    kept = np.ones(len(scan), bool)
    kept[rows] = np.isin(rows, np.asarray(seen.indexes))
    note = f"{seen.history[-1]}, of those looked at"
    whole = scan.take(np.flatnonzero(kept))
    mask = both_good(whole.mask, ever_good(seen)) if isinstance(whole.mask, Masks) else seen.mask
    return whole.replace(note, mask=mask, source=scan.source.then(step))
