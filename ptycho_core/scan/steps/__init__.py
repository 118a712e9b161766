"""Every preprocessing step, declared once as data with help and limits. No NumPy here: ``--help`` is made of these.

What a step does to a scan is in the module of the same name of `ptycho_core.preprocessing`; how steps are read and
written, in `ptycho_core.scan.steps_json`.
"""

from __future__ import annotations

from ptycho_core.scan.steps.counts import Dark, Monitor, Pedestal, Photons, Scale
from ptycho_core.scan.steps.detector import Bin, Centre, Crop, Orient, Pad
from ptycho_core.scan.steps.masks import (
    DeadPixels,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Saturation,
)
from ptycho_core.scan.steps.positions import OrientPositions, TurnPositions
from ptycho_core.scan.steps.selection import (
    DropBright,
    DropDead,
    DropDuplicates,
    DropPatterns,
    DropRepeated,
    Every,
    Region,
)
from ptycho_core.scan.steps.step import FromFile, Step

SECTIONS: dict[str, tuple[type[Step], ...]] = {
    "Detector": (Centre, Crop, Pad, Bin, Orient),
    "Counts": (Dark, Monitor, Pedestal, Scale, Photons),
    "Mask": (MaskFile, MaskRectangle, MaskPolygon, MaskBrush, MaskThreshold, Saturation, HotPixels, DeadPixels),
    "Positions": (OrientPositions, TurnPositions),
    "Selection": (Region, Every, DropDead, DropBright, DropRepeated, DropDuplicates, DropPatterns),
}
"""All kinds, by the heading under which they are offered."""

STEPS: dict[str, type[Step]] = {kind.name: kind for kinds in SECTIONS.values() for kind in kinds}
"""All kinds by name."""

__all__ = [
    "SECTIONS",
    "STEPS",
    "Bin",
    "Centre",
    "Crop",
    "Dark",
    "DeadPixels",
    "DropBright",
    "DropDead",
    "DropDuplicates",
    "DropPatterns",
    "DropRepeated",
    "Every",
    "FromFile",
    "HotPixels",
    "MaskBrush",
    "MaskFile",
    "MaskPolygon",
    "MaskRectangle",
    "MaskThreshold",
    "Monitor",
    "Orient",
    "OrientPositions",
    "Pad",
    "Pedestal",
    "Photons",
    "Region",
    "Saturation",
    "Scale",
    "Step",
    "TurnPositions",
]
