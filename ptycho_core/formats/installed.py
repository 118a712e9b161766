"""Readers that other packages bring: the entry points of the group ``ptycho.readers``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ptycho_core.base.errors import InputError
from ptycho_core.formats.readers import Reader
from ptycho_core.formats.stores.store import Store

GROUP = "ptycho.readers"

_log = logging.getLogger(__name__)


class InstalledReaders:
    """What the packages of this environment bring.

    Parameters
    ----------
    taken
        Names that they cannot have.

    Attributes
    ----------
    readers
        By name.
    packages
        The package of each reader, by the reader's name.
    problems
        A sentence for each reader that cannot be used.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.readers: dict[str, Reader] = {}
        self.packages: dict[str, str] = {}
        self.problems: list[str] = []
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            self._add(point, taken)

    @contextmanager
    def blamed(self, name: str, path: Path) -> Iterator[None]:
        """Say in one sentence that a reader of another package failed; what is raised elsewhere passes."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            if name not in self.readers:
                raise
            raise InputError(
                f"{path} cannot be read because {_named(name, self.packages[name])} failed ({_short(error)}): tell its "
                "authors, or read the file as another format or by a mapping",
                by_command="--format NAME or --mapping FILE",
            ) from error

    def claiming(self, store: Store, positions: Store | None) -> list[str]:
        """Return the names of the readers that know a file; one that fails does not, and that is noted."""
        return [name for name in self.readers if self._claims(name, store, positions)]

    def _claims(self, name: str, store: Store, positions: Store | None) -> bool:
        try:
            return bool(self.readers[name].sniff(store, positions))
        except InputError:
            raise
        except Exception as error:
            problem = f"{_named(name, self.packages[name])} failed when it looked at a file ({_short(error)})"
            if problem not in self.problems:
                self._note(problem, error)
            return False

    def _add(self, point: EntryPoint, taken: Iterable[str]) -> None:
        package = point.dist.name if point.dist else point.value
        if point.name in taken or point.name in self.readers:
            owner = f"the package {self.packages[point.name]}" if point.name in self.readers else "ptycho itself"
            self._note(f"{_named(point.name, package)} is left out: {owner} has one of this name")
            return
        try:
            loaded = point.load()
            reader: Reader = loaded() if isinstance(loaded, type) else loaded
            missing = [method for method in ("sniff", "read") if not callable(getattr(reader, method, None))]
        except Exception as error:
            self._note(f"{_named(point.name, package)} is left out: it cannot be imported ({_short(error)})", error)
            return
        if missing:
            self._note(f"{_named(point.name, package)} is left out: it has no {' and no '.join(missing)}")
            return
        self.readers[point.name], self.packages[point.name] = reader, package

    def _note(self, problem: str, error: Exception | None = None) -> None:
        self.problems.append(problem)
        _log.warning("%s", problem, exc_info=error)


def _named(name: str, package: str) -> str:
    return f"the reader {name} of the package {package}"


def _short(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
