"""ptychodus: a file of patterns, HDF5 or NPZ, and a product file with positions and probe, HDF5 or NPZ.

Layout: https://github.com/AdvancedPhotonSource/ptychodus, ``plugins/h5_product_file.py`` and
``plugins/npz_diffraction_file.py``. Patterns and positions are paired by the value of their indexes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.errors import InputError
from ptycho_core.formats import fields
from ptycho_core.formats.assemble import Stored
from ptycho_core.formats.settings import Settings
from ptycho_core.formats.store import MOST_PATTERNS, Store
from ptycho_core.scan import Geometry

_X, _Y, _INDEXES = "probe_position_x_m", "probe_position_y_m", "probe_position_indexes"
POSITIONS = _X
"""The key that only products have."""


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    patterns = "patterns" in store and (store.first("indexes", "bad_pixels", _X) or positions is not None)
    return bool(patterns) or _X in store


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the two files store."""
    return read_with_product(store, "patterns", positions, settings)


def read_with_product(store: Store, key: str, positions: Store | None, settings: Settings) -> Stored:
    """Read patterns at ``key``, and positions, probe and geometry of a product in the other file or the same."""
    product = positions or store
    if key not in store:
        raise InputError(
            f"{store.path} is a ptychodus product: it holds positions and a probe but no patterns ('{key}'); open the "
            "file with the patterns, and name this one as the positions file"
        )
    if positions is None and _X not in store:
        raise InputError(
            f"{store.path} holds ptychodus patterns without positions; name the product file (.h5 or .npz) that "
            f"holds '{_X}' as the positions file"
        )
    notes = [] if positions is None else [f"took positions and probe from {positions.path.name}"]
    source = store.patterns(key)
    pattern_indexes = _indexes(store, "indexes", source.shape[0], notes)
    product_indexes, metres = _positions_m(product, notes)
    product_indexes = _counted_alike(pattern_indexes, product_indexes, settings, notes)
    rows, places = _pair(store, pattern_indexes, product_indexes, notes)
    mask = None
    if "bad_pixels" in store:
        mask = store.numbers("bad_pixels") == 0
    return Stored(
        source=source,
        positions=_relative_to_object(product, metres)[places],
        unit="m",
        unit_reason="ptychodus stores metres",
        rows=None if len(rows) == source.shape[0] and (np.diff(rows) == 1).all() else rows,
        mask=mask,
        probe=fields.probe_modes(product, product.first("probe"), notes),
        geometry=Geometry(
            energy_ev=_positive(product, "", "probe_energy_eV"),
            distance_m=_positive(product, "", "detector_object_distance_m"),
            object_pixel_m=_pixel_m(product),
        ),
        indexes=pattern_indexes[rows],
        object_guess=fields.object_image(product, product.first("object"), notes),
        notes=notes,
    )


def _indexes(store: Store, key: str, n: int, notes: list[str]) -> NDArray[np.int64]:
    if key not in store:
        notes.append(f"{store.path.name} has no '{key}': took 0 to {n - 1} in its own order")
        return np.arange(n)
    return fields.indexes(store, key, n)


def _positions_m(product: Store, notes: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return unique indexes, increasing, and positions (y, x) in metres; those of one index are averaged."""
    x_key, y_key = product.require(_X), product.require(_Y)
    n = max(product.header(x_key).shape, default=1)
    if n == 0:
        raise InputError(f"{product.path}: '{_X}' is empty; each pattern needs a position")
    if n > MOST_PATTERNS:
        raise InputError(f"{product.path}: '{_X}' declares {n} positions, more than any scan has")
    yx = np.stack([fields.vector(product, y_key, n), fields.vector(product, x_key, n)], axis=1)
    indexes, inverse, counts = np.unique(_indexes(product, _INDEXES, n, notes), return_inverse=True, return_counts=True)
    if len(indexes) < n:
        notes.append(f"averaged the positions of {np.count_nonzero(counts > 1)} indexes that occur more than once")
    means = np.stack([np.bincount(inverse, weights=yx[:, axis]) / counts for axis in (0, 1)], axis=1)
    return indexes, means


def _counted_alike(
    pattern_indexes: NDArray[np.int64], product_indexes: NDArray[np.int64], settings: Settings, notes: list[str]
) -> NDArray[np.int64]:
    """Return the positions' indexes counted from where those of the patterns are.

    Two lists of consecutive numbers of the same length, one from 0 and the other from 1, are two ways of counting:
    paired by value, all patterns but one would get the position of their neighbour.
    """
    first = sorted((int(pattern_indexes.min()), int(product_indexes.min())))
    ranges = (np.sort(pattern_indexes), product_indexes)
    if first != [0, 1] or len(ranges[0]) != len(ranges[1]) or any((np.diff(r) != 1).any() for r in ranges):
        return product_indexes
    reason = "one file counts its patterns from 0 and the other from 1"
    if settings.assume("pairing", "order", reason) == "value":
        return product_indexes
    notes.append(f"paired patterns and positions by order: {reason}")
    shifted: NDArray[np.int64] = product_indexes - product_indexes.min() + pattern_indexes.min()
    return shifted


def _pair(
    store: Store, pattern_indexes: NDArray[np.int64], product_indexes: NDArray[np.int64], notes: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the patterns that have a position, and that position's place."""
    places = np.searchsorted(product_indexes, pattern_indexes).clip(max=len(product_indexes) - 1)
    rows = np.flatnonzero(product_indexes[places] == pattern_indexes)
    if not len(rows):
        raise InputError(
            f"{store.path}: no pattern's index ({pattern_indexes.min()} to {pattern_indexes.max()}) is among the "
            f"positions' ({product_indexes.min()} to {product_indexes.max()}); the files belong to different scans"
        )
    if len(rows) < len(pattern_indexes):
        notes.append(f"left out {len(pattern_indexes) - len(rows)} patterns whose index has no position")
    without = len(np.setdiff1d(product_indexes, pattern_indexes))
    if without:
        notes.append(f"left out {without} positions whose index has no pattern")
    return rows, places[rows]


def _relative_to_object(product: Store, metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions (y, x) in metres from the corner of the stored object: x - center_x + dx W / 2."""
    pixel = _pixel_m(product)
    shape = product.header("object").shape[-2:] if "object" in product else ()
    if len(shape) != 2 or pixel is None:
        return metres
    centre = [_number(product, "object", f"center_{axis}_m") or 0.0 for axis in "yx"]
    relative: NDArray[np.float64] = metres - np.asarray(centre) + np.asarray(pixel) * np.asarray(shape) / 2
    return relative


def _pixel_m(product: Store) -> tuple[float, float] | None:
    for key in ("object", "probe"):
        height, width = (_positive(product, key, f"pixel_{side}_m") for side in ("height", "width"))
        if height and width:
            return height, width
    return None


def _number(product: Store, key: str, name: str) -> float | None:
    value = product.attribute(key, name)
    try:
        number = float(np.asarray(value, np.float64).reshape(()))
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _positive(product: Store, key: str, name: str) -> float | None:
    number = _number(product, key, name)
    return number if number is not None and number > 0 else None
