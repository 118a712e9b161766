"""CXI 1.6: https://www.cxidb.org/cxi.html, as written by cdtools, SHARP, ptychodus and beamlines.

Lengths in metres, energies in joule. Axes: z along the beam, y up, x completes a right-handed system. The
translation is the sample's, so the probe moves the other way on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.errors import InputError
from ptycho_core.formats import fields
from ptycho_core.formats.assemble import Stored
from ptycho_core.formats.settings import Settings
from ptycho_core.formats.store import Store
from ptycho_core.scan import PLANCK_TIMES_C_EV_M, Geometry

_DETECTOR = "entry_1/instrument_1/detector_1"
_SOURCE = "entry_1/instrument_1/source_1"
PATTERNS = ("entry_1/data_1/data", f"{_DETECTOR}/data")
TRANSLATIONS = ("entry_1/sample_1/geometry_1/translation", "entry_1/data_1/translation", f"{_DETECTOR}/translation")
PROBES = (f"{_SOURCE}/illumination", f"{_SOURCE}/probe", f"{_DETECTOR}/probe")

JOULE_PER_EV = 1.602176634e-19
HAS_SIGNAL = 0x1000
"""Mask bit that is set where there is signal: the one bit that does not mark a pixel as bad."""
_LARGEST_PHOTON_J = 1e-10
_UNIT_NAMES = {"pixel": "px", "pixels": "px", "px": "px", "mm": "mm", "um": "um", "µm": "um", "nm": "nm"}


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "hdf5" and store.first(*PATTERNS, *TRANSLATIONS[::2]) is not None


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    pattern_key, translation_key = store.require(*PATTERNS), store.require(*TRANSLATIONS)
    source = store.patterns(pattern_key)
    translation = fields.points(store, translation_key, source.shape[0], dimensions=(3, 2))[:, :2]
    row_step, column_step = _basis(store, notes)
    directions = np.stack([row_step / np.linalg.norm(row_step), column_step / np.linalg.norm(column_step)])
    notes.append("turned the sample's translation into the probe's position: the other way, along rows and columns")
    return Stored(
        source=source,
        positions=-translation @ directions.T,
        unit=_unit(store, translation_key),
        unit_reason="as the file says, else metres as CXI defines",
        mask=_mask(store, notes),
        dark=_dark(store),
        probe=fields.probe_modes(store, store.first(*PROBES), notes),
        geometry=Geometry(
            energy_ev=_energy_ev(store, settings, notes),
            distance_m=_distance_m(store, row_step, column_step, notes),
            detector_pixel_m=_pitch(store, row_step, column_step),
            object_pixel_m=_object_pixel_m(store, translation_key),
        ),
        indexes=_indexes(store, source.shape[0]),
        notes=notes,
    )


def _unit(store: Store, key: str) -> str:
    """Return the unit of the translation: an attribute that NeXus requires and CXI allows."""
    stated = store.attribute(key, "units")
    name = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)
    return _UNIT_NAMES.get(name.strip().lower(), "m")


def _object_pixel_m(store: Store, key: str) -> tuple[float, float] | None:
    """Return the object pixel size (y, x) that `write_cxi_scan` leaves where the geometry does not give it."""
    try:
        sizes = np.asarray(store.attribute(key, "object_pixel_m"), np.float64)
    except (TypeError, ValueError):
        return None
    stated = sizes.shape == (2,) and bool(np.isfinite(sizes).all()) and bool((sizes > 0).all())
    return (float(sizes[0]), float(sizes[1])) if stated else None


def _indexes(store: Store, n: int) -> NDArray[np.int64] | None:
    key = "entry_1/data_1/indexes"
    return fields.indexes(store, key, n) if key in store else None


def _basis(store: Store, notes: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps (x, y) from one pixel to the next row and to the next column."""
    key = f"{_DETECTOR}/basis_vectors"
    if key not in store:
        notes.append("no basis_vectors: rows run down (-y) and columns along -x, the default of CXI")
        return np.array([0.0, -1.0]), np.array([-1.0, 0.0])
    vectors = store.numbers(key)
    if vectors.shape not in ((2, 3), (3, 2)) or not np.isfinite(vectors).all():
        raise InputError(f"{store.path}: '{key}' has shape {vectors.shape}; it must be (2, 3), or (3, 2) as in cdtools")
    if vectors.shape == (3, 2):
        notes.append("basis_vectors is (3, 2): read as cdtools stores it")
        vectors = vectors.T
    across = vectors[:, :2]
    lengths = np.linalg.norm(across, axis=1)
    if not lengths.all() or abs(np.linalg.det(across / lengths[:, None])) < 0.99:
        raise InputError(f"{store.path}: '{key}' must hold two directions across the beam, perpendicular to each other")
    return across[0], across[1]


def _pitch(store: Store, row_step: NDArray[np.float64], column_step: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the detector's pitch (y, x); either alone counts for both, as detectors are square."""
    stated = [_optional(store, f"{_DETECTOR}/{axis}_pixel_size") for axis in "yx"]
    along_rows, along_columns = stated[0] or stated[1], stated[1] or stated[0]
    if along_rows and along_columns:
        # The two names are the laboratory's axes: a detector on its side has its rows along x.
        sideways = abs(row_step[0]) > abs(row_step[1])
        return (along_columns, along_rows) if sideways else (along_rows, along_columns)
    if f"{_DETECTOR}/basis_vectors" in store:
        return float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
    return None


def _distance_m(
    store: Store, row_step: NDArray[np.float64], column_step: NDArray[np.float64], notes: list[str]
) -> float | None:
    distance = _optional(store, f"{_DETECTOR}/distance")
    key = f"{_DETECTOR}/corner_position"
    if distance is None and key in store:
        corner = store.numbers(key).ravel()
        if corner.size == 3 and np.isfinite(corner[2]) and corner[2]:
            notes.append("took the distance from corner_position")
            return float(abs(corner[2]))
    return distance


def _energy_ev(store: Store, settings: Settings, notes: list[str]) -> float | None:
    energy = _optional(store, f"{_SOURCE}/energy")
    wavelength = _optional(store, f"{_SOURCE}/wavelength")
    if energy is None:
        return PLANCK_TIMES_C_EV_M / wavelength if wavelength else None
    if energy < _LARGEST_PHOTON_J:
        notes.append(f"converted the energy from {energy:.5g} J to {energy / JOULE_PER_EV:.6g} eV")
        return energy / JOULE_PER_EV
    if not settings.get("energy_ev"):
        settings.assume("energy_ev", f"{energy:g}", f"{energy:g} J is no photon's energy: read as electronvolt")
    return energy


def _mask(store: Store, notes: list[str]) -> NDArray[np.bool_] | None:
    key = f"{_DETECTOR}/mask"
    if key not in store:
        return None
    values = store.read(key)
    if values.dtype.kind not in "biu":
        raise InputError(f"{store.path}: '{key}' has type {values.dtype}; a CXI mask holds whole numbers")
    good = np.asarray((values.astype(np.int64) & ~HAS_SIGNAL) == 0)
    if good.ndim == 3:
        notes.append(f"a pixel that is bad in one of the {len(good)} masks is left out of all patterns")
        good = np.asarray(good.all(axis=0))
    return good


def _dark(store: Store) -> NDArray[np.float32] | None:
    key = f"{_DETECTOR}/data_dark"
    if key not in store:
        return None
    frames = store.numbers(key)
    mean: NDArray[np.float32] = frames.reshape(-1, *frames.shape[-2:]).mean(axis=0).astype(np.float32)
    return mean


def _optional(store: Store, key: str) -> float | None:
    if key not in store:
        return None
    number = store.number(key)
    if number <= 0:
        raise InputError(f"{store.path}: '{key}' is {number:g}; it must be positive")
    return number
