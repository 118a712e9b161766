"""Steps that change positions."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import ClassVar

from ptycho_core.scan.orientation import ORIENTATIONS
from ptycho_core.scan.steps.step import Step, setting


@dataclass(frozen=True)
class OrientPositions(Step):
    """Swap the axes of the positions, or change their signs."""

    name: ClassVar[str] = "orient_positions"
    orientation: str = setting(
        MISSING, str, "Which old coordinate, with which sign, is y, then which is x", choices=ORIENTATIONS
    )


@dataclass(frozen=True)
class TurnPositions(Step):
    """Rotate the positions about their mean, after shearing them: for axes that are not those of the detector."""

    name: ClassVar[str] = "turn_positions"
    rotation_deg: float = setting(0.0, float, "Degrees from +x (right) towards +y (down)", minimum=-180, maximum=180)
    shear_deg: float = setting(0.0, float, "Degrees by which the y axis leans towards +x", minimum=-60, maximum=60)
