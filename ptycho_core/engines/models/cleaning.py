"""A network that cleans the picture of an object: for each pixel it says how much of which neighbours to take.

It predicts weights, not pixels (kernel prediction: Bako et al., ACM Trans. Graph. 36, 97 (2017), of renderings;
Mildenhall et al., CVPR 2502 (2018), of photographs), so it has little to learn: some thousand parameters in place of
hundreds of thousands learn it in some hundred steps, and what it knows of one object serves another.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

DISTANCES = (1, 2, 4)
"""Pixels between a pixel and the eight neighbours that it is compared with, on rings one around another."""
_DIRECTIONS = [step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0)]
_SHIFTS = [(distance * y, distance * x) for distance in DISTANCES for y, x in _DIRECTIONS]
_DARK = 1e-3
_LAYERS = 2


class Cleaner(nn.Module):
    """``O(r) + sum_k g_k(r) (O(r + s_k) - O(r))`` with weights g that convolutions find.

    What the convolutions see are the differences to the neighbours in units of their noise, ``light |dO|^2``, and the
    light itself: so one network serves any dose and coverage, knows how far to trust the data, and a free phase or
    scale of the object changes nothing. The last layer starts at zero: untrained, it changes nothing either.

    Parameters
    ----------
    width
        Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        features = 1 + len(DISTANCES) + len(_SHIFTS)
        layers: list[nn.Module] = []
        for inputs in (features, *[width] * (_LAYERS - 1)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.SiLU(inplace=True)]
        self.body = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, len(_SHIFTS), 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> int:
        """Distance in pixels over which a pixel can influence another."""
        return max(DISTANCES) + _LAYERS

    def forward(self, object: Tensor, light: Tensor) -> Tensor:
        """Clean objects.

        Parameters
        ----------
        object
            (g, H, W) complex64; nothing is differentiated through it.
        light
            (g, H, W) counts that were sent through each pixel.
        """
        with torch.no_grad():
            differences, features = _seen(object, light)
        weights = self.last(self.body(features)).float().tanh() / 4
        with torch.autocast(object.device.type, enabled=False):
            change = torch.einsum("gkyx,gkyxc->gyxc", weights, differences)
        return object + torch.view_as_complex(change.contiguous())

    def in_tiles(self, object: Tensor, light: Tensor, tile: int) -> Tensor:
        """Clean one object (H, W) in tiles that overlap by as far as it sees, so that no seam can form."""
        cleaned = torch.empty_like(object)
        height, width = object.shape
        for top in range(0, height, tile):
            for left in range(0, width, tile):
                y, x = max(0, top - self.reach), max(0, left - self.reach)
                part = slice(y, top + tile + self.reach), slice(x, left + tile + self.reach)
                found = self(object[part][None], light[part][None])[0]
                inner = found[top - y : top - y + tile, left - x : left - x + tile]
                cleaned[top : top + tile, left : left + tile] = inner
        return cleaned


def _seen(object: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences (g, k, H, W, 2) to the neighbours, and what the convolutions see (g, channels, H, W)."""
    margin = max(DISTANCES)
    height, width = object.shape[1:]
    parts = torch.view_as_real(object).permute(0, 3, 1, 2)
    padded = nn.functional.pad(parts, (margin,) * 4, mode="replicate").permute(0, 2, 3, 1)
    centre = torch.view_as_real(object)
    neighbours = [
        padded[:, margin + y : margin + y + height, margin + x : margin + x + width] - centre for y, x in _SHIFTS
    ]
    differences = torch.stack(neighbours, dim=1)
    power = differences.square().sum(dim=-1) * light[:, None]
    rings = torch.stack(differences.chunk(len(DISTANCES), dim=1), dim=1)
    lone = rings.mean(dim=2).square().sum(dim=-1) * light[:, None] * len(_DIRECTIONS)
    bright = light.clamp_min(_DARK).log()[:, None] / 4
    return differences, torch.cat([bright, lone.log1p() / 4, power.log1p() / 4], dim=1)
