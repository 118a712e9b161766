"""Our own NPZ of a reconstruction: everything that `Reconstruction` holds, for NumPy users and for ourselves."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.codec import json_ready
from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import Store, reading
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry

_ARRAYS: dict[str, tuple[int, type[np.generic]]] = {
    "object": (2, np.complex64),
    "probe": (3, np.complex64),
    "coverage": (2, np.float32),
    "positions_px": (2, np.float64),
    "pattern_index": (1, np.int64),
}
"""Number of axes and type of each array of a reconstruction."""


RECORDED = "recorded_positions_px"
"""Key of the positions before refinement, there only where it moved them."""


def write_npz(recon: Reconstruction, path: Path) -> None:
    """Write a reconstruction as NPZ.

    Keys: ``object`` (H, W) complex64, ``probe`` (M, N, N) complex64 in sqrt(counts), ``coverage`` (H, W) float32,
    ``positions_px`` (n, 2) float64 (y, x) on the canvas of probe pixel (N//2, N//2), ``pattern_index`` (n,) int64,
    ``pixel_size_m`` (2,) float64 (y, x), NaN if unknown; and as JSON texts ``metrics``, ``config`` and ``metadata``
    (geometry, history, loss history, name, sample, comments). Where refinement moved the patterns,
    ``recorded_positions_px`` (n, 2) says where they were recorded.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {key: getattr(recon, key) for key in _ARRAYS}
    if recon.recorded_positions_px is not None:
        arrays[RECORDED] = recon.recorded_positions_px
    arrays["pixel_size_m"] = np.array(recon.pixel_size_m or (np.nan, np.nan))
    for key, value in (("metrics", recon.metrics), ("config", recon.config), ("metadata", metadata_of(recon))):
        arrays[key] = np.array(json.dumps(json_ready(value)))

    def check(temporary: Path) -> None:
        with open_store(temporary) as store:
            back = read_npz(store)
        if not all(np.array_equal(getattr(back, key), arrays[key], equal_nan=True) for key in _ARRAYS):
            raise ValueError("other values than were written")

    with atomic_write(path, check) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the keywords for allow_pickle


def read_npz(store: Store) -> Reconstruction:
    """Read what `write_npz` wrote.

    Raises
    ------
    InputError
        A key is missing, damaged, or has the wrong number of axes.
    """
    arrays: dict[str, Any] = {}
    for key, (axes, dtype) in _ARRAYS.items():
        arrays[key] = store.numbers(store.require(key), dtype)
        if arrays[key].ndim != axes:
            raise InputError(f"{store.path}: '{key}' must have {axes} axes (its shape is {arrays[key].shape})")
    texts = {key: read_json(store, key) for key in ("metrics", "config", "metadata")}
    with reading(store.path, "'metadata'"):
        fields = fields_from_metadata(texts["metadata"])
    if RECORDED in store:
        arrays[RECORDED] = store.numbers(RECORDED, np.float64)
    return Reconstruction(**arrays, metrics=texts["metrics"], config=texts["config"], **fields)


def read_json(store: Store, key: str) -> dict[str, Any]:
    """Return the JSON object that an array of one string holds."""
    with reading(store.path, f"'{key}'"):
        text: Any = store.read(store.require(key))[()]
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
        return value


def metadata_of(recon: Reconstruction) -> dict[str, Any]:
    """Return the fields of a reconstruction that no array holds, metrics and config apart, ready for JSON."""
    return {
        "geometry": dataclasses.asdict(recon.geometry),
        "history": recon.history,
        "loss_history": recon.loss_history,
        "name": recon.name,
        "sample": recon.sample,
        "comments": recon.comments,
    }


def fields_from_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the constructor arguments of `Reconstruction` that `metadata_of` described."""
    geometry: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in metadata["geometry"].items()}
    return {
        "geometry": Geometry(**geometry),
        "history": tuple(metadata["history"]),
        "loss_history": tuple((epoch, math.nan if loss is None else loss) for epoch, loss in metadata["loss_history"]),
        "name": metadata["name"],
        "sample": metadata.get("sample", ""),  # since version 0.2
        "comments": metadata["comments"],
    }
