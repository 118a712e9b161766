"""Readers and writers of scans on disk. `read_scan` opens any of the known formats, told apart by content."""

from __future__ import annotations

import collections.abc
import functools
import logging
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from ptycho_core.base.errors import InputError, UnknownFormatError, did_you_mean
from ptycho_core.formats.assemble import assemble
from ptycho_core.formats.installed import InstalledReaders
from ptycho_core.formats.mapping import mapped
from ptycho_core.formats.mapping.shipped_mappings import likely, shipped_readers
from ptycho_core.formats.readers import (
    Reader,
    cxi,
    fold_slice,
    nexus,
    nsls2,
    plain_npz,
    ptychi,
    ptychodus,
    ptychopinn_npz,
    ptypy,
    raster_4d,
)
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import TABLES, Store, UnevenError, list_keys, say_dead_links
from ptycho_core.formats.stores.text_store import TextStore
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.source import ScanSource

__all__ = ["MAPPED", "READERS", "Reader", "format_of", "read_scan"]


_log = logging.getLogger(__name__)


_Read = collections.abc.Callable[[Store, Store | None, Settings], Stored]

READERS: dict[str, Reader] = {
    "ptychopinn-npz": ptychopinn_npz,
    "pty-chi": ptychi,
    "ptychodus": ptychodus,
    "fold-slice": fold_slice,
    "nsls2": nsls2,
    "ptypy": ptypy,
    "empad": raster_4d.Raster4D("empad"),
    "merlin": raster_4d.Raster4D("mib"),
    "nexus": nexus,
    "cxi": cxi,
    "plain-npz": plain_npz,
}
"""Our formats by name, asked in this order: those with keys of their own before those with common ones; between the two
readers of other packages and `shipped_readers`."""

COMMON = ("nexus", "cxi", "plain-npz")
"""Formats whose keys any file may have: asked after the readers of other packages."""

_WRITE_MAPPING = (
    "`ptycho inspect FILE{} --propose-mapping map.json` writes one to look over, and --mapping map.json reads by it"
)
MAPPED = "mapped"
"""The name of any other format, which a `Mapping` describes."""


@functools.cache
def installed_readers() -> InstalledReaders:
    """Return the readers of other packages, looked up once, when a scan is opened that needs them."""
    return InstalledReaders({*READERS, *shipped_readers(), MAPPED})


def read_scan(
    path: str | Path,
    *,
    positions_file: str | Path | None = None,
    settings: collections.abc.Mapping[str, str] | None = None,
    format: str | None = None,
    mapping: Mapping | None = None,
    progress: collections.abc.Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Open a scan; its patterns stay on disk unless they are compressed in an NPZ.

    Parameters
    ----------
    path
        The file with the patterns.
    positions_file
        The file with positions and probe, where the format keeps them apart; with a mapping that of
        the positions, which may be a table of text.
    settings
        Answers to what the file leaves open: keys and values of `scan.settings.SETTINGS`.
    format
        A key of `READERS`, or the name of a reader that another package brings; None looks at the content.
    mapping
        Where everything is, for a file of no known format, or to read one of a known format otherwise: whatever
        ``format`` says.
    progress
        Told how many patterns of how many were looked at, every few megabytes; what it raises ends the reading.

    Returns
    -------
    Scan
        In the core's convention, with every conversion in ``history`` and every open question in ``assumptions``.

    Raises
    ------
    InputError
        One sentence that names the file, the key and what would be right.
    """
    path = Path(path)
    chosen = Settings(path, {**(mapping.settings if mapping else {}), **(settings or {})})
    with (
        open_store(path) as store,
        open_store(Path(positions_file), tables=True) if positions_file is not None else nullcontext() as positions,
    ):
        if isinstance(positions, TextStore):
            positions.skip_lines = int(chosen.get("skip_lines") or 0)
        store.skips_missing = chosen.given.get("missing") == "skip"
        if mapping is not None:
            name = MAPPED
            read: _Read = functools.partial(mapped.read, mapping=mapping)
        else:
            name = _format_of(store, positions, format)
            read = _reader(name).read
        theirs = name != MAPPED and name not in READERS and name not in shipped_readers()
        with installed_readers().blamed(name, path) if theirs else nullcontext():
            stored = _read_as_far_as_it_goes(read, store, positions, chosen)
            _leave_out_absent(stored, store, chosen)
            if theirs:
                stored.notes.insert(0, _whose(name, store, positions))
            scan = assemble(stored, chosen, path, name, progress)
        has_all = store.stated is not None and stored.source.shape[0] >= store.stated
        files = tuple(state for file in (store, positions) if file is not None for state in file.states)
    if spare := chosen.check_all_asked():
        told = " and ".join(f"{key}={chosen.given[key]}" for key in spare)
        scan = scan.replace(f"{told} was not needed: the file has nothing of the kind")
    assumed = [f"assumed {a.key}={a.value}: {a.reason}" for a in scan.assumptions]
    _log.info("%s", "\n".join([*scan.history, *assumed]))
    positions_path = None if positions_file is None else Path(positions_file)
    source = ScanSource(path, positions_path, dict(settings or {}), name, mapping)
    return scan.replace(source=source, files=files, has_all=has_all)


def _read_as_far_as_it_goes(read: _Read, store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what is there; of files that grow, as many patterns and positions as there are of both so far."""
    files = [file for file in (store, positions) if file is not None]
    cuts: dict[tuple[int, str], str] = {}
    while True:
        try:
            stored = read(store, positions, settings)
            break
        except UnevenError as uneven:
            rows, key = min(uneven.count, uneven.n_patterns), uneven.key
            growing = [file for file in files if file.growing]
            if not growing or not rows or (rows, key) in cuts:
                raise
            cuts[rows, key] = (
                f"of {uneven.n_patterns} patterns and {uneven.count} values in '{key}' took the first {rows}"
            )
            for file in growing:
                file.cut(rows, key)
            settings.assumptions.clear()
    stored.growing = any(file.growing for file in files)
    if stored.growing:
        stored.notes[:0] = ["the file is still being written: read what was there", *cuts.values()]
    return stored


def _leave_out_absent(stored: Stored, store: Store, settings: Settings) -> None:
    """Leave out the patterns that an array speaks of and that no file holds; the others keep their positions."""
    n = stored.source.shape[0]
    for absent, told in store.absent.values():
        if len(absent) != n:  # one of several arrays of patterns, or no patterns
            raise InputError(f"{store.path}: {told}; put the files beside it")
        rows = np.arange(n) if stored.rows is None else stored.rows
        there = ~absent[rows]
        settings.get("missing")  # it was needed
        stored.indexes = rows[there] if stored.indexes is None else stored.indexes[there]
        stored.rows, stored.positions = rows[there], stored.positions[there]
        stored.notes.append(f"went on without what is missing: {told}")


def format_of(path: str | Path) -> str:
    """Return the name of a scan's format, as `read_scan` tells it, without reading its patterns.

    Raises
    ------
    InputError
        The file cannot be opened, or is of no known format.
    """
    with open_store(Path(path)) as store:
        return _format_of(store, None, None)


def _format_of(store: Store, positions: Store | None, format: str | None) -> str:
    name = format or _sniffed(store, positions)
    if name not in READERS and name not in shipped_readers() and name not in installed_readers().readers:
        hint = did_you_mean(name, [*READERS, *shipped_readers(), *installed_readers().readers])
        raise InputError(_and_problems(f"there is no format '{name}'; {hint}"))
    if positions is not None and positions.container in TABLES and name not in shipped_readers():
        raise _only_by_mapping(store, positions)
    if positions is not None and not getattr(_reader(name), "IN_TWO_FILES", False):
        raise InputError(
            f"{store.path} is {name}, which holds its positions itself: leave out {positions.path}, or take a mapping "
            "that reads them from there"
        )
    return name


def _only_by_mapping(store: Store, positions: Store) -> UnknownFormatError:
    return UnknownFormatError(
        f"{positions.path} is a table, and which of its columns are the positions in {store.path} only a mapping says",
        by_command=_WRITE_MAPPING.format(" --positions TABLE"),
    )


def _sniffed(store: Store, positions: Store | None) -> str:
    for name, reader in READERS.items():
        if name not in COMMON and reader.sniff(store, positions):
            return name
    others = installed_readers()
    claiming = others.claiming(store, positions)
    if len(claiming) > 1:
        both = " and ".join(f"{name} (of the package {others.packages[name]})" for name in claiming)
        raise InputError(
            f"{store.path} is taken for a file of theirs by the readers {both}: say which", by_command="--format NAME"
        )
    shipped = (name for name, reader in shipped_readers().items() if reader.sniff(store, positions))
    for name in (*claiming, *shipped, *_common(store, positions)):
        return name
    if positions is not None and positions.container in TABLES:
        raise _only_by_mapping(store, positions)
    raise UnknownFormatError(
        _and_problems(
            f"{store.path} is of no known format; it holds {list_keys(store.keys(), 'patterns')}; "
            "a mapping says what is where"
            f"{_without_positions(store, positions)}{say_dead_links(store)}"
        ),
        by_command=_WRITE_MAPPING.format(""),
    )


def _without_positions(store: Store, positions: Store | None) -> str:
    """Return the end of a sentence that names whose files these patterns may be, where only their positions lack."""
    if positions is not None:
        return ""
    titles = list(dict.fromkeys(fit.title for fit in likely(store, None)))
    if not titles:
        return ""
    return f"; its patterns are as in files of {', '.join(titles)}, whose positions are in a second file"


def _common(store: Store, positions: Store | None) -> list[str]:
    return [name for name in COMMON if READERS[name].sniff(store, positions)]


def _reader(name: str) -> Reader:
    if name in READERS:
        return READERS[name]
    return shipped_readers()[name] if name in shipped_readers() else installed_readers().readers[name]


def _whose(name: str, store: Store, positions: Store | None) -> str:
    """Return the sentence that tells of another package's reader, which nobody may take for one of ours."""
    sentence = f"{name} is a reader of the package {installed_readers().packages[name]}"
    common = _common(store, positions)
    return f"{sentence}; --format {common[0]} reads the file as {common[0]}" if common else sentence


def _and_problems(sentence: str) -> str:
    return "; ".join([sentence, *installed_readers().problems])
