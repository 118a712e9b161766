"""NSLS-II ptycho_gui's HDF5 (``scan_*.h5`` of the HXN beamline).

Layout: https://github.com/NSLS-II/ptycho_gui, ``core/HXN_databroker.py``, `save_data`. ``diffamp`` (n, N, N) is
``sqrt(counts)`` of each frame, turned clockwise by 90 degrees (``rot90(frame, axes=(1, 0))``), then shifted so that DC
lies in the corner. ``points`` (2, n) are the motors x and y in micrometres: of the sample, as that program's defaults
(``x_direction = y_direction = -1``) have it, with y up. Turned back, the probe is at row +y, column -x.

Newer versions (`save_data` with ``save_diff = False``; read by https://github.com/NSLS2/holoptycho, `InitSimul`) leave
the frames in the detector's files, ``raw_data/filename``, as ``entry/data/data``: counts, neither turned nor shifted.
Of these ``raw_data/roi`` is taken, [[first row, end], [first column, end]]; ``raw_data/badpixels`` are [rows, columns]
of the frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats import fields, units
from ptycho_core.formats.chunks import one_after_another
from ptycho_core.formats.conversions import Window
from ptycho_core.formats.masks import IGNORE
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import Store, beside
from ptycho_core.scan.scan import ArraySource, Geometry
from ptycho_core.scan.settings import Settings

_FILES, _WINDOW, _BAD, _FINER = (f"raw_data/{name}" for name in ("filename", "roi", "badpixels", "upsample"))


def turn_back(batch: NDArray[Any]) -> NDArray[Any]:
    """Turn patterns counter-clockwise by 90 degrees."""
    return np.rot90(batch, axes=(-2, -1))


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "hdf5" and ("diffamp" in store or (_FILES in store and "points" in store))


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes = ["turned the sample's motors x and y (up) into the probe's position"]
    raw = "diffamp" not in store
    if raw:
        source = _raw_frames(store, notes)
        window = _window(store, source.shape[1:])
    else:
        source = store.patterns("diffamp")
        notes.append("turned the patterns back by 90 degrees")
    wavelength_nm = settings.unless_answered("energy_ev", lambda: units.positive(store, "lambda_nm"))
    pitch = settings.unless_answered("detector_pixel_m", lambda: units.positive(store, "ccd_pixel_um"))
    if raw and pitch and _FINER in store:
        pitch *= store.number(_FINER)  # the frames themselves were not made finer
    x, y = _points(store, source.shape[0], settings)
    return Stored(
        source=source,
        steps=(window,) if raw else (turn_back,),
        positions=np.stack([y, -x * _foreshortening(store, settings, notes)], axis=1),
        values="counts" if raw else "amplitude",
        mask=_good_pixels(store, source.shape[1:], window, settings) if raw else None,
        unit="um",
        unit_reason="ptycho_gui stores micrometres",
        geometry=Geometry(
            energy_ev=units.energy_ev(wavelength_nm and wavelength_nm * 1e-9, settings),
            distance_m=settings.unless_answered("distance_m", lambda: units.positive(store, "z_m")),
            detector_pixel_m=(pitch * 1e-6, pitch * 1e-6) if pitch else None,
        ),
        notes=notes,
    )


def _raw_frames(store: Store, notes: list[str]) -> ArraySource:
    """Return the frames of the detector's files."""
    stored = store.read(_FILES)
    pieces: dict[str, ArraySource] = {}
    for name in map(units.text, np.ravel(stored)):
        path = beside(store.path, name)
        if not path.is_file():
            raise InputError(f"{store.path}: its patterns are in '{name}', which is missing: put that file beside it")
        with open_store(path) as file:
            pieces[name] = file.patterns(file.require("entry/data/data"))
    if not pieces:
        raise InputError(f"{store.path}: '{_FILES}' names no file, and there is no 'diffamp'")
    notes.append(f"took the patterns from the detector's files: {', '.join(pieces)}")
    return one_after_another(store.path, pieces, notes)


def _window(store: Store, frame: tuple[int, ...]) -> Window:
    if _WINDOW not in store:
        return Window((0, frame[0]), (0, frame[1]))
    ends = store.numbers(_WINDOW)
    within = ends.shape == (2, 2) and (ends[:, 0] >= 0).all() and (ends[:, 1] > ends[:, 0]).all()
    if not within or (ends[:, 1] > frame).any():
        raise InputError(f"{store.path}: '{_WINDOW}' must be two pairs within the frames of {frame} pixels")
    (top, bottom), (left, right) = ends.astype(int).tolist()
    return Window((top, bottom), (left, right))


def _good_pixels(store: Store, frame: tuple[int, ...], window: Window, settings: Settings) -> NDArray[np.bool_] | None:
    if _BAD not in store or 0 in store.header(_BAD).shape or settings.get("mask") == "ignore":
        return None
    bad = store.numbers(_BAD)
    if bad.ndim != 2 or len(bad) != 2 or not ((bad >= 0) & (bad < np.array(frame)[:, None])).all():
        raise InputError(
            f"{store.path}: '{_BAD}' must be rows and columns within the frames of {frame} pixels: set mask=ignore to "
            "do without",
            [IGNORE],
        )
    good = np.ones(frame, bool)
    good[tuple(bad.astype(int))] = False
    return np.asarray(window(good))


def _points(store: Store, n: int, settings: Settings) -> NDArray[np.float64]:
    shape = store.header(store.require("points")).shape
    told = f"'points' has shape {shape}, but there are {n} patterns; it must be (2, {n}), x then y"
    points = store.numbers("points")
    if points.ndim != 2 or 2 not in shape:
        raise InputError(f"{store.path}: {told}")
    each = points if shape[1] == 2 != shape[0] else points.T
    if len(each) != n:
        fields.check_pairs(f"{store.path}: {told}", "points", len(each), n, settings)
    return fields.as_many(fields.check_finite(store, "points", each, settings), n).T


def _foreshortening(store: Store, settings: Settings, notes: list[str]) -> float:
    """Return by how much x shrinks across the beam, as the motor turns with the sample.

    |cos angle| up to 45 degrees, beyond that |sin angle|, reversed from -45 degrees down: what NSLS-II's programs do
    (``angle_correction_flag``, on by default in ptycho_gui; https://github.com/NSLS2/holoptycho, `PointProcessorOp`).
    """
    angle = settings.unless_answered("angle", lambda: store.number("angle"), ignore="ignore") if "angle" in store else 0
    if not angle:
        return 1.0
    if settings.assume("angle", "correct", f"the sample is turned by {angle:g} degrees, x with it") == "ignore":
        return 1.0
    ratio = abs(np.cos(np.radians(angle))) if abs(angle) <= 45 else abs(np.sin(np.radians(angle)))
    notes.append(f"multiplied x by {ratio:.4g} for the sample's angle of {angle:g} degrees")
    return float(-ratio if angle <= -45 else ratio)
