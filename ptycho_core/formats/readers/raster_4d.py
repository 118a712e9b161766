"""Patterns of a scanning electron microscope on a raster: EMPAD (``.xml``, ``.raw``) and Merlin (``.mib``).

How far apart patterns are is stated by the XML of an EMPAD at most, energy and pixels by neither: all are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.formats.chunks import go_on, one_after_another, series_beside
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
        columns, lines = stated.get("scan_x"), stated.get("scan_y")
        total = columns * lines if columns and lines else stated.get("num_frames")
        source, places = _frames(store, total, settings, notes)
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


@dataclass(frozen=True)
class _Part:
    """One file of an acquisition: its name, its patterns, and the number of the first one, from 1 (some from 0)."""

    name: str
    source: ArraySource
    first: int

    @property
    def behind(self) -> int:
        """The number of the pattern that the next file begins with."""
        return self.first + self.source.shape[0]


def _frames(
    store: Store, total: int | None, settings: Settings, notes: list[str]
) -> tuple[ArraySource, NDArray[np.int64] | None]:
    """Return the patterns, and their places where some are missing: of all files that an acquisition was cut into.

    Raises
    ------
    InputError
        As `go_on`: there are fewer than the ``total`` that is stated, patterns before those of a file are missing, or a
        file that may hold the last ones cannot be read.
    """
    parts, damaged = _acquisition(store)
    source = one_after_another(store.path, {part.name: part.source for part in parts}, notes)
    n = source.shape[0]
    if len(parts) > 1:
        notes.append(f"took {len(parts)} files for one acquisition, from {parts[0].name} to {parts[-1].name}")
    if total and n >= total:
        return source, None
    origin = min(1, parts[0].first)
    befores = [origin, *(part.behind for part in parts)]
    lacking = [
        f"patterns {before} to {part.first - 1} of its acquisition, before those of {part.name}, are missing"
        for before, part in zip(befores, parts, strict=False)
        if part.first > before
    ]
    if total:
        lacking.append(f"it holds {n} patterns and says that it has {total}")
    if damaged:
        lacking.append(f"{', '.join(damaged)} beside it, which may go on with it, cannot be read")
    if not lacking:
        return source, None
    go_on(store.path, "; ".join(lacking), settings, notes)
    return source, np.concatenate([part.first - origin + np.arange(part.source.shape[0]) for part in parts])


def _acquisition(store: Store) -> tuple[list[_Part], list[str]]:
    """Return the files of the acquisition that a file is of, and those that cannot be read and may be of it too.

    Merlin's differ in the last number of their names, and each counts its patterns on from those before it.
    """
    own = store.path.name
    if store.container != "mib":
        return [_Part(own, store.patterns(FRAMES), 1)], []
    parts: list[_Part] = []
    damaged: list[str] = []
    for _, name in sorted(series_beside(store.path).items()) or [(0, own)]:
        try:
            with open_store(store.path.with_name(name)) as other:
                part = _Part(name, other.patterns(FRAMES), other.attribute("", "first_frame"))
        except InputError:
            damaged.append(name)
            continue
        if parts and part.first < parts[-1].behind:  # another acquisition begins
            if own in [one.name for one in parts]:
                break
            parts = []
        if part.first <= (parts[-1].behind if parts else 1):  # nothing is missing before it
            damaged = []
        parts.append(part)
    return parts, damaged
