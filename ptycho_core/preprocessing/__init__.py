"""From a `ScanSource` to a scan, and from a scan and steps to another, whose patterns are read batch by batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from ptycho_core.base.errors import Fix
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import counts, detector, masks, positions, selection
from ptycho_core.scan import steps
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Step

_log = logging.getLogger(__name__)

_EFFECTS: dict[type[Step], Callable[[Any, Scan], Scan]] = {
    steps.Centre: detector.centre,
    steps.Crop: detector.crop,
    steps.Pad: detector.pad,
    steps.Bin: detector.bin,
    steps.Orient: detector.orient,
    steps.Dark: counts.dark,
    steps.Monitor: counts.monitor,
    steps.Pedestal: counts.pedestal,
    steps.Scale: counts.scale,
    steps.Photons: counts.photons,
    steps.MaskFile: masks.mask_file,
    steps.MaskRectangle: masks.mask_rectangle,
    steps.MaskPolygon: masks.mask_polygon,
    steps.MaskBrush: masks.mask_brush,
    steps.MaskThreshold: masks.mask_threshold,
    steps.Saturation: masks.saturation,
    steps.HotPixels: masks.hot_pixels,
    steps.DeadPixels: masks.dead_pixels,
    steps.OrientPositions: positions.orient_positions,
    steps.TurnPositions: positions.turn_positions,
    steps.Region: selection.region,
    steps.Every: selection.every,
    steps.DropDead: selection.drop_dead,
    steps.DropBright: selection.drop_bright,
    steps.DropRepeated: selection.drop_repeated,
    steps.DropDuplicates: selection.drop_duplicates,
    steps.DropPatterns: selection.drop_patterns,
}


def preprocess(scan: Scan, steps: Iterable[Step]) -> Scan:
    """Do each step in turn.

    Nothing is read but what a step has to know: finding a centre, or fitting a probe to it, looks at some evenly
    spread patterns; dead patterns and saturated pixels are looked for in all of them, in bounded memory.

    Parameters
    ----------
    scan
        As it was read, or preprocessed before.
    steps
        In order; each sees what the ones before it left.

    Returns
    -------
    Scan
        Its history has a sentence, and its ``source.steps`` an entry, for each step: enough to do the same again.

    Raises
    ------
    InputError
        A step cannot be done with this scan, or a file that it names cannot be read.
    """
    known = len(scan.history)
    for step in steps:
        scan = _EFFECTS[type(step)](step, scan)
        scan = scan.replace(source=scan.source.then(step))
    for sentence in scan.history[known:]:
        _log.debug("%s", sentence)
    return scan


def open_scan(source: ScanSource, progress: Callable[[int, int], None] = lambda done, total: None) -> Scan:
    """Read a scan and do its steps.

    Parameters
    ----------
    source
        How.
    progress
        As for `read_scan`.

    Raises
    ------
    InputError
        It was never in a file, or as `read_scan` and `preprocess`.
    """
    scan = read_scan(
        source.file,
        positions_file=source.positions_file,
        settings=source.settings,
        format=source.format,
        mapping=source.mapping,
        progress=progress,
    )
    return preprocess(scan, source.steps)


def mended(scan: Scan, fix: Fix) -> Scan:
    """Return a scan with one step more at its end, that which the ``fix`` of a problem names.

    Raises
    ------
    InputError
        It names no step, or as `preprocess`.
    """
    return preprocess(scan, scan.source.fixed(fix).steps[len(scan.source.steps) :])


def with_steps(scan: Scan, steps: tuple[Step, ...]) -> Scan:
    """Return a scan with these steps in place of its own, read again only where others were done to it.

    Raises
    ------
    InputError
        As `open_scan` and `preprocess`.
    """
    if scan.source.steps == steps:
        return scan
    return preprocess(open_scan(scan.source.without_steps()) if scan.source.steps else scan, steps)
