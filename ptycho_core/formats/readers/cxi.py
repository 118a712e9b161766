"""CXI 1.6: https://www.cxidb.org/cxi.html, as written by cdtools, SHARP, ptychodus and beamlines.

Lengths in metres, energies in joule. Axes: z along the beam, y up, x completes a right-handed system. The
translation is the sample's, so the probe moves the other way on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats import fields, units
from ptycho_core.formats.masks import good_pixels
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.orientation import ORIENTATIONS
from ptycho_core.scan.radiation import SOURCES
from ptycho_core.scan.scan import ArraySource, Geometry, GoodPixels
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, LENGTHS_M, UNITS

_DETECTOR = "entry_1/instrument_1/detector_1"
_SOURCE = "entry_1/instrument_1/source_1"
PATTERNS = ("entry_1/data_1/data", f"{_DETECTOR}/data")
TRANSLATIONS = ("entry_1/sample_1/geometry_1/translation", "entry_1/data_1/translation", f"{_DETECTOR}/translation")
PROBES = (f"{_SOURCE}/illumination", f"{_SOURCE}/probe", f"{_DETECTOR}/probe")

HAS_SIGNAL = 0x1000
"""Mask bit that is set where there is signal: the one bit that does not mark a pixel as bad."""
LARGEST_PHOTON_EV = 1e8
"""Above any photon that makes a diffraction pattern, below any storage ring's electrons."""
_PIXELS = ("pixel", "pixels", "px")


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "hdf5" and store.first(*PATTERNS, *TRANSLATIONS[::2]) is not None


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    pattern_key, translation_key = store.require(*PATTERNS), store.require(*TRANSLATIONS)
    source = store.patterns(pattern_key)
    translation = fields.points(store, translation_key, source.shape[0], settings, dimensions=(3, 2))[:, :2]
    row_step, column_step = basis(store, _DETECTOR, settings, notes)
    in_pixels = units.name(store, translation_key) in _PIXELS
    metres = 1.0 if in_pixels else position_factor(store, translation_key, settings)
    return Stored(
        source=source,
        positions=probe_positions(translation, row_step, column_step, notes) * metres,
        unit="px" if in_pixels else "m",
        unit_reason="as the file says, else metres as CXI defines",
        mask=mask(store, f"{_DETECTOR}/mask", source, settings, notes),
        dark=dark(store, f"{_DETECTOR}/data_dark", settings),
        probe=fields.probe_modes(store, store.first(*PROBES), source.shape[1:], settings, notes),
        geometry=Geometry(
            energy_ev=settings.unless_answered("energy_ev", lambda: source_energy_ev(store, settings, notes)),
            distance_m=settings.unless_answered("distance_m", lambda: _distance_m(store, notes)),
            detector_pixel_m=settings.unless_answered(
                "detector_pixel_m", lambda: pitch(store, _DETECTOR, row_step, column_step)
            ),
            object_pixel_m=_object_pixel_m(store, translation_key),
            source=made_of(store.attribute(_SOURCE, "probe")),
            magnification=_magnification(store),
        ),
        indexes=_indexes(store, source.shape[0]),
        notes=notes,
    )


def position_factor(store: Store, key: str, settings: Settings) -> float:
    """Return what makes metres of positions, or leaves them as they are where the operator says in what they are."""
    fix = "position_unit"
    return settings.unless_answered(fix, lambda: units.factor(store, key, LENGTHS_M, "m"), choices=UNITS) or 1.0


def probe_positions(
    translation: NDArray[np.float64],
    row_step: NDArray[np.float64],
    column_step: NDArray[np.float64],
    notes: list[str],
) -> NDArray[np.float64]:
    """Return positions (y, x) of the probe on the sample, of translations (x, y) of the sample in the laboratory."""
    notes.append("turned the sample's translation into the probe's position: the other way, along rows and columns")
    directions = np.stack([row_step / np.linalg.norm(row_step), column_step / np.linalg.norm(column_step)])
    positions: NDArray[np.float64] = -translation @ directions.T
    return positions


def _object_pixel_m(store: Store, key: str) -> tuple[float, float] | None:
    """Return the object pixel size (y, x) that `write_cxi_scan` leaves where the geometry does not give it."""
    sizes = fields.real(store.attribute(key, "object_pixel_m"))
    if sizes is None or sizes.shape != (2,) or not (np.isfinite(sizes) & (sizes > 0)).all():
        return None
    return float(sizes[0]), float(sizes[1])


def _magnification(store: Store) -> float | None:
    """Return the magnification of a near field, which `write_cxi_scan` leaves."""
    stated = fields.real(store.attribute(_DETECTOR, "magnification"))
    known = stated is not None and stated.size == 1 and bool(np.isfinite(stated).all() and (stated > 0).all())
    return float(stated.ravel()[0]) if known and stated is not None else None


def made_of(stated: Any) -> str:
    """Return what the beam is made of, by the text of ``probe`` in NeXus' NXsource: one of a list with "electron"."""
    return "electrons" if "electron" in str(stated).lower() else SOURCES[0]


def _indexes(store: Store, n: int) -> NDArray[np.int64] | None:
    key = "entry_1/data_1/indexes"
    return fields.indexes(store, key, n) if key in store else None


def basis(
    store: Store, detector: str, settings: Settings, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps (x, y) from one pixel of a detector to the next row and to the next column.

    Where the file's cannot be used and the operator says the orientation, those of CXI's default.
    """
    key = f"{detector}/basis_vectors"
    no = "no"
    if key in store:
        try:
            return _stated_basis(store, key, notes)
        except InputError as error:
            if settings.get("orientation") is None:
                as_usual = Fix("take the axes as CXI has them by default", "orientation", ORIENTATIONS[0])
                raise InputError(f"{error}; or set orientation", [as_usual]) from error
        no = "without its"
    notes.append(f"{no} basis_vectors: rows run down (-y) and columns along -x, the default of CXI")
    return np.array([0.0, -1.0]), np.array([-1.0, 0.0])


def _stated_basis(store: Store, key: str, notes: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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


def pitch(
    store: Store, detector: str, row_step: NDArray[np.float64], column_step: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Return the pitch (y, x) of a detector; either alone counts for both, as pixels are square."""
    stated = [units.length_m(store, f"{detector}/{axis}_pixel_size") for axis in "yx"]
    along_rows, along_columns = stated[0] or stated[1], stated[1] or stated[0]
    if along_rows and along_columns:
        # The two names are the laboratory's axes: a detector on its side has its rows along x.
        sideways = abs(row_step[0]) > abs(row_step[1])
        return (along_columns, along_rows) if sideways else (along_rows, along_columns)
    if f"{detector}/basis_vectors" in store:
        return float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
    return None


def _distance_m(store: Store, notes: list[str]) -> float | None:
    distance = units.length_m(store, f"{_DETECTOR}/distance")
    key = f"{_DETECTOR}/corner_position"
    if distance is None and key in store:
        corner = store.numbers(key).ravel()
        if corner.size == 3 and np.isfinite(corner[2]) and corner[2]:
            notes.append("took the distance from corner_position")
            return float(abs(corner[2]))
    return distance


def source_energy_ev(store: Store, settings: Settings, notes: list[str]) -> float | None:
    """Return the photon energy that the source states, or its wavelength, or None; never a machine's energy."""
    key, wavelength_key = f"{_SOURCE}/energy", f"{_SOURCE}/wavelength"
    number, wavelength = units.positive(store, key), units.length_m(store, wavelength_key)
    if number is not None:
        energy = number * units.factor(store, key, ENERGIES_EV, "j")
        if energy < LARGEST_PHOTON_EV:
            notes.append(f"converted the energy from {number:.5g} {units.name(store, key) or 'J'} to {energy:.6g} eV")
            return energy
        if number > 1 and units.name(store, key) is None:
            if not settings.get("energy_ev"):
                settings.assume("energy_ev", f"{number:g}", f"{number:g} J is no photon's energy: read as electronvolt")
            return number
        notes.append(f"left out the energy of the source: {energy / 1e9:.3g} GeV is the machine's, not a photon's")
    return units.energy_ev(wavelength, settings)


def mask(
    store: Store, key: str | None, patterns: ArraySource, settings: Settings, notes: list[str]
) -> GoodPixels | None:
    """Return where a mask of whole numbers, (y, x) or (n, y, x) as the patterns are, does not mark a pixel as bad."""
    keys = [key] if key is not None and key in store else []
    return good_pixels(store, keys, _has_no_fault, settings, notes, patterns=patterns)


def _has_no_fault(values: NDArray[Any]) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (values.astype(np.int64) & ~HAS_SIGNAL) == 0
    return good


def dark(store: Store, key: str | None, settings: Settings) -> NDArray[np.float32] | None:
    """Return the mean (y, x) of dark frames (y, x) or (n, y, x)."""
    if key is None or key not in store:
        return None

    def mean() -> NDArray[np.float32]:
        frames = store.numbers(key)
        found: NDArray[np.float32] = frames.reshape(-1, *frames.shape[-2:]).mean(axis=0).astype(np.float32)
        return found

    return settings.unless_answered("dark", mean, ignore="ignore")
