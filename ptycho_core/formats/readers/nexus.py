"""NeXus: NXcxi_ptycho (.nxs) and its relatives without the ``_1`` in their names.

Layout: https://github.com/nexusformat/definitions, ``contributed_definitions/NXcxi_ptycho.nxdl.xml``, and its use in
ptypy (https://github.com/ptycho/ptypy, ``experiment/diamond_nexus.py``). It is made to be CXI as well: the frame of
the laboratory, the default orientation of the detector and the sense of translations are those of `cxi`. What
differs: patterns of a raster may have four axes, numbers have units, positions may be two motors or NXpositioner
groups, and ``source_1/energy`` is the machine's energy, the photons' that of the beam.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats import fields, units
from ptycho_core.formats.chunks import check_count
from ptycho_core.formats.readers import cxi
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV, JOULE_PER_EV

_SMALLEST_EV = 100.0
"""Softer X-rays are not used: a smaller number without a unit is in keV."""


def _paths(*ends: str) -> tuple[str, ...]:
    """Return each path as NXcxi_ptycho has it, then as plain NeXus does, which puts no numbers behind names."""
    numbered = [spelling for end in ends for spelling in (end, end.replace("data_1", "data"))]
    plain = [f"{entry}/{end.replace('_1', '')}" for entry in ("entry", "entry1") for end in numbered]
    paths = [f"entry_1/{end}" for end in numbered] + plain
    return tuple(dict.fromkeys(paths))


PATTERNS = _paths("data_1/data", "instrument_1/detector_1/data")
_BEAM = "instrument_1/beam_1"
_ENERGIES = _paths(f"{_BEAM}/incident_beam_energy", f"{_BEAM}/incident_energy", f"{_BEAM}/energy")
_WAVELENGTHS = _paths(f"{_BEAM}/incident_wavelength", f"{_BEAM}/wavelength")
_PROBES = _paths("instrument_1/source_1/probe")
_AXES = {"x": ("x", "horizontal"), "y": ("y", "vertical")}
"""What the name of a positioner that moves along an axis has in it, as a word."""
_TRANSLATIONS = _paths("sample_1/geometry_1/translation", "instrument_1/detector_1/translation", "data_1/translation")


def _motors(axis: str) -> tuple[str, ...]:
    return _paths(f"sample_1/transformations/{axis}", f"sample_1/transformation/{axis}", f"data_1/{axis}")


def _positioners(store: Store, entry: str) -> dict[str, str]:
    """Return the values of the NXpositioner groups of an entry that move x and y, as far as their names tell which."""
    found: dict[str, str] = {}
    for group in store.groups():
        if not group.startswith(f"{entry}/") or units.text(store.attribute(group, "NX_class")) != "NXpositioner":
            continue
        key = store.first(f"{group}/value", f"{group}/raw_value")
        named = f"{group}/name"
        text = units.text(np.ravel(store.read(named))[0]) if named in store else ""
        words = re.split(r"[\W\d_]+", f"{text} {group.rpartition('/')[2]}".lower())
        axis = next((axis for axis, names in _AXES.items() if set(names) & set(words)), None)
        if key is not None and axis is not None:
            found.setdefault(axis, key)
    return found


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    if store.container != "hdf5" or (patterns := store.first(*PATTERNS)) is None:
        return False
    stated = store.first(*_TRANSLATIONS, *_motors("x"), *_motors("y"), *_paths("definition"))
    if stated is None and len(_positioners(store, patterns.partition("/")[0])) < len(_AXES):
        return False  # a detector's own file, which only a mapping joins with positions
    return store.first(*_ENERGIES, *_WAVELENGTHS, *_paths("definition")) is not None or "entry/data/data" in store


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    key = store.require(*PATTERNS)
    source = store.patterns(key, raster=True)
    scan_shape = store.header(key).shape[:-2]
    check_count(store, key, source.shape[0], settings, notes)
    entry = key.partition("/")[0]
    detector = f"{entry}/instrument_1/detector_1" if entry == "entry_1" else f"{entry}/instrument/detector"
    if source.shape[0] != scan_shape[-1]:
        notes.append(f"put the {scan_shape[-2]} lines of {scan_shape[-1]} patterns of the raster one after another")
    row_step, column_step = cxi.basis(store, detector, settings, notes)
    translation = _translation_m(store, entry, source.shape[0], scan_shape, settings, notes)
    probe_key = store.first(*_of(entry, _PROBES))
    made_of = cxi.made_of(store.read(probe_key)[()] if probe_key else "")
    return Stored(
        source=source,
        positions=cxi.probe_positions(translation, row_step, column_step, notes),
        unit="m",
        unit_reason="as the file says, else metres",
        mask=cxi.mask(store, store.first(f"{detector}/pixel_mask", f"{detector}/mask"), source, settings, notes),
        dark=cxi.dark(store, store.first(f"{detector}/darkfield", f"{detector}/data_dark"), settings),
        probe=fields.probe_modes(
            store, store.first("entry_1/instrument_1/source_1/illumination"), source.shape[1:], settings, notes
        ),
        geometry=Geometry(
            energy_ev=settings.unless_answered("energy_ev", lambda: _energy_ev(store, entry, settings, made_of, notes)),
            distance_m=settings.unless_answered("distance_m", lambda: units.length_m(store, f"{detector}/distance")),
            detector_pixel_m=settings.unless_answered(
                "detector_pixel_m", lambda: cxi.pitch(store, detector, row_step, column_step)
            ),
            source=made_of,
        ),
        notes=notes,
    )


def _of(entry: str, paths: tuple[str, ...]) -> list[str]:
    """Return the paths in one entry: another one is another scan."""
    return [path for path in paths if path.startswith(f"{entry}/")]


def _translation_m(
    store: Store, entry: str, n: int, scan_shape: tuple[int, ...], settings: Settings, notes: list[str]
) -> NDArray[np.float64]:
    """Return the translation (n, 2) of the sample in the laboratory: (x, y) in metres."""
    key = store.first(*_of(entry, _TRANSLATIONS))
    if key is not None:
        points = fields.points(store, key, n, settings, dimensions=(3, 2))[:, :2]
        return points * cxi.position_factor(store, key, settings)
    positioners = _positioners(store, entry)
    x_key, y_key = (
        store.first(*_of(entry, _motors(axis))) or positioners.get(axis) or store.require(*_of(entry, _motors(axis)))
        for axis in ("x", "y")
    )
    notes.append(f"took the sample's translation from '{x_key}' and '{y_key}'")
    x, y = _motor_m(store, x_key, n, scan_shape, 1, settings), _motor_m(store, y_key, n, scan_shape, 0, settings)
    return x + y


def _motor_m(
    store: Store, key: str, n: int, scan_shape: tuple[int, ...], line_axis: int, settings: Settings
) -> NDArray[np.float64]:
    """Return what one motor adds (n, 2) to the translation: its values along its ``vector``, by default its name's.

    A motor has a value for each pattern, or for each line of a raster, or for each place in a line; where both fit,
    x is the place in a line.
    """
    count = int(np.prod(store.header(key).shape, dtype=object))
    raster = scan_shape[-2:]
    if count != n and len(raster) == 2 and count in raster:
        axis = line_axis if count == raster[line_axis] else 1 - line_axis
        values = fields.vector(store, key, count)
        values = np.repeat(values, raster[1]) if axis == 0 else np.tile(values, raster[0])
    elif count == n:
        values = fields.check_finite(store, key, store.numbers(key).ravel(), settings)
    else:
        sentence = f"{store.path}: '{key}' has {count} values, but there are {n} patterns; each needs one"
        fields.check_pairs(sentence, key, count, n, settings)
        values = fields.as_many(fields.check_finite(store, key, store.numbers(key).ravel(), settings), n)
    metres = values * cxi.position_factor(store, key, settings)
    return metres[:, None] * _direction(store, key, np.array([line_axis == 1, line_axis == 0], np.float64))


def _direction(store: Store, key: str, default: NDArray[np.float64]) -> NDArray[np.float64]:
    vector = fields.real(store.attribute(key, "vector"))
    across = vector[:2] if vector is not None and vector.shape == (3,) else default
    length = float(np.linalg.norm(across))
    return across / length if np.isfinite(length) and length else default


def _energy_ev(store: Store, entry: str, settings: Settings, stated: str, notes: list[str]) -> float | None:
    key = store.first(*_of(entry, _ENERGIES))
    number = units.positive(store, key)
    if key is None or number is None:
        wavelength = units.length_m(store, store.first(*_of(entry, _WAVELENGTHS)))
        if wavelength:
            return units.energy_ev(wavelength, settings, stated)
        return cxi.source_energy_ev(store, settings, notes)
    unit = units.name(store, key)
    if unit is None:
        unit = "j" if number < cxi.LARGEST_PHOTON_EV * JOULE_PER_EV else "kev" if number < _SMALLEST_EV else "ev"
        reason = f"'{key}' has no unit: took {number:g} as {unit}"
        settings.assume("energy_ev", f"{number * ENERGIES_EV[unit]:.6g}", reason)
        notes.append(f"{reason} (assumed)")
    return number * units.factor(store, key, ENERGIES_EV, unit)
