"""ptypy's ``.ptyd``: patterns, weights and positions in numbered chunks, the geometry in ``meta``.

Layout: https://github.com/ptycho/ptypy, ``core/data.py`` (`PtyScan`, `PtydScan`) and ``doc/rst/ptyd.rst``. Counts with
DC in the centre; positions (row, column) of the probe in metres; energy in keV; a weight of 0 marks a bad pixel.
Chunks may be links to files of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.errors import InputError
from ptycho_core.formats import fields, units
from ptycho_core.formats.assemble import Stored
from ptycho_core.formats.settings import Settings
from ptycho_core.formats.store import Store
from ptycho_core.scan import ArraySource, Geometry

_FIRST = "chunks/0/data"
_BATCH_BYTES = 16 * 2**20


class Chunks:
    """Patterns (n, y, x) that are stored in several pieces.

    Parameters
    ----------
    pieces
        Stacks of patterns (n_i, y, x) of the same size.
    """

    def __init__(self, pieces: list[ArraySource]) -> None:
        self._pieces = pieces
        self._ends = np.cumsum([piece.shape[0] for piece in pieces])
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *pieces[0].shape[1:])
        self.dtype: np.dtype[Any] = np.result_type(*(piece.dtype for piece in pieces))

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return the patterns of a slice or of increasing, unique indexes."""
        rows = np.arange(self.shape[0])[index]
        batch = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for piece, end in zip(self._pieces, self._ends, strict=True):
            wanted = (rows >= end - piece.shape[0]) & (rows < end)
            if wanted.any():
                batch[wanted] = piece[rows[wanted] - (end - piece.shape[0])]
        return batch


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return _FIRST in store


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    pieces = _pieces(store)
    chunks = [f"chunks/{i}" for i in range(len(pieces))]
    lengths = [piece.shape[0] for piece in pieces]
    if len(pieces) > 1:
        notes.append(f"put the patterns of {len(pieces)} chunks one after another")
    places = [fields.points(store, f"{chunk}/positions", n) for chunk, n in zip(chunks, lengths, strict=True)]
    _note_centre(store, pieces[0].shape[1:], notes)
    return Stored(
        source=pieces[0] if len(pieces) == 1 else Chunks(pieces),
        positions=np.concatenate(places),
        unit="m",
        unit_reason="ptypy stores metres",
        mask=_mask(store, chunks, lengths, notes),
        geometry=_geometry(store, notes),
        indexes=_indexes(store, chunks, lengths),
        notes=notes,
    )


def _pieces(store: Store) -> list[ArraySource]:
    """Return the patterns of each chunk; one that is a link to a missing file is an error, not the end."""
    pieces = [store.patterns(store.require(_FIRST))]
    while (chunk := f"chunks/{len(pieces)}") in store:
        pieces.append(store.patterns(f"{chunk}/data"))
        if pieces[-1].shape[1:] != pieces[0].shape[1:]:
            raise InputError(
                f"{store.path}: patterns of '{chunk}' are {pieces[-1].shape[1:]} pixels and those of 'chunks/0' "
                f"{pieces[0].shape[1:]}; all must be the same"
            )
    return pieces


def _indexes(store: Store, chunks: list[str], lengths: list[int]) -> NDArray[np.int64] | None:
    if not all(f"{chunk}/indices" in store for chunk in chunks):
        return None
    return np.concatenate([fields.indexes(store, f"{c}/indices", n) for c, n in zip(chunks, lengths, strict=True)])


def _mask(store: Store, chunks: list[str], lengths: list[int], notes: list[str]) -> NDArray[np.bool_] | None:
    """Return the pixels that are good in every pattern. Without weights for each, those of ``meta`` count for all."""
    keys = [f"{chunk}/weights" for chunk in chunks]
    keys = [key for key in keys if key in store and len(store.header(key).shape) == 3 and store.header(key).nbytes]
    if not keys:
        common = store.first("meta/weight2d", "info/weight2d")
        return None if common is None or len(store.header(common).shape) != 2 else store.numbers(common) > 0
    good = [_good_in_all(store, key) for key in keys]
    if len({one.shape for one in good}) > 1:
        raise InputError(f"{store.path}: the weights of its chunks differ in size; all must be that of the patterns")
    if sum(lengths) > 1:
        notes.append("a pixel of weight 0 in one pattern is left out of all patterns")
    return np.asarray(np.stack(good).all(axis=0))


def _good_in_all(store: Store, key: str) -> NDArray[np.bool_]:
    weights = store.patterns(key)
    step = max(1, _BATCH_BYTES // (8 * weights.shape[1] * weights.shape[2]))
    good = np.ones(weights.shape[1:], bool)
    for start in range(0, weights.shape[0], step):
        good &= (weights[start : start + step] > 0).all(axis=0)
    return good


def _geometry(store: Store, notes: list[str]) -> Geometry:
    """Return what is known; ptypy stores 0 for None."""
    energy, distance = (store.number(key) if (key := f"meta/{name}") in store else 0 for name in ("energy", "distance"))
    pitch = store.numbers("meta/psize").ravel() if "meta/psize" in store else np.zeros(1)
    known = pitch.size in (1, 2) and bool(np.isfinite(pitch).all() and (pitch > 0).all())
    if energy > 0:
        notes.append(f"converted the energy from {energy:.5g} keV to eV")
    return Geometry(
        energy_ev=energy * units.ENERGIES_EV["kev"] if energy > 0 else None,
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
