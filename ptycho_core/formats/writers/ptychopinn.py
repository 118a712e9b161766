"""A scan as the NPZ that PtychoPINN trains on, written member by member: no whole copy in memory."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.codec import json_ready
from ptycho_core.scan.scan import Masks, Scan, Stack
from ptycho_core.scan.survey import batches


def write_ptychopinn(scan: Scan, path: Path, *, compress: bool = True) -> None:
    """Write a scan by PtychoPINN's data contract.

    ``diff3d`` (n, N, N) float32 amplitude, the square root of the counts; ``xcoords``, ``ycoords`` (n,) float64 in
    object pixels, and the same again as ``xcoords_start``, ``ycoords_start``, since there is no other measurement
    of them; ``scan_index`` (n,) zeros: all of one object; ``probeGuess`` (N, N), or (M, N, N) of several modes, and
    ``objectGuess``, each left out where the scan has none. ``_metadata`` is JSON with geometry and history. Bad
    pixels have no key in the contract: ``good_pixels`` bool, (N, N) or (n, N, N), is added where there are any.

    Parameters
    ----------
    scan
        What to write; its patterns are read batch by batch.
    path
        The file to write or replace.
    compress
        False writes a larger file whose patterns can be mapped into memory instead of being read.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    y, x = scan.positions.T
    arrays: dict[str, NDArray[Any] | None] = {
        "xcoords": x,
        "ycoords": y,
        "xcoords_start": x,
        "ycoords_start": y,
        "scan_index": np.zeros(len(scan), np.int64),
        "probeGuess": scan.probe[0] if scan.probe is not None and len(scan.probe) == 1 else scan.probe,
        "objectGuess": scan.object_guess,
        "good_pixels": None if isinstance(scan.mask, Masks) else scan.mask,
        "_metadata": np.array(json.dumps(json_ready(_metadata(scan)))),
    }

    def check(temporary: Path) -> None:
        with zipfile.ZipFile(temporary) as archive:
            damaged = archive.testzip()  # compares the checksum of every member
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")

    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with atomic_write(path, check) as temporary, zipfile.ZipFile(temporary, "w", method, compresslevel=1) as archive:
        # first, because there its data begins at a multiple of 4 bytes: a memory map of it is aligned
        with archive.open("diff3d.npy", "w", force_zip64=True) as member:
            _write_stack(scan.patterns, np.sqrt, "<f4", member)
        if isinstance(scan.mask, Masks):
            with archive.open("good_pixels.npy", "w", force_zip64=True) as member:
                _write_stack(scan.mask, np.asarray, "|b1", member)
        for name, array in arrays.items():
            if array is not None:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    npy.write_array(member, array, allow_pickle=False)


def _write_stack(
    stack: Stack[Any], convert: Callable[[NDArray[Any]], NDArray[Any]], dtype: str, member: IO[bytes]
) -> None:
    npy.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": stack.shape})
    for _, batch in batches(stack):
        member.write(convert(batch).astype(dtype, copy=False).data)


def _metadata(scan: Scan) -> dict[str, Any]:
    """PtychoPINN's own structure (its ``ptycho/metadata.py``), as far as a scan has something to say."""
    geometry = dataclasses.asdict(scan.geometry)
    return {
        "schema_version": "1.0.0",
        "physics_parameters": {"N": scan.size},
        "data_transformations": [{"tool": "ptycho", "operation": sentence} for sentence in scan.history],
        "additional_parameters": {key: value for key, value in geometry.items() if value is not None},
    }
