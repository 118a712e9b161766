"""Jobs that look at scans which are to be trained on together with the open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import InputError, Problem
from ptycho_core.base.events import StopToken
from ptycho_core.inspection.run_checks import FURTHER, check_beside
from ptycho_core.preprocessing import open_scan
from ptycho_core.runs.named_scans import named_scans
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import sources_alike
from ptycho_gui.kit.threads.worker import Job

_LIST = ".txt"


@dataclass(frozen=True)
class Further:
    """A scan beside the open one: its file, what it is in words, once it was looked at, and what is wrong with it."""

    path: Path
    about: str = ""
    problems: tuple[Problem, ...] = ()


def find_scans_job(named: Sequence[Path]) -> Job:
    """Find the scans that are named: files, folders of them, and lists, which are text files. Result: their paths."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Path]:
        lists = [path for path in named if path.suffix.lower() == _LIST]
        return named_scans([path for path in named if path not in lists], lists)

    return job


def look_at_further_job(scan: Scan, paths: Sequence[Path]) -> Job:
    """Read further scans as the open one was, one after another. Result: tuple of `Further`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> tuple[Further, ...]:
        try:
            _, *sources = sources_alike(scan.source, paths)
        except InputError as error:
            return tuple(Further(path, problems=(Problem(FURTHER, str(error)),)) for path in paths)
        found, before = [], [scan]
        for path, source in zip(paths, sources, strict=True):
            token.leave_if_cancelled()
            try:
                one = open_scan(source)
            except InputError as error:
                found.append(Further(path, problems=(Problem(FURTHER, str(error)),)))
                continue
            probe = "with a probe" if one.probe is not None and one.probe.any() else "without a probe"
            about = f"{len(one)} patterns of {one.size} x {one.size} pixels, {probe}"
            found.append(Further(path, about, tuple(check_beside(one, before))))
            before.append(one)
        return tuple(found)

    return job
