"""Jobs on small files: settings, scripts, and the folder that a run shall have."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.atomic import atomic_write, write_json
from ptycho_core.base.build_config import read_settings
from ptycho_core.base.events import StopToken
from ptycho_core.inspection.disk import free_bytes
from ptycho_gui.kit.threads.worker import Job


@dataclass(frozen=True)
class Folder:
    """A folder for a run, why none can be there, or nothing, and how many bytes are free."""

    path: Path
    problem: str
    free: int = 0


def read_settings_job(path: Path) -> Job:
    """Read a file of settings. Result: the dict of `read_settings`."""
    return lambda emit, token: read_settings(path)


def write_files_job(files: Mapping[Path, str | dict[str, Any]]) -> Job:
    """Write texts as they are and dicts as JSON, each file whole or not at all. Result: their paths."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Path]:
        for path, content in files.items():
            if isinstance(content, str):
                with atomic_write(path) as temporary:
                    temporary.write_text(content, encoding="utf-8")
            else:
                write_json(path, content)
        return list(files)

    return job


def check_folder_job(path: Path) -> Job:
    """Find out whether a run can be in a folder. Result: `Folder`."""
    return lambda emit, token: _looked_at(path)


def propose_folder_job(scan_path: Path, taken: Collection[Path] = ()) -> Job:
    """Find a folder for a run that does not exist yet, beside the scan if that is possible. Result: `Folder`.

    Parameters
    ----------
    scan_path
        Of the scan.
    taken
        Folders that other runs will have.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> Folder:
        places = (scan_path.absolute().parent, Path.home())
        place = next((place for place in places if os.access(place, os.W_OK | os.X_OK)), places[0])
        number, path = 1, place / f"{scan_path.stem}-run"
        while os.path.lexists(path) or path in taken:
            number += 1
            path = place / f"{scan_path.stem}-run-{number}"
        return _looked_at(path)

    return job


def _looked_at(path: Path) -> Folder:
    return Folder(path, _why_not(path), free_bytes(path))


def _why_not(path: Path) -> str:
    there = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
    if not there.is_dir():
        return f"{there} is a file: name a folder for the run"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"there is no permission to write in {there}: name another folder for the run"
    return ""
