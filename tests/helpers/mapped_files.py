"""Files of no known format, and mappings that say where their parts are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.scan import Scan
from tests.helpers import scan_files as files

M = files.TINY
N = files.N_PATTERNS
PIXEL = {"value": files.PIXEL_M * 1e9, "unit": "nm"}


def mapping(**changes: Any) -> Mapping:
    """Patterns in ``frames``, positions (n, 2) (y, x) in ``motors`` in metres; a change to None leaves it out."""
    body = {
        "version": 1,
        "patterns": "frames",
        "positions": {
            "y": {"key": "motors", "column": 0, "unit": "m"},
            "x": {"key": "motors", "column": 1, "unit": "m"},
        },
        "object_pixel": PIXEL,
        **changes,
    }
    return Mapping.from_dict({name: value for name, value in body.items() if value is not None})


def positions(y: str = "y", x: str = "x", unit: str = "m", **more: Any) -> dict[str, Any]:
    """Positions in two arrays."""
    return {"y": {"key": y, "unit": unit}, "x": {"key": x, "unit": unit}, **more}


def hdf5(path: Path, **arrays: Any) -> Path:
    """A file that `mapping` reads, with other arrays in place of its own or beside them."""
    stored = {"frames": M.counts, "motors": M.positions * M.pixel_m, **arrays}
    with h5py.File(path, "w") as file:
        for key, value in stored.items():
            file[key] = value
    return path


def table(path: Path, header: str, *columns: NDArray[Any], delimiter: str = ",", comment: str = "") -> Path:
    """A table of text."""
    rows = [delimiter.join(f"{value:.17g}" for value in row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*([comment] if comment else []), *([header] if header else []), *rows]) + "\n")
    return path


def assert_as_measured(scan: Scan, rows: Any = slice(None)) -> None:
    np.testing.assert_array_equal(scan.patterns[:], M.counts[rows])
    np.testing.assert_allclose(scan.positions, M.positions[rows], atol=1e-9)
