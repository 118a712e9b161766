"""ptychodus: a file of patterns, HDF5 or NPZ, and a product file with positions and probe, HDF5 or NPZ.

Layout: https://github.com/AdvancedPhotonSource/ptychodus, ``plugins/h5_product_file.py`` and
``plugins/npz_diffraction_file.py``. Patterns and positions are paired by the value of their indexes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats import fields, pairing
from ptycho_core.formats.masks import good_pixels
from ptycho_core.formats.readers import plain_npz
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import MOST_PATTERNS, Store
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.settings import Settings

_X, _Y, _INDEXES = "probe_position_x_m", "probe_position_y_m", "probe_position_indexes"
IN_TWO_FILES = True
POSITIONS = _X
"""The key that only products have."""
ENERGIES_EV = ("photon_energy_eV", "probe_energy_eV")
"""Attributes of a product: of ptychodus since 1.7, and before."""


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    if _X in store or (positions is not None and _X in positions and "patterns" in store):
        return True
    plain = positions is None and store.first(*plain_npz.POSITIONS) is not None
    return "patterns" in store and store.first("indexes", "bad_pixels") is not None and not plain


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
    product_indexes, metres = _positions_m(product, settings, notes)
    invented = ("indexes" in store) != (_INDEXES in product)
    rows, places = pairing.pair_by_value(
        store.path, pattern_indexes, product_indexes, settings, notes, invented=invented
    )
    mask = good_pixels(
        store, ["bad_pixels"] if "bad_pixels" in store else [], np.logical_not, settings, notes, patterns=source
    )
    return Stored(
        source=source,
        positions=_relative_to_object(product, metres)[places],
        unit="m",
        unit_reason="ptychodus stores metres",
        rows=None if len(rows) == source.shape[0] and (np.diff(rows) == 1).all() else rows,
        mask=mask,
        probe=fields.probe_modes(product, product.first("probe"), source.shape[1:], settings, notes),
        geometry=Geometry(
            energy_ev=next(filter(None, (_positive(product, "", name) for name in ENERGIES_EV)), None),
            distance_m=_positive(product, "", "detector_object_distance_m"),
            detector_pixel_m=_pair(store, "patterns", "detector_pixel"),
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


def _positions_m(product: Store, settings: Settings, notes: list[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return unique indexes, increasing, and positions (y, x) in metres; those of one index are averaged."""
    x_key, y_key = product.require(_X), product.require(_Y)
    n = max(product.header(x_key).shape, default=1)
    if n == 0:
        raise InputError(f"{product.path}: '{_X}' is empty; each pattern needs a position")
    if n > MOST_PATTERNS:
        raise InputError(f"{product.path}: '{_X}' declares {n} positions, more than any scan has")
    yx = np.stack([fields.vector(product, key, n, settings) for key in (y_key, x_key)], axis=1)
    return pairing.average_repeated(_indexes(product, _INDEXES, n, notes), yx, notes)


def _relative_to_object(product: Store, metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions (y, x) in metres from the corner of the stored object: x - center_x + dx W / 2."""
    pixel = _pixel_m(product)
    shape = product.header("object").shape[-2:] if "object" in product else ()
    if len(shape) != 2 or pixel is None:
        return metres
    centre = [_number(product, "object", f"center_{axis}_m") or 0.0 for axis in "yx"]
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is refused later
        relative: NDArray[np.float64] = metres - np.asarray(centre) + np.asarray(pixel) * np.asarray(shape) / 2
    return relative


def _pixel_m(product: Store) -> tuple[float, float] | None:
    return _pair(product, "object", "pixel") or _pair(product, "probe", "pixel")


def _pair(store: Store, key: str, name: str) -> tuple[float, float] | None:
    height, width = (_positive(store, key, f"{name}_{side}_m") for side in ("height", "width"))
    return (height, width) if height and width else None


def _number(product: Store, key: str, name: str) -> float | None:
    values = fields.real(product.attribute(key, name))
    return float(values.ravel()[0]) if values is not None and values.size == 1 and np.isfinite(values).all() else None


def _positive(product: Store, key: str, name: str) -> float | None:
    number = _number(product, key, name)
    return number if number is not None and number > 0 else None
