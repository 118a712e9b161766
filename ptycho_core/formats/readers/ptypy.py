"""ptypy's ``.ptyd``: patterns, weights and positions in numbered chunks, the geometry in ``meta``.

Layout: https://github.com/ptycho/ptypy, ``core/data.py`` (`PtyScan`, `PtydScan`) and ``doc/rst/ptyd.rst``. Counts with
DC in the centre; positions (row, column) of the probe in metres; energy in keV; a weight of 0 marks a bad pixel.
Chunks may be links to files of their own.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.formats import fields
from ptycho_core.formats.chunks import go_on, one_after_another
from ptycho_core.formats.masks import good_pixels
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store, drop_leading
from ptycho_core.scan.scan import ArraySource, Geometry, GoodPixels
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import ENERGIES_EV

_CHUNK = re.compile(r"chunks/\d{1,6}/data")


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return "chunks/0/data" in store or any(map(_CHUNK.fullmatch, store.keys()))


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    pieces = _pieces(store, settings, notes)
    chunks = list(pieces)
    lengths = [piece.shape[0] for piece in pieces.values()]
    places = [fields.points(store, f"{chunk}/positions", n, settings) for chunk, n in zip(chunks, lengths, strict=True)]
    source = one_after_another(store.path, pieces, notes)
    _note_centre(store, source.shape[1:], notes)
    return Stored(
        source=source,
        positions=np.concatenate(places),
        unit="m",
        unit_reason="ptypy stores metres",
        mask=_mask(store, chunks, source, settings, notes),
        geometry=_geometry(store, settings, notes),
        indexes=_indexes(store, chunks, lengths),
        notes=notes,
    )


def _pieces(store: Store, settings: Settings, notes: list[str]) -> dict[str, ArraySource]:
    """Return the patterns of each chunk; one that is missing, or a link to a missing file, is an error, not the end."""
    names = [*store.groups(), *store.dead_links()]
    numbers = (re.fullmatch(r"chunks/(\d{1,6})", name) for name in names)
    last = max((int(number[1]) for number in numbers if number), default=0)
    wanted = [f"chunks/{k}" for k in range(last + 1)]
    there = [chunk for chunk in wanted if f"{chunk}/data" in store]
    if missing := [f"'{chunk}'" for chunk in wanted if chunk not in there]:
        go_on(store.path, f"{', '.join(missing)} is missing", settings, notes)
    pieces = {chunk: store.patterns(f"{chunk}/data") for chunk in there}
    n, key = sum(piece.shape[0] for piece in pieces.values()), "meta/num_frames"
    stated = store.number(key) if key in store else 0
    if n < stated and not missing and not store.growing:
        go_on(store.path, f"its chunks hold {n} patterns, and '{key}' says {stated:g}", settings, notes)
    return pieces


def _indexes(store: Store, chunks: list[str], lengths: list[int]) -> NDArray[np.int64] | None:
    if not all(f"{chunk}/indices" in store for chunk in chunks):
        return None
    return np.concatenate([fields.indexes(store, f"{c}/indices", n) for c, n in zip(chunks, lengths, strict=True)])


def _mask(
    store: Store, chunks: list[str], patterns: ArraySource, settings: Settings, notes: list[str]
) -> GoodPixels | None:
    """Return where weights are above 0. Without those of each pattern, those of ``meta`` count for all."""
    keys = [f"{chunk}/weights" for chunk in chunks]
    keys = [key for key in keys if key in store and len(store.header(key).shape) > 1 and store.header(key).nbytes]
    if keys and len(drop_leading(store.header(keys[0]).shape, 2)) == 2:
        keys = keys[:1]  # the same for all patterns
    if not keys:
        common = store.first("meta/weight2d", "info/weight2d")
        keys = [] if common is None or len(store.header(common).shape) != 2 else [common]
    called = "of weight 0 in one pattern"
    return good_pixels(store, keys, _has_weight, settings, notes, patterns=patterns, any_number=True, bad=called)


def _has_weight(weights: NDArray[Any]) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = weights > 0
    return good


def _geometry(store: Store, settings: Settings, notes: list[str]) -> Geometry:
    """Return what is known; ptypy stores 0 for None."""

    def number(name: str, setting: str) -> float:
        key = f"meta/{name}"
        return (settings.unless_answered(setting, lambda: store.number(key)) or 0.0) if key in store else 0.0

    energy, distance = number("energy", "energy_ev"), number("distance", "distance_m")
    pitch = store.numbers("meta/psize").ravel() if "meta/psize" in store else np.zeros(1)
    known = pitch.size in (1, 2) and bool(np.isfinite(pitch).all() and (pitch > 0).all())
    if energy > 0:
        notes.append(f"converted the energy from {energy:.5g} keV to eV")
    return Geometry(
        energy_ev=energy * ENERGIES_EV["kev"] if energy > 0 else None,
        distance_m=distance if distance > 0 else None,
        detector_pixel_m=(float(pitch[0]), float(pitch[-1])) if known else None,
    )


def _note_centre(store: Store, shape: tuple[int, ...], notes: list[str]) -> None:
    if "meta/center" not in store or store.header("meta/center").dtype.kind not in "iuf":
        return
    centre = store.numbers("meta/center").ravel()
    if centre.shape == (2,) and (abs(centre - np.asarray(shape) // 2) >= 1).any():
        notes.append(
            f"the file puts the optical axis at pixel ({centre[0]:g}, {centre[1]:g}) and it is taken at "
            f"({shape[0] // 2}, {shape[1] // 2}): centre the patterns"
        )
