"""Where a user's own files are that belong to no run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def own_folder(environment: Mapping[str, str]) -> Path:
    """Return a user's folder for what outlives programs: in the one that the environment names for their data."""
    folder = environment.get("XDG_DATA_HOME") or environment.get("LOCALAPPDATA") or Path.home() / ".local" / "share"
    return Path(folder) / "ptycho"
