"""Patterns of a scanning electron microscope on a raster: EMPAD (``.xml``, ``.raw``) and Merlin (``.mib``).

How far apart patterns are is stated by the XML of an EMPAD at most, energy and pixels by neither: all are asked for.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.chunks import file_series, go_on, series_beside
from ptycho_core.formats.raster import raster_places, step_m
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.frames import FRAMES
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.scan import ArraySource, Geometry
from ptycho_core.scan.settings import Settings


def turn_over(batch: NDArray[Any]) -> NDArray[Any]:
    """Put the last row of patterns first."""
    return batch[..., ::-1, :]


class Raster4D:
    """Reads the files of one detector.

    Parameters
    ----------
    container
        Of its `Store`.
    """

    def __init__(self, container: str) -> None:
        self._container = container

    def sniff(self, store: Store, positions: Store | None) -> bool:
        """Tell whether this is the format."""
        return store.container == self._container

    def read(self, store: Store, positions: Store | None, settings: Settings) -> Stored:
        """Read what the file stores."""
        notes: list[str] = []
        stated = store.attributes("")
        source, places = _frames(store, settings, notes)
        columns, lines = stated.get("scan_x"), stated.get("scan_y")
        total = columns * lines if columns and lines else stated.get("num_frames")
        if total and source.shape[0] < total:
            go_on(store.path, f"it holds {source.shape[0]} patterns and says that it has {total}", settings, notes)
        per_trigger = stated.get("frames_per_trigger", 1)
        columns = columns or (per_trigger if per_trigger > 1 else None)
        n = source.shape[0] if places is None else int(places[-1]) + 1
        line, column = raster_places(store.path, n, (lines, columns), False, settings, notes)
        if places is not None:
            line, column = line[places], column[places]
        step_y, step_x = (step_m(store.path, stated.get(key), settings) for key in ("step_y", "step_x"))
        turned = self._container == "mib"
        if turned:
            notes.append("put the rows of the patterns, which are stored from the bottom up, the right way round")
        return Stored(
            source=source,
            steps=(turn_over,) if turned else (),
            positions=np.stack([line * step_y, column * step_x], axis=1),
            unit="m",
            unit_reason="the step of the raster",
            rows=np.arange(len(line)) if len(line) < source.shape[0] else None,
            geometry=Geometry(source="electrons"),
            notes=notes,
        )


def _frames(store: Store, settings: Settings, notes: list[str]) -> tuple[ArraySource, NDArray[np.int64] | None]:
    """Return the patterns, and their places where some are missing: of all files that an acquisition was cut into.

    These differ in the last number of their names, and go on counting frames; those of other acquisitions begin anew.
    """
    names = series_beside(store.path) if store.container == "mib" else {}
    firsts = []
    for name in names.values():
        # The next acquisition may have just begun; a damaged file of this one is named by those who join them.
        with contextlib.suppress(InputError), open_store(store.path.with_name(name)) as other:
            firsts.append(other.attribute("", "first_frame"))
    if len(firsts) < 2 or None in firsts or len(set(firsts)) < len(firsts):
        return store.patterns(FRAMES), None
    return file_series(store, FRAMES, settings, notes)
