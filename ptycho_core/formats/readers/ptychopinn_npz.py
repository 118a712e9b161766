"""PtychoPINN's NPZ: ``diffraction`` or ``diff3d``, ``xcoords``, ``ycoords`` in pixels, ``probeGuess``.

Layout: https://github.com/hoidn/PtychoPINN, "data contract". Usually amplitudes; legacy files are (y, x, n).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats import fields
from ptycho_core.formats.masks import named_mask
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.radiation import SOURCES
from ptycho_core.scan.scan import ArraySource, Geometry
from ptycho_core.scan.settings import Settings

PATTERNS = ("diffraction", "diff3d")
_AXES = ("nyx", "yxn")


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "npz" and store.first(*PATTERNS, "xcoords", "ycoords") is not None


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    key = store.require(*PATTERNS)
    x_key, y_key = store.require("xcoords"), store.require("ycoords")
    n_positions = max(store.header(x_key).shape, default=1)
    source = _pattern_axis_first(store, key, n_positions, settings, notes)
    n_patterns = source.shape[0]
    yx = np.stack([fields.vector(store, key, n_patterns, settings) for key in (y_key, x_key)], axis=1)
    rows = _rows_of_scan(store, n_patterns, settings, notes)
    metadata = _metadata(store, notes)
    return Stored(
        source=source,
        positions=yx if rows is None else yx[rows],
        values="amplitude",
        rows=rows,
        indexes=rows,
        mask=named_mask(store, source, settings, notes),
        geometry=_geometry(metadata),
        probe=fields.probe_modes(store, store.first("probeGuess"), source.shape[1:], settings, notes),
        object_guess=fields.object_image(store, store.first("objectGuess"), notes),
        notes=notes,
    )


def _pattern_axis_first(store: Store, key: str, n_positions: int, settings: Settings, notes: list[str]) -> ArraySource:
    source = store.patterns(key)
    first, _, last = source.shape
    axes = settings.get("axes", _AXES)
    if axes is None and n_positions not in (first, last):
        sentence = (
            f"{store.path}: 'xcoords' has {n_positions} values, but '{key}' has {first} patterns (or {last}, were "
            "the pattern axis its last); each pattern needs one position"
        )
        fields.check_pairs(sentence, "xcoords", n_positions, first, settings)
        return source
    if axes is None and first == last:
        reason = "as many patterns as columns: the pattern axis may be first or last"
        axes = settings.assume("axes", "nyx", reason, choices=_AXES)
    elif axes is None:
        axes = "nyx" if n_positions == first else "yxn"
    if axes == "nyx":
        return source
    notes.append("moved the pattern axis of the legacy layout (y, x, n) to the front")
    return fields.last_axis_first(source)


def _rows_of_scan(store: Store, n_patterns: int, settings: Settings, notes: list[str]) -> NDArray[np.int64] | None:
    if "scan_index" not in store or int(np.prod(store.header("scan_index").shape)) != n_patterns:
        return None
    numbers = fields.vector(store, "scan_index", n_patterns)
    present = [f"{number:g}" for number in np.unique(numbers)[:1000]]
    if len(present) == 1:
        return None
    reason = f"the file holds {len(present)} scans, perhaps of different samples"
    chosen = settings.assume("scan_index", "all", reason, choices=("all", *present))
    if chosen == "all":
        return None
    notes.append(f"took the patterns of scan_index {chosen}")
    return np.flatnonzero(numbers == float(chosen))


def _geometry(metadata: dict[str, Any]) -> Geometry:
    """Return the geometry that `write_ptychopinn` leaves in the free part of PtychoPINN's metadata."""
    found = metadata.get("additional_parameters")
    stated = found if isinstance(found, dict) else {}

    def positive(value: Any) -> float | None:
        known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e300
        return float(value) if known else None

    def pair(value: Any) -> tuple[float, float] | None:
        y, x = (positive(item) for item in value) if isinstance(value, list) and len(value) == 2 else (None, None)
        return (y, x) if y and x else None

    return Geometry(
        energy_ev=positive(stated.get("energy_ev")),
        distance_m=positive(stated.get("distance_m")),
        detector_pixel_m=pair(stated.get("detector_pixel_m")),
        object_pixel_m=pair(stated.get("object_pixel_m")),
        source="electrons" if stated.get("source") == "electrons" else SOURCES[0],
        magnification=positive(stated.get("magnification")),
    )


def _metadata(store: Store, notes: list[str]) -> dict[str, Any]:
    if "_metadata" not in store or store.header("_metadata").dtype.kind != "U":
        return {}
    text = str(store.read("_metadata")[()])
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        notes.append("left out '_metadata', which is not JSON")
        return {}
    if not isinstance(metadata, dict):
        return {}
    notes.append(f"the file's own metadata: {json.dumps(metadata)[:500]}")
    return metadata
