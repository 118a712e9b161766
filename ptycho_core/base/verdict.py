"""`Verdict`: whether a picture is good, why, and what to do next. Plain data: the rule is in `quality.verdict`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.codec import decode
from ptycho_core.base.errors import Fix, InputError


class Level(StrEnum):
    """How good a picture is. The state of the run that made it is another thing."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    POOR = "poor"


POLISH = "polish"
"""`Fix.field` of the action that reconstructs once more with so many epochs of polishing."""
SEARCH_ORIENTATION = "search_orientation"
"""`Fix.field` of the action that looks for the orientation of the patterns; its value is None."""


@dataclass(frozen=True)
class Verdict:
    """What is thought of a picture.

    Parameters
    ----------
    level
        How good it is.
    reasons
        Why, in sentences without a full stop, the weightiest first.
    actions
        What to do next, the best first: settings for another run, or one of `POLISH` and `SEARCH_ORIENTATION`.
    """

    level: Level
    reasons: tuple[str, ...] = ()
    actions: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        """All but the actions, in a line."""
        return f"{self.level}: {'; '.join(self.reasons)}"


def of_one_scan(action: Fix) -> bool:
    """Tell whether an action is for the scan of the picture alone, not for others that were trained on beside it."""
    return action.field.startswith("--") or (action.field == "engine" and ENGINES[action.value].serves_one_scan)


def verdict_in(metrics: dict[str, Any]) -> Verdict | None:
    """Return the verdict that the metrics of a reconstruction hold; None where they are older, or not in order."""
    try:
        return decode(Verdict, metrics["verdict"], "the verdict")
    except (KeyError, InputError):
        return None
