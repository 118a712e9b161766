"""`ScanSource`: how a scan is read again, the one way to say it. `ptycho_core.preprocessing.open_scan` reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.scan.mapping import Mapping
from ptycho_core.scan.steps import STEPS, Step
from ptycho_core.scan.steps_json import flag_name, step_from_text, steps_to_dict, steps_to_flags

ENDINGS = (".npz", ".h5", ".hdf5", ".cxi", ".nxs", ".ptyd", ".mat", ".mib")
"""Of files that are taken for scans unasked; a file of another name is read if it is named, as an .xml of EMPAD."""
TRUTH = ".truth.npz"
"""Of the file beside a simulated scan, ``scan.truth.npz`` of ``scan.npz``, which is none itself."""


@dataclass(frozen=True)
class ScanSource:
    """Where a scan is, how it is read, and what is done to it then.

    Parameters
    ----------
    path
        The file with the patterns; None for a scan that was made in memory, which cannot be read again.
    positions_file
        The file with the positions, where they have one of their own.
    settings
        Answers to what the file leaves open, as set with ``--set``: keys and values of `scan.settings.SETTINGS`.
    format
        How the file is or was read: a reader's name, or "mapped"; None looks at the content.
    mapping
        Where everything is in a file of no known format.
    steps
        What is done to the scan once it is read, in order.
    """

    path: Path | None = None
    positions_file: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    mapping: Mapping | None = None
    steps: tuple[Step, ...] = ()

    @property
    def file(self) -> Path:
        """The file with the patterns.

        Raises
        ------
        InputError
            There is none.
        """
        if self.path is None:
            raise InputError("the scan was not read from a file, so it cannot be read again: save it to one first")
        return self.path

    @property
    def name(self) -> str:
        """What the scan is called in a sentence: its file's name."""
        return self.path.name if self.path else "a scan in memory"

    def then(self, step: Step) -> ScanSource:
        """Return how the scan is read and preprocessed with one more step at the end."""
        return dataclasses.replace(self, steps=(*self.steps, step))

    def fixed(self, fix: Fix) -> ScanSource:
        """Return how the scan is read with an answer or a step more, as the ``fix`` of a problem says.

        Raises
        ------
        InputError
            The fix is neither, or the value is none that it can have.
        """
        if not fix.field.startswith("--"):
            return dataclasses.replace(self, settings={**self.settings, fix.field: str(fix.value)})
        kind = next((kind for kind in STEPS.values() if f"--{flag_name(kind)}" == fix.field), None)
        if kind is None:
            raise InputError(f"there is no step {fix.field}")
        return self.then(step_from_text(kind, str(fix.value)))

    def alike(self, path: Path) -> ScanSource:
        """Return how another scan is read as this one is.

        Positions that have a file of their own are in one that is named after the other scan in the same way:
        ``scan_2_places.csv`` for ``scan_2_master.h5`` where they are ``scan_1_places.csv`` for ``scan_1_master.h5``.

        Raises
        ------
        InputError
            The names of the files tell no such way.
        """
        positions = self.positions_file and _named_alike(self.file, self.positions_file, path)
        return dataclasses.replace(self, path=path, positions_file=positions)

    def without_steps(self) -> ScanSource:
        """Return how the scan is read as it is in the file."""
        return dataclasses.replace(self, steps=())

    def to_flags(self, folder: Path) -> list[str]:
        """Return the flags that make a command read its scan file in this way.

        Parameters
        ----------
        folder
            Of the run; the files of `needed_files` are beside it.
        """
        words = ["--positions", str(self.positions_file.absolute())] if self.positions_file else []
        for key, value in self.settings.items():
            words += ["--set", f"{key}={value}"]
        if self.mapping is not None:
            words += ["--mapping", str(_beside(folder, "mapping"))]
        elif self.format is not None:
            words += ["--format", self.format]
        flags = self._step_flags()
        return words + (["--steps", str(_beside(folder, "steps"))] if flags is None else flags)

    def needed_files(self, folder: Path) -> dict[Path, dict[str, Any]]:
        """Return the files that `to_flags` names, and what has to be in them as JSON.

        A mapping is one; so are steps that flags cannot say. Most scans need none.
        """
        files = {}
        if self.mapping is not None:
            files[_beside(folder, "mapping")] = self.mapping.to_dict()
        if self._step_flags() is None:
            files[_beside(folder, "steps")] = steps_to_dict(self.steps)
        return files

    def _step_flags(self) -> list[str] | None:
        try:
            return steps_to_flags(self.steps)
        except InputError:
            return None


def sources_alike(first: ScanSource, further: Sequence[Path]) -> list[ScanSource]:
    """Return how scans that are trained on together are read: the first one, and further files as that one is.

    Raises
    ------
    InputError
        As `ScanSource.alike`.
    """
    return [first, *map(first.alike, further)]


def _named_alike(scan: Path, positions: Path, other: Path) -> Path:
    """Return the file of another scan's positions, which is to that scan what a file of positions is to a scan."""
    one, two = scan.name, positions.name
    ends = [k for k in range(1, len(one) + 1) if not any(name[k : k + 1].isalnum() for name in (one, two))]
    same = max((k for k in ends if one[:k] == two[:k]), default=0)  # characters with which both begin, in whole words
    if other.name == one:  # in a folder of its own
        name = two
    elif same and other.name.endswith(one[same:]):
        name = other.name.removesuffix(one[same:]) + two[same:]
    else:
        raise InputError(
            f"the names of {one} and {two} do not tell which file has the positions of {other.name}: "
            "name each scan's after it, as scan_1_positions.csv after scan_1.h5"
        )
    folder = other.parent if positions.absolute().parent == scan.absolute().parent else positions.parent
    return folder / name


def _beside(folder: Path, what: str) -> Path:
    return folder.absolute().with_name(f"{folder.name}-{what}.json")
