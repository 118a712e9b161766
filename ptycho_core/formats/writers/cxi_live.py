"""A scan written into a CXI file while others read it, as a detector does (SWMR: single writer, multiple readers)."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.events import StopToken
from ptycho_core.formats.writers.cxi_groups import TRANSLATION, create_entry, translations, write_instrument
from ptycho_core.formats.writers.cxi_scan import mask_bits
from ptycho_core.scan.scan import Scan

_EVERY_S = 0.1
_AT_ONCE = 256


def write_cxi_live(scan: Scan, path: Path, rate: float, stop: StopToken) -> int:
    """Write patterns and positions as they would be measured; the file can be read from its first moment on.

    It is made at ``path`` and closed at the end, or once ``stop`` asks for it, with what it has then. Datasets are
    those of `write_cxi_scan`, without compression, but no mask of single patterns and no indexes.

    Parameters
    ----------
    scan
        Its patterns are read as they are written.
    path
        The file, which is replaced.
    rate
        Patterns a second; fewer where they cannot be read and written as fast.
    stop
        Ends the writing early.

    Returns
    -------
    int
        How many patterns were written.

    Raises
    ------
    PtychoError
        The file cannot be made.
    """
    _, height, width = scan.patterns.shape
    places, attributes = translations(scan.positions, scan.geometry, scan.size)
    with explain_write_errors(path):
        path.unlink(missing_ok=True)
        file = h5py.File(path, "w", libver="latest")
    with file:
        entry = create_entry(file)
        detector = write_instrument(entry, scan.geometry, scan.size)
        dtype = scan.patterns.source.dtype
        shape = (0, height, width)
        data = detector.create_dataset("data", shape, dtype, maxshape=(None, height, width), chunks=(1, height, width))
        translation = entry.create_dataset(TRANSLATION, (0, 3), np.float64, maxshape=(None, 3), chunks=(_AT_ONCE, 3))
        translation.attrs.update(attributes)
        if isinstance(scan.mask, np.ndarray):
            detector["mask"] = mask_bits(scan.mask)
        if scan.probe is not None:
            entry["instrument_1/source_1/illumination"] = scan.probe
        entry["data_1/data"] = h5py.SoftLink(data.name)
        file.swmr_mode = True
        begun, written = time.perf_counter(), 0
        while written < len(scan) and not stop.stop_requested:
            time.sleep(min(_EVERY_S, max(0.0, begun + written / rate + _EVERY_S - time.perf_counter())))
            due = min(len(scan), written + _AT_ONCE, int((time.perf_counter() - begun) * rate) + 1)
            for dataset, values in (
                (data, scan.patterns[written:due].astype(dtype)),
                (translation, places[written:due]),
            ):
                dataset.resize(due, axis=0)
                dataset[written:due] = values
                dataset.flush()
            written = due
        return written
