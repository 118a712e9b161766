"""Names that exist, for a message about one that does not."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_LISTED = 12
_COMPARED = 2000


def nearest_names(names: Sequence[str], wanted: str) -> str:
    """Return a readable list of what is there, the names most like ``wanted`` first."""

    def unlikeness(name: str) -> float:
        return -difflib.SequenceMatcher(None, wanted.lower(), name.lower()).ratio()

    nearest = sorted(names[:_COMPARED], key=unlikeness)[:_LISTED]
    more = len(names) - len(nearest)
    return ", ".join(nearest) + (f" and {more} more" if more else "")
