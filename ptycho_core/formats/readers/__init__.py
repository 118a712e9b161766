"""Readers of single formats: a module for each, or an object of another package. `Reader` says what they have."""

from __future__ import annotations

from typing import Protocol

from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.settings import Settings


class Reader(Protocol):
    """What reads one format. One whose positions may be in a file of their own has a true ``IN_TWO_FILES`` as well."""

    def sniff(self, store: Store, positions: Store | None) -> bool:
        """Tell whether a file is of this format, from its keys and attributes."""
        ...

    def read(self, store: Store, positions: Store | None, settings: Settings) -> Stored:
        """Read what the file stores, as it is stored."""
        ...
