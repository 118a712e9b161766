"""A plain U-Net for images of an object: local everywhere, so that tiles with enough overlap agree exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Convolutions on several scales with skips between equal scales (Ronneberger et al. 2015).

    There is no normalisation over the image: a pixel depends only on pixels within `reach`, however large the
    image is. The last layer starts at zero, so an untrained network adds nothing.

    Parameters
    ----------
    inputs, outputs
        Channels.
    width
        Channels of the first level; each level has twice those of the one above.
    levels
        Times that the image is halved.
    """

    def __init__(self, inputs: int, outputs: int, width: int, levels: int) -> None:
        super().__init__()
        self.levels: int = levels
        widths = [width * 2**level for level in range(levels + 1)]
        self.encoders = nn.ModuleList(
            _block(inputs if level == 0 else widths[level - 1], widths[level]) for level in range(levels + 1)
        )
        self.decoders = nn.ModuleList(
            _block(widths[level] + widths[level + 1], widths[level]) for level in reversed(range(levels))
        )
        self.last = nn.Conv2d(width, outputs, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def multiple(self) -> int:
        """Height and width of an image must be multiples of this."""
        return 1 << self.levels

    @property
    def reach(self) -> int:
        """Distance in pixels over which an input pixel can influence an output pixel, rounded up."""
        # Two 3 x 3 convolutions on the way down and two on the way up at each scale, and the blocks of pooling.
        return sum(4 << level for level in range(self.levels)) + 3 * self.multiple

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, inputs, H, W) to (b, outputs, H, W)."""
        skips = []
        for level, encode in enumerate(self.encoders):
            image = encode(image if level == 0 else nn.functional.avg_pool2d(image, 2))
            skips.append(image)
        image = skips.pop()
        for decode in self.decoders:
            image = decode(torch.cat([_doubled(image), skips.pop()], dim=1))
        result: Tensor = self.last(image)
        return result


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.SiLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.SiLU(inplace=True),
    )


def _doubled(image: Tensor) -> Tensor:
    # Not `interpolate`, whose gradient is not deterministic on CUDA.
    batch, channels, height, width = image.shape
    wide = image[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2)
    return wide.reshape(batch, channels, 2 * height, 2 * width)


def in_tiles(unet: UNet, image: Tensor, tile: int) -> Tensor:
    """Run a U-Net on (b, c, H, W) in tiles that overlap by as far as it sees, so that no seam can form."""
    height, width = image.shape[-2:]
    if height <= tile and width <= tile:
        return unet(image)  # type: ignore[no-any-return]
    multiple = unet.multiple
    margin = -(-unet.reach // multiple) * multiple
    step = max(multiple, tile // multiple * multiple)
    rows = []
    for top in range(0, height, step):
        row = []
        for left in range(0, width, step):
            y, x = max(0, top - margin), max(0, left - margin)
            result = unet(image[..., y : top + step + margin, x : left + step + margin])
            row.append(result[..., top - y : top - y + step, left - x : left - x + step])
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)
