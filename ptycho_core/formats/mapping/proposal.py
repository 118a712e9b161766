"""Guesses what is what in a file of no known format, from names, shapes, types and units: a `Mapping` to look over."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats.assemble import SMALLEST_SIDE
from ptycho_core.formats.mapping import position_guess, quantity_guess
from ptycho_core.formats.mapping.mapped import coordinate_values
from ptycho_core.formats.mapping.position_guess import Wanted, lists
from ptycho_core.formats.mapping.quantities import geometry
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import LARGEST_SIDE, Header, Store, drop_leading, list_keys, say_dead_links
from ptycho_core.scan.mapping import OPEN, Coordinate, Mapping, Mask, Positions, Quantity
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.units import UNITS

_MOST_CONSIDERED = 5000
_MOST_LISTED = 30
_PATTERN_WORDS = (
    "pattern",
    "diff",
    "frame",
    "data",
    "dp",
    "intensit",
    "image",
    "detector",
    "count",
    "eiger",
    "pilatus",
)
_OTHER_STACKS = ("dark", "flat", "object", "probe", "mask", "background", "white", "recon", "weight")
_INDEX_WORDS = ("index", "indic", "frame", "number", "idx", "pattern")
_PROBE_WORDS = ("probe", "illumination", "beam", "wavefront")
_MASK_WORDS = ("mask", "bad", "good", "valid", "hot", "dead", "weight")
_LARGEST_MASK = 2**28
_LARGEST_STEP_M = 1e-4
_PART_OF_VIEW = 1 / 8
"""Of a usual step in the width of a probe's field."""


@dataclass(frozen=True)
class Proposal:
    """What could be what, the likeliest first.

    Parameters
    ----------
    candidates
        Keys by role: "patterns", "y", "x", "index" (of the patterns), "position_index", "probe", "mask" and
        `QUANTITIES`. A coordinate in a column of an array is ``KEY[COLUMN]``.
    quantities
        The likeliest of each of `QUANTITIES` that were found.
    mapping
        The likeliest of all, its positions `OPEN` where none are found; None where there are no patterns.
    remarks
        Sentences: what was left alone, and what is open.
    """

    candidates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quantities: dict[str, Quantity] = field(default_factory=dict)
    mapping: Mapping | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Stack:
    """A candidate for the patterns."""

    key: str
    axes: str
    n: int
    frame: tuple[int, int]
    raster: tuple[int, ...]
    score: float


def propose(store: Store, positions: Store | None = None) -> Proposal:
    """Look at the headers of all arrays, and at the numbers of those that may be positions.

    What belongs to another scan in the same file is left alone: candidates of one group belong together.

    Parameters
    ----------
    store
        The file with the patterns.
    positions
        The file with the positions, where they are not in the same.
    """
    headers = _headers(store)
    stacks = sorted(_stacks(headers), key=lambda stack: -stack.score)
    if not stacks:
        return Proposal({"patterns": ()})
    stack, others = stacks[0], other_scans(stacks[0].key, [one.key for one in stacks])
    headers = {key: header for key, header in headers.items() if not key.startswith(others)}
    where, theirs = positions or store, headers if positions is None else _headers(positions)
    wanted = Wanted(stack.key, stack.n, stack.raster, positions is not None)
    with_records = theirs | {key: one for key, one in _headers(where, "VSUO").items() if not key.startswith(others)}
    pairs = position_guess.pairs(where, with_records, wanted)
    count = _length(with_records, pairs[0].y) if pairs and positions is not None else 0
    quantities = quantity_guess.quantities(store, headers, others)
    likeliest = {role: found[0].quantity for role, found in quantities.items() if found}
    candidates = {
        "patterns": tuple(dict.fromkeys(stack.key for stack in stacks)),
        "y": tuple(dict.fromkeys(_label(*pair.y) for pair in pairs)),
        "x": tuple(dict.fromkeys(_label(*pair.x) for pair in pairs)),
        "index": _indexes(store, headers, stack.n),
        "position_index": _indexes(where, theirs, count) or _numbering(where, theirs, count, stack.n),
        "probe": _probes(headers, stack),
        "mask": _masks(headers, stack),
        **{role: tuple(one.quantity.key or "" for one in found) for role, found in quantities.items()},
    }
    first = {role: next(iter(keys), None) for role, keys in candidates.items()}
    guessed = [role for role, found in quantities.items() if found and found[0].guessed]
    if pairs:
        (y_key, y_column), (x_key, x_column) = pairs[0].y, pairs[0].x
        y, x = Coordinate(y_key, "px", y_column), Coordinate(x_key, "px", x_column)
        guessed += [] if pairs[0].named else ["positions"]
    else:
        y = x = Coordinate(OPEN, "px")
    index = first["position_index"] if pairs else None
    mapping = Mapping(
        patterns=stack.key,
        positions=Positions(y, x, separate_file=positions is not None, index=index),
        index=first["index"] if index else None,
        probe=first["probe"],
        mask=_mask(store, candidates["mask"]),
        settings={} if stack.axes == "nyx" else {"axes": stack.axes},
        guessed=tuple(guessed),
        energy=likeliest.get("energy"),
        distance=likeliest.get("distance"),
        detector_pixel=likeliest.get("detector_pixel"),
        object_pixel=likeliest.get("object_pixel"),
    )
    remarks = [f"the file holds other scans, left alone: {', '.join(others)}"] if others else []
    if not pairs:
        fitting = lists(theirs, stack.n)
        there = (
            f"arrays with {stack.n} values: {', '.join(fitting[:_MOST_LISTED])}" if fitting else "name a file of them"
        )
        remarks.append(f"nothing looks like the positions of {stack.n} patterns: {there}{say_dead_links(where)}")
    else:
        mapping = _with_units(store, where, mapping, stack)
    return Proposal(candidates, likeliest, mapping, tuple(remarks))


def other_scans(key: str, others: list[str]) -> tuple[str, ...]:
    """Return the groups, each with a slash at its end, that hold another scan than the patterns at ``key``.

    They are those whose own patterns have the same path but for one group in it: ``2.1/measurement/eiger`` beside
    ``1.1/measurement/eiger``.
    """
    parts = key.split("/")
    found: dict[str, None] = {}
    for other in others:
        theirs = other.split("/")
        differ = [k for k, (a, b) in enumerate(zip(parts, theirs, strict=False)) if a != b]
        if len(theirs) == len(parts) and len(differ) == 1 and differ[0] < len(parts) - 1:
            found["/".join(theirs[: differ[0] + 1]) + "/"] = None
    return tuple(found)


def propose_file(path: Path, positions_file: Path | None = None) -> Proposal:
    """Return what a file seems to hold; the mapping in it may leave the positions open.

    Raises
    ------
    InputError
        A file cannot be read, or nothing in it looks like patterns.
    """
    with open_store(path) as store:
        if positions_file is None:
            found = propose(store)
        else:
            with open_store(positions_file, tables=True) as positions:
                found = propose(store, positions)
        if found.mapping is None:
            there = list_keys(store.keys(), "patterns")
            sentence = f"{path} holds nothing with the shape of a stack of patterns: {there}"
            raise InputError(f"{sentence}{say_dead_links(store)}")
    return found


def _headers(store: Store, kinds: str = "biufc") -> dict[str, Header]:
    """Return the headers of all arrays that can be read and hold numbers."""
    headers = {}
    for key in itertools.islice(store.keys(), _MOST_CONSIDERED):
        try:
            header = store.header(key)
        except InputError:
            continue
        if header.dtype.kind in kinds and 0 not in header.shape:
            headers[key] = header
    return headers


def _count(text: str, words: tuple[str, ...]) -> int:
    """Return 2 where the last part of a key holds one of the words, 1 where an earlier part does."""
    lower = text.lower()
    name = lower.rpartition("/")[2]
    return 2 if any(word in name for word in words) else int(any(word in lower for word in words))


def _stacks(headers: dict[str, Header]) -> list[_Stack]:
    stacks = []
    for key, header in headers.items():
        shape = drop_leading(header.shape, 3)
        if header.dtype.kind in "bc" or len(shape) not in (3, 4):
            continue
        axes = "yxn" if len(shape) == 3 and shape[0] == shape[1] != shape[2] else "nyx"
        frame = (shape[0], shape[1]) if axes == "yxn" else (shape[-2], shape[-1])
        raster = shape[2:] if axes == "yxn" else shape[:-2]
        n = math.prod(raster)
        if n < 2 or min(frame) < SMALLEST_SIDE or max(frame) > LARGEST_SIDE:
            continue
        words = _count(key, _PATTERN_WORDS) - 3 * _count(key, _OTHER_STACKS)
        score = words + 3 * (frame[0] == frame[1]) + math.log10(header.nbytes)
        stacks.append(_Stack(key, axes, n, frame, raster, score))
    return stacks + _numbered(stacks)


def _numbered(stacks: list[_Stack]) -> list[_Stack]:
    """Return the stacks that detectors write in several arrays, such as ``data_000001`` and ``data_000002``."""
    groups: dict[str, list[_Stack]] = {}
    for stack in stacks:
        groups.setdefault(re.sub(r"\d{3,}$", "*", stack.key), []).append(stack)
    return [
        _Stack(key, "nyx", sum(one.n for one in parts), parts[0].frame, (), 2 + max(one.score for one in parts))
        for key, parts in groups.items()
        if key.endswith("*") and len(parts) > 1 and len({(one.frame, one.axes) for one in parts}) == 1
    ]


def _length(headers: dict[str, Header], where: tuple[str, int | None]) -> int:
    shape = headers[where[0]].shape
    return math.prod(shape) if where[1] is None else math.prod(shape) // min(shape[0], shape[-1])


def _label(key: str, column: int | None) -> str:
    return key if column is None else f"{key}[{column}]"


def _indexes(store: Store, headers: dict[str, Header], n: int) -> tuple[str, ...]:
    """Return arrays of n different whole numbers whose names say that they are indexes."""
    keys = [key for key in headers if math.prod(headers[key].shape) == n and _count(key, _INDEX_WORDS) == 2]
    return tuple(key for key in keys if _are_whole(store, key))


def _numbering(store: Store, headers: dict[str, Header], count: int, n: int) -> tuple[str, ...]:
    """Return arrays of as many values as there are positions that number the patterns, by what they hold."""
    keys = [key for key in headers if count != n and math.prod(headers[key].shape) == count]
    return tuple(key for key in keys if position_guess.numbers_patterns(store.numbers(key).ravel(), n))


def _are_whole(store: Store, key: str) -> bool:
    values = store.numbers(key)
    return bool(np.isfinite(values).all() and (values == np.round(values)).all())


def _probes(headers: dict[str, Header], stack: _Stack) -> tuple[str, ...]:
    probes = [
        key
        for key, header in headers.items()
        if header.dtype.kind == "c" and len(header.shape) > 1 and header.shape[-2:] == stack.frame
    ]
    return tuple(sorted(probes, key=lambda key: -_count(key, _PROBE_WORDS)))


def _masks(headers: dict[str, Header], stack: _Stack) -> tuple[str, ...]:
    masks = [
        key
        for key, header in headers.items()
        if _count(key, _MASK_WORDS)
        and (
            (drop_leading(header.shape, 2) == stack.frame and header.nbytes < _LARGEST_MASK)
            or (key != stack.key and drop_leading(header.shape, 3) == (stack.n, *stack.frame))
        )
    ]
    return tuple(sorted(masks, key=lambda key: -_count(key, _MASK_WORDS)))


def _mask(store: Store, keys: tuple[str, ...]) -> Mask | None:
    """Return the mask, most of whose pixels are good."""
    if not keys:
        return None
    shape = drop_leading(store.header(keys[0]).shape, 2)
    values = store.read(keys[0]) if len(shape) == 2 else store.patterns(keys[0])[0:1]
    return Mask(keys[0], invert=bool(np.count_nonzero(values) < values.size / 2))


def _with_units(store: Store, where: Store, mapping: Mapping, stack: _Stack) -> Mapping:
    """Return the mapping with the units of its positions: as stated or named, else one that gives usual steps."""
    places = mapping.positions
    units = [quantity_guess.position_unit(quantity_guess.stated_unit(where, of.key)) for of in (places.y, places.x)]
    guessed = mapping.guessed if all(units) else (*mapping.guessed, "position_unit")
    known = next(filter(None, units), None) or _usual_unit(store, where, mapping, stack)
    if any(unit is not None and (unit[0] == "px") != (known[0] == "px") for unit in units):
        units, guessed = [None, None], (*mapping.guessed, "position_unit")
    y, x = (
        dataclasses.replace(of, unit=(unit or known)[0], multiplier=(unit or known)[1])
        for of, unit in zip((places.y, places.x), units, strict=True)
    )
    return dataclasses.replace(mapping, positions=dataclasses.replace(places, y=y, x=x), guessed=guessed)


def _usual_unit(store: Store, where: Store, mapping: Mapping, stack: _Stack) -> tuple[str, float]:
    """Return the unit in which neighbouring positions are about as far apart as is usual."""
    try:
        anyhow = Settings(store.path, {"bad_positions": "drop"})
        pixel = geometry(store, mapping, anyhow).pixel_size_m(stack.frame[0])
        values = [coordinate_values(where, of, anyhow) for of in (mapping.positions.y, mapping.positions.x)]
    except InputError:
        return "px", 1.0
    spans = [float(np.ptp(v[near])) for v in values if (near := position_guess.usual_values(v)).any()]
    area = math.prod(spans)
    step = math.sqrt(area / stack.n) if area else max(spans, default=1.0) / stack.n or 1.0
    if pixel is None:
        return ("m" if step < _LARGEST_STEP_M else "px"), 1.0
    usual = stack.frame[0] * _PART_OF_VIEW

    def unlikeness(unit: str) -> float:
        metres = UNITS[unit]
        if metres is None:  # who states energy and distance seldom counts positions in pixels
            return 1 + abs(math.log(step / usual))
        return abs(math.log(step * metres / pixel[0] / usual))

    return min(UNITS, key=unlikeness), 1.0
