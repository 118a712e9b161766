"""PtychoShelves and fold_slice: patterns in ``dp``, positions in ``ppX`` and ``ppY`` or in a reconstruction's ``.mat``.

Layout: https://github.com/yijiang1/fold_slice, ``ptycho/+detector/+prep_data/+matlab_aps/load_data.m`` (``dp``),
``ptycho/+scans/+positions/hdf5_pos_aps.m`` (``ppX``, ``ppY`` in metres, of the probe: two changes of sign cancel,
the other is in ``+core/ptycho_adjust_positions.m``), ``+engines/+GPU_MS/+initialize/load_from_p.m`` (``outputs.
probe_positions``: (x, y) in pixels from the middle of the object), ``+core/initial_checks.m`` (``p.lambda``, of
electrons in angstrom), ``+core/initialize_ptycho.m`` (``p.dx_spec``, and ``p.z`` and ``p.nearfield_magnification``).
Counts with DC in the centre.

MATLAB counts from 1 and writes its arrays to HDF5 with their axes reversed: what was (y, x, n) is stored as
(n, x, y). Python programs at APS write (n, y, x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats import fields, units
from ptycho_core.formats.conversions import exchange_axes
from ptycho_core.formats.masks import named_mask
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.radiation import SOURCES
from ptycho_core.scan.scan import Geometry, where_good
from ptycho_core.scan.settings import Settings

_PATTERNS, _X, _Y, _PIXELS = "dp", "ppX", "ppY", "outputs/probe_positions"
IN_TWO_FILES = True
_MATLAB = "MATLAB_class"
_LONGEST_WORD = 256


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "hdf5" and store.first(_PATTERNS, _X, _PIXELS) is not None


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the one or two files store."""
    product = positions or store
    if _PATTERNS not in store:
        raise InputError(
            f"{store.path} holds positions of fold_slice but no patterns ('{_PATTERNS}'); open the file with the "
            "patterns, and name this one as the positions file"
        )
    if product.first(_X, _PIXELS) is None:
        raise InputError(
            f"{store.path} holds patterns without positions; name the file that holds '{_X}' and '{_Y}' "
            "(fold_slice's ..._para.hdf5), or 'probe_position_x_m' (pty-chi's), as the positions file"
        )
    notes = [] if positions is None else [f"took positions and probe from {positions.path.name}"]
    source = store.patterns(_PATTERNS)
    probe, object_guess = _probe(product, source.shape[1:], settings, notes), _object(product, notes)
    in_pixels = _X not in product
    if in_pixels:
        places = _pixels(product, source.shape[0], source.shape[1], object_guess, settings)
    else:
        vectors = [fields.vector(product, product.require(key), source.shape[0], settings) for key in (_Y, _X)]
        places = np.stack(vectors, axis=1)
    transposed = _is_transposed(store, product, settings, notes)
    mask = named_mask(store, source, settings, notes)
    return Stored(
        source=source,
        steps=(exchange_axes,) if transposed else (),
        positions=places,
        unit="px" if in_pixels else "m",
        unit_reason=f"fold_slice stores '{_PIXELS}' in pixels" if in_pixels else "fold_slice stores metres",
        probe=probe,
        mask=where_good(mask, exchange_axes) if mask is not None and transposed else mask,
        geometry=_geometry(product, settings),
        object_guess=object_guess,
        notes=notes,
    )


def _is_transposed(store: Store, product: Store, settings: Settings, notes: list[str]) -> bool:
    # h5create leaves no trace of MATLAB but this: it knows no array of fewer than two axes, and a column is (1, n).
    shape = product.header(_X).shape if _X in product else ()
    of_columns = len(shape) == 2 and shape[0] > shape[1]
    if _is_matlabs(store, _PATTERNS):
        default, reason = "nxy", "a MATLAB file: it stores the axes of an array in reverse"
    elif of_columns:
        reason = f"'{_X}' is {shape}: a column that Python wrote, or a row that MATLAB wrote, which exchanges"
        default, reason = "nyx", f"{reason} rows and columns of patterns"
    elif len(shape) > 1:
        default, reason = "nxy", f"'{_X}' has two axes, as MATLAB writes it, so patterns are taken as transposed"
    else:
        default, reason = "nyx", "nothing says that MATLAB wrote the patterns, which would exchange rows and columns"
    doubtful = of_columns and not _is_matlabs(store, _PATTERNS)
    axes = settings.assume("axes", default, reason, choices=("nyx", "nxy"), doubtful=doubtful)
    if axes == "nxy":
        notes.append("exchanged rows and columns of the patterns (MATLAB's order)")
    return axes == "nxy"


def _pixels(
    product: Store, n: int, size: int, object_guess: NDArray[np.complex64] | None, settings: Settings
) -> NDArray[np.float64]:
    """Return (y, x) of the probe's centre from the corner of the stored object, counted from 0."""
    shape = product.header(_PIXELS).shape
    if shape != (2, n):
        raise InputError(
            f"{product.path}: '{_PIXELS}' has shape {shape}, but there are {n} patterns; MATLAB stores (2, {n})"
        )
    yx: NDArray[np.float64] = fields.check_finite(product, _PIXELS, product.numbers(_PIXELS).T, settings)[:, ::-1]
    if object_guess is None:
        return yx
    # The window of a position p begins at row ceil(H / 2 - N / 2) + p of rows that count from 1.
    corner = np.ceil(np.asarray(object_guess.shape) / 2 - size / 2) - 1
    from_corner: NDArray[np.float64] = yx + corner + size // 2
    return from_corner


def _is_matlabs(product: Store, key: str) -> bool:
    return product.attribute(key, _MATLAB) is not None


def _probe(
    product: Store, frame: tuple[int, ...], settings: Settings, notes: list[str]
) -> NDArray[np.complex64] | None:
    """Return the probe (M, y, x), which MATLAB has as (y, x, modes, variants)."""
    probe = fields.probe_modes(product, product.first("probe"), frame, settings, notes)
    if probe is None or not _is_matlabs(product, "probe"):
        return probe
    return np.ascontiguousarray(exchange_axes(probe))


def _object(product: Store, notes: list[str]) -> NDArray[np.complex64] | None:
    stored = fields.object_image(product, product.first("object"), notes)
    return np.ascontiguousarray(stored.T) if stored is not None and _is_matlabs(product, "object") else stored


def _geometry(product: Store, settings: Settings) -> Geometry:
    """Return the geometry; a reconstruction of electrons is in angstrom, one of the near field has an effective z."""
    source = SOURCES[1] if _word(product, "p/beam_source") == "electron" else SOURCES[0]
    metres = 1e-10 if source == "electrons" else 1.0
    wavelength = settings.unless_answered(
        "energy_ev", lambda: units.positive(product, product.first("lambda", "p/lambda"))
    )
    key = product.first("dx", "p/dx_spec")
    pixel = product.numbers(key).ravel() * metres if key else np.empty(0)
    known = pixel.size in (1, 2) and bool(np.isfinite(pixel).all() and (pixel > 0).all())
    magnification = None
    if _word(product, "p/prop_regime") == "nearfield":
        magnification = units.positive(product, "p/nearfield_magnification")
    effective = units.positive(product, "p/z") if magnification else None
    return Geometry(
        energy_ev=units.energy_ev(wavelength and wavelength * metres, settings, source),
        distance_m=effective and magnification and effective * magnification,
        object_pixel_m=(float(pixel[0]), float(pixel[-1])) if known else None,
        source=source,
        magnification=magnification,
    )


def _word(product: Store, key: str) -> str:
    """Return a text of MATLAB's, which are arrays of characters' numbers; empty where there is none."""
    if key not in product or product.header(key).dtype.kind != "u" or product.header(key).nbytes > _LONGEST_WORD:
        return ""
    return "".join(map(chr, product.read(key).ravel()))
