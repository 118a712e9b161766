"""Steps that turn and bend the positions."""

from __future__ import annotations

import numpy as np

from ptycho_core.scan.orientation import axes_of
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import OrientPositions, TurnPositions


def orient_positions(step: OrientPositions, scan: Scan) -> Scan:
    """Swap the axes of the positions, or change their signs; as lengths, where object pixels are not square."""
    pixel = np.asarray(scan.pixel_size_m or (1.0, 1.0))
    lengths = scan.positions * pixel
    turned = np.stack([sign * lengths[:, axis] for axis, sign in axes_of(step.orientation)], axis=1)
    note = f"turned the positions: (y, x) = {step.orientation} of the old ones"
    return scan.replace(note, positions=turned / pixel)


def turn_positions(step: TurnPositions, scan: Scan) -> Scan:
    """Shear, then rotate the positions about their mean; as lengths, where object pixels are not square.

    ``(y, x) <- R S (y, x)`` with ``S = [[1, 0], [tan s, 1]]`` and ``R = [[cos a, sin a], [-sin a, cos a]]``.
    """
    a, s = np.radians((step.rotation_deg, step.shear_deg))
    matrix = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) @ np.array([[1, 0], [np.tan(s), 1]])
    pixel = np.asarray(scan.pixel_size_m or (1.0, 1.0))
    middle = scan.positions.mean(axis=0)
    turned = middle + ((scan.positions - middle) * pixel) @ matrix.T / pixel
    note = f"sheared the positions by {step.shear_deg:g} and rotated them by {step.rotation_deg:g} degrees"
    return scan.replace(note, positions=np.ascontiguousarray(turned))
