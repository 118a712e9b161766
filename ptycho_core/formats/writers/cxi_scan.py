"""A scan as a CXI 1.6 file, pattern by pattern: no whole copy in memory."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.formats.writers.cxi_groups import PIXEL_IS_INVALID, create_entry, write_instrument, write_translation
from ptycho_core.formats.writers.disk_file import DiskFile
from ptycho_core.formats.writers.pattern_stream import counts_dtype
from ptycho_core.scan.scan import Masks, Scan
from ptycho_core.scan.survey import batches


def write_cxi_scan(scan: Scan, path: Path, *, compress: bool = True) -> None:
    """Write a scan as CXI 1.6.

    ``detector_1/data`` (n, N, N): counts, as the smallest unsigned integers when whole, else float32; gzip, which
    every HDF5 library reads. ``entry_1/data_1/data`` links to it. ``detector_1/mask`` (N, N), or (n, N, N) where it
    differs from pattern to pattern: 0 good, 1 invalid.
    ``source_1/illumination`` (M, N, N): the probe guess. Positions and geometry as `cxi_groups` describes: in
    metres, or in pixels where the geometry does not tell the pixel size. What is None is left out.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    n, height, width = scan.patterns.shape

    def check(temporary: Path) -> None:
        with h5py.File(temporary, "r") as file:
            data = file["entry_1/data_1/data"]
            if data.shape != scan.patterns.shape or not np.array_equal(data[n - 1], scan.patterns[n - 1]):
                raise ValueError("other patterns than were written")

    dtype = counts_dtype(scan.patterns)
    with atomic_write(path, check) as temporary, DiskFile(temporary) as disk, h5py.File(disk, "w") as file:
        entry = create_entry(file)
        detector = write_instrument(entry, scan.geometry, scan.size)
        write_translation(entry, scan.positions, scan.geometry, scan.size)
        filters = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if compress else {}
        data = detector.create_dataset("data", scan.patterns.shape, dtype, chunks=(1, height, width), **filters)
        data.attrs["axes"] = "translation:y:x"
        for places, counts in batches(scan.patterns):
            data[places] = counts.astype(dtype, copy=False)
            disk.raise_error()
        if isinstance(scan.mask, Masks):
            mask = detector.create_dataset("mask", scan.mask.shape, np.uint32, chunks=(1, height, width), **filters)
            for places, good in batches(scan.mask):
                mask[places] = mask_bits(good)
                disk.raise_error()
        elif scan.mask is not None:
            detector["mask"] = mask_bits(scan.mask)
        if scan.probe is not None:
            entry["instrument_1/source_1/illumination"] = scan.probe
        if scan.indexes is not None:
            entry["data_1/indexes"] = scan.indexes
        entry["data_1/data"] = h5py.SoftLink(data.name)
        for group in ("data_1", "instrument_1/detector_1"):
            entry[f"{group}/translation"] = h5py.SoftLink(f"{entry.name}/sample_1/geometry_1/translation")


def mask_bits(good: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return a mask as CXI has it: 0 where good."""
    return np.where(good, np.uint32(0), np.uint32(PIXEL_IS_INVALID))
