"""What is put right in a scan without asking: only what leaves something out that no picture can use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ptycho_core.base.errors import Fix, InputError, Problem
from ptycho_core.inspection.inspection import Inspection, inspect
from ptycho_core.preprocessing import mended, open_scan
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource

SAFE = ("--drop-dead", "--drop-bright", "--drop-repeated", "--saturation", "--dead-pixels", "--region")
"""Steps that leave out dark, blinded, repeated and stray patterns, and mask pixels where the detector does not count.

What changes the meaning of a number (a unit, a mask turned over, a scale) is never among them.
"""
SAFE_ANSWERS = (
    ("bad_pixels", "mask"),
    ("bad_pixels", "drop"),
    ("bad_positions", "drop"),
    ("missing", "skip"),
    ("probe", "ignore"),
    ("square", "pad"),
)
"""The same of a file that cannot be opened without an answer: pixels, patterns and probes that hold no number are left
out, and so are patterns that are not there; patterns that are not square get masked pixels."""


def safe_fixes(problems: Iterable[Problem]) -> list[Fix]:
    """Return the first safe way out of each problem that has one, each step once."""
    found: dict[str, Fix] = {}
    for problem in problems:
        fix = next((fix for fix in problem.fixes if fix.field in SAFE), None)
        if fix is not None:
            found.setdefault(fix.field, fix)
    return list(found.values())


def open_prepared(
    source: ScanSource, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[Inspection, list[Fix]]:
    """Open a scan, put right what is safe, and look at what is left.

    One step may bring to light what another then mends: it goes on until nothing new is found.

    Parameters
    ----------
    source
        How it is read, and what the operator has already done to it.
    progress
        Told how many of how many patterns were looked at.

    Returns
    -------
    tuple
        The scan as it is then, whose problems are those that are left, and what was done, in order.

    Raises
    ------
    InputError
        The scan cannot be read, or a step leaves nothing of it.
    """
    done: list[Fix] = []
    scan = _opened(source, progress, done)
    while True:
        looked = inspect(scan, progress=progress)
        known = {fix.field for fix in done}
        fix = next((fix for fix in safe_fixes(looked.problems) if fix.field not in known), None)
        if fix is None:
            return looked, done
        done.append(fix)
        scan = mended(scan, fix)


def _opened(source: ScanSource, progress: Callable[[int, int], None], done: list[Fix]) -> Scan:
    """Open a scan, and answer what is safe; answers are added to what was ``done``."""
    while True:
        try:
            return open_scan(source, progress)
        except InputError as error:
            answers = (fix for fix in error.fixes if (fix.field, fix.value) in SAFE_ANSWERS)
            fix = next((fix for fix in answers if fix.field not in source.settings), None)
            if fix is None:
                raise
        done.append(fix)
        source = source.fixed(fix)
