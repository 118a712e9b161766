"""Mappings that come with the program, for the files of beamlines: found by how much of their paths a file has.

Each is a JSON file of `ShippedMapping` in ``resources/mappings``, whose name is that of the format. Its keys may hold
``{NAME}``, which stands for any one part of a path and for the same part wherever it occurs (an entry's number, a
detector's name), and alternatives with `` | `` between them, of which the first that a file has is taken. What a file
lacks of mask, probe and numbers is left out; patterns and positions have to be there.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ptycho_core.base.codec import decode, read_json
from ptycho_core.base.resource_files import resource
from ptycho_core.formats.assemble import SMALLEST_SIDE
from ptycho_core.formats.chunks import natural
from ptycho_core.formats.mapping import mapped
from ptycho_core.formats.mapping.quantity_guess import position_unit, stated_unit
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.mapping import COLUMN, LINE, OPEN, Coordinate, Mapping, Mask, Quantity, units_of
from ptycho_core.scan.settings import Settings

FOLDER = "resources/mappings"
_OR = " | "
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Binding = dict[str, str]
"""What each ``{NAME}`` stands for in a file."""


@dataclass(frozen=True)
class ShippedMapping:
    """The layout of a beamline's files.

    Parameters
    ----------
    title
        How operators call it.
    source
        Whence it is known, as the end of a sentence: as whose published loader reads it.
    mapping
        With placeholders and alternatives in its keys.
    assumed
        A sentence: what neither file nor loader say for certain.
    """

    LAYOUT: ClassVar[int] = 1

    title: str
    source: str
    mapping: Mapping
    assumed: str = ""


@dataclass(frozen=True)
class Fit:
    """A shipped mapping as a file fills it in.

    Parameters
    ----------
    title
        Of the shipped mapping.
    mapping
        What is there, without placeholders.
    binding
        What these stand for.
    likeness
        Which part of the shipped mapping's keys is there, 0 to 1.
    placed
        Whether the positions are there; else ``mapping`` leaves them `OPEN`.
    """

    title: str
    mapping: Mapping
    binding: Binding
    likeness: float
    placed: bool


class MappedReader:
    """Reads files of one shipped mapping, as the `Reader` of a format does."""

    def __init__(self, shipped: ShippedMapping) -> None:
        self.shipped = shipped
        self.IN_TWO_FILES = shipped.mapping.positions.separate_file

    def sniff(self, store: Store, positions: Store | None) -> bool:
        """Tell whether a file has patterns and positions of this layout."""
        if (positions is not None) != self.IN_TWO_FILES:
            return False
        return any(fit.placed for fit in fits(self.shipped, store, positions))

    def read(self, store: Store, positions: Store | None, settings: Settings) -> Stored:
        """Read what the mapping names, as `mapped.read` does."""
        found = [fit for fit in fits(self.shipped, store, positions) if fit.placed]
        fit = _chosen(found, settings) if found else None
        stored = mapped.read(store, positions, settings, fit.mapping if fit else self.shipped.mapping)
        told = f"read as {self.shipped.title}, {self.shipped.source}"
        stored.notes.insert(0, f"{told}; {self.shipped.assumed}" if self.shipped.assumed else told)
        return stored


@functools.cache
def shipped_readers() -> dict[str, MappedReader]:
    """Return a reader for each shipped mapping, by its name."""
    return {path.stem: MappedReader(read_shipped(path)) for path in sorted(resource(FOLDER).glob("*.json"))}


def read_shipped(path: Path) -> ShippedMapping:
    """Return the mapping in one of the files.

    Raises
    ------
    InputError
        As `decode`.
    """
    return decode(ShippedMapping, read_json(path, "the shipped mapping"), str(path))


def likely(store: Store, positions: Store | None) -> list[Fit]:
    """Return what of the shipped mappings a file is like, the most alike first: each has at least its patterns."""
    found = [
        fit
        for reader in shipped_readers().values()
        if reader.IN_TWO_FILES or positions is None
        for fit in fits(reader.shipped, store, positions)[:1]
    ]
    return sorted(found, key=lambda fit: (-fit.placed, -fit.likeness))


def fits(shipped: ShippedMapping, store: Store, positions: Store | None) -> list[Fit]:
    """Return the mapping for each scan of the file whose patterns fit, in the order of their names."""
    template = shipped.mapping
    where = positions if template.positions.separate_file else store
    return [
        _fit(shipped, store, where, patterns, binding)
        for patterns, binding in _stacks(store, template.patterns).items()
    ]


def _chosen(found: list[Fit], settings: Settings) -> Fit:
    """Return one of several scans of a file, as the operator says, else the first."""
    if len(found) == 1:
        return found[0]
    names = [name for name in found[0].binding if len({fit.binding[name] for fit in found}) > 1]
    by_label = {" ".join(fit.binding[name] for name in names): fit for fit in found}
    labels = tuple(by_label)
    reason = f"the file holds {len(labels)} scans of this layout"
    return by_label[settings.assume("scan_index", labels[0], reason, choices=labels)]


def _stacks(store: Store, template: str) -> dict[str, Binding]:
    """Return keys that may be the patterns, a ``*`` left in them, and what their placeholders stand for."""
    names = sorted((*store.keys(), *store.dead_links()), key=natural)
    for one in template.split(_OR):
        pattern = _regex(one)
        matches = [found for name in names if (found := pattern.fullmatch(name)) and _holds_images(store, name)]
        if matches:
            return {_filled(one, found.groupdict()): found.groupdict() for found in matches}
    return {}


def _regex(template: str) -> re.Pattern[str]:
    """Return what a key has to be like; ``*`` and placeholders stand for a part of a path, not for several."""
    seen: set[str] = set()

    def part(text: str) -> str:
        name = _PLACEHOLDER.fullmatch(text)
        if name is None:
            return "[^/]*" if text == "*" else re.escape(text)
        again = name[1] in seen
        seen.add(name[1])
        return f"(?P={name[1]})" if again else f"(?P<{name[1]}>[^/]+)"

    return re.compile("".join(map(part, re.split(r"(\{\w+\}|\*)", template))))


def _filled(template: str, binding: Binding) -> str:
    return _PLACEHOLDER.sub(lambda name: binding.get(name[1], name[0]), template)


def _holds_images(store: Store, key: str) -> bool:
    """Tell whether an array has the axes of patterns; a link that leads nowhere may."""
    if key in store.dead_links():
        return True
    header = store.header(key)
    return len(header.shape) > 2 and min(header.shape[-2:]) >= SMALLEST_SIDE and header.dtype.kind in "biuf"


def _fit(shipped: ShippedMapping, store: Store, where: Store | None, patterns: str, binding: Binding) -> Fit:
    template = shipped.mapping
    own, theirs = _Tree(store, binding), _Tree(where, binding)
    coordinates = [_coordinate(of, own, theirs) for of in (template.positions.y, template.positions.x)]
    mask = template.mask and own.find(template.mask.key)
    index = theirs.find(template.positions.index)
    placed = all(coordinates) and (template.positions.index is None or _are_numbers(where, index))
    places = template.positions
    unit_stated = False
    if placed:
        (y, y_stated), (x, x_stated) = (of for of in coordinates if of is not None)
        places = dataclasses.replace(places, y=y, x=x, index=index)
        unit_stated = y_stated and x_stated
    else:
        y, x = (Coordinate(OPEN, of.unit, multiplier=of.multiplier) for of in (places.y, places.x))
        places = dataclasses.replace(places, y=y, x=x, index=None)
    kept = [role for role in template.guessed if not (role == "position_unit" and unit_stated)]
    mapping = dataclasses.replace(
        template,
        patterns=patterns,
        positions=places,
        index=own.find(template.index),
        probe=own.find(template.probe),
        mask=Mask(mask, template.mask.invert) if template.mask and mask else None,
        guessed=tuple(kept),
        energy=_quantity("energy", template.energy, own),
        distance=_quantity("distance", template.distance, own),
        detector_pixel=_quantity("detector_pixel", template.detector_pixel, own),
        object_pixel=_quantity("object_pixel", template.object_pixel, own),
    )
    likeness = (1 + own.found + theirs.found) / (1 + own.named + theirs.named)
    return Fit(shipped.title, mapping, binding, likeness, placed)


class _Tree:
    """Looks for keys in a file, and counts how many of them it has."""

    def __init__(self, store: Store | None, binding: Binding) -> None:
        self.store, self._binding = store, binding
        self.named = self.found = 0

    def find(self, template: str | None) -> str | None:
        """Return the first of the alternatives that the file has."""
        if template is None:
            return None
        self.named += 1
        key = next(filter(None, map(self._one, template.split(_OR))), None)
        self.found += key is not None
        return key

    def _one(self, template: str) -> str | None:
        if self.store is None:
            return None
        key = _filled(template, self._binding)
        group, at, name = key.rpartition("@")
        there = key in self.store or (at and self.store.attribute(group, name) is not None)
        return key if there else None


def _coordinate(of: Coordinate, own: _Tree, theirs: _Tree) -> tuple[Coordinate, bool] | None:
    """Return a coordinate where the file has it, and whether the file states its unit, which goes before ours."""
    if of.key in (LINE, COLUMN):
        return of, False
    key = theirs.find(of.key)
    if key is None or theirs.store is None:
        return None
    stated = position_unit(stated_unit(theirs.store, key))
    unit, multiplier = (stated[0], math.copysign(stated[1], of.multiplier)) if stated else (of.unit, of.multiplier)
    angle = own.find(of.angle)
    return dataclasses.replace(of, key=key, unit=unit, multiplier=multiplier, angle=angle), stated is not None


def _quantity(role: str, of: Quantity | None, tree: _Tree) -> Quantity | None:
    """Return a quantity where the file has it; the unit that the file states goes before ours."""
    if of is None or of.key is None:
        return of
    key = tree.find(of.key)
    if key is None or tree.store is None:
        return None
    stated = stated_unit(tree.store, key)
    return dataclasses.replace(of, key=key, unit=stated if stated in units_of(role) else of.unit)


def _are_numbers(where: Store | None, key: str | None) -> bool:
    """Tell whether a column numbers patterns, as one of another table would not."""
    if where is None or key is None or where.header(key).dtype.kind not in "iuf":
        return False
    values = where.numbers(key)
    return bool(np.isfinite(values).all() and (values == np.round(values)).all() and (np.diff(values) >= 0).all())
