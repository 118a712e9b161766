"""`Pyramid`: an image at full size, half size, a quarter and so on: a large one is drawn as fast as a small one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 512


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image in coarser and coarser steps.

    Parameters
    ----------
    levels
        (h, w) each; one pixel of the next is 2 x 2 of the one before.
    scale
        Object pixels along the side of a pixel of the first level. Coordinates (x, y) are object pixels: the
        first one's middle is (0, 0).
    """

    levels: tuple[NDArray[Any], ...]
    scale: float = 1.0

    @property
    def size(self) -> tuple[float, float]:
        """Height and width in object pixels."""
        height, width = self.levels[0].shape
        return height * self.scale, width * self.scale

    def scale_of(self, level: int) -> float:
        """Return how many object pixels lie along the side of a pixel of a level."""
        return float(self.scale * 2**level)

    def value_at(self, x: float, y: float) -> float | None:
        """Return the value at an object pixel; None outside."""
        column, row = (int(np.floor((place + 0.5) / self.scale)) for place in (x, y))
        height, width = self.levels[0].shape
        return float(self.levels[0][row, column]) if 0 <= row < height and 0 <= column < width else None


def halvings(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an image (h, w) and its means over 2 x 2 pixels, over 4 x 4 and so on, down to a small one."""
    levels = [image]
    while max(levels[-1].shape) > _SMALLEST:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(image: NDArray[Any]) -> NDArray[Any]:
    height, width = (max(n // 2, 1) * 2 for n in image.shape)
    part = np.resize(image, (height, width)) if min(image.shape) < 2 else image[:height, :width]
    total = part[::2, ::2] + part[1::2, ::2] + part[::2, 1::2] + part[1::2, 1::2]
    return np.asarray(total * part.real.dtype.type(0.25))
