"""The U-Net is local, adds nothing until it is trained, and sees as far as it says."""

from __future__ import annotations

import pytest
import torch

from ptycho_core.engines.models.unet import UNet, in_tiles


def trained(levels: int, inputs: int = 3) -> UNet:
    """A network that answers, with weights large enough for the farthest pixel to be seen in float64."""
    torch.manual_seed(levels)
    unet = UNet(inputs, 2, 4, levels).double()
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return unet.requires_grad_(False)


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def influence(unet: UNet, at: int) -> torch.Tensor:
    """Distances (y) over which an image's row ``at`` changes the output."""
    picture = image(1, 3, 256, 16).requires_grad_()
    unet(picture)[0, :, at].sum().backward()
    seen = picture.grad[0].abs().sum(dim=(0, 2)).nonzero()[:, 0]
    return (seen - at).abs()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_output_has_the_images_size_and_starts_at_zero(levels):
    untrained = UNet(5, 2, 4, levels)
    result = untrained(image(2, 5, 3 * untrained.multiple, 5 * untrained.multiple).float())
    assert result.shape == (2, 2, 3 * untrained.multiple, 5 * untrained.multiple)
    assert not result.any()


def test_an_untrained_network_learns_nonetheless():
    untrained = UNet(3, 2, 4, 2)
    (untrained(image(1, 3, 8, 8).float()) - 1).square().sum().backward()
    assert untrained.last.weight.grad.any()


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_reach_is_as_far_as_it_sees_and_not_much_farther(levels):
    unet = trained(levels)
    farthest = max(int(influence(unet, at).max()) for at in range(120, 120 + unet.multiple))
    assert unet.reach - unet.multiple <= farthest <= unet.reach


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("tile", [24, 40, 43, 104])
def test_tiles_agree_with_one_pass(levels, tile):
    unet, picture = trained(levels), image(1, 3, 120, 200)
    whole = unet(picture)
    assert float(whole.std()) > 0.1
    torch.testing.assert_close(in_tiles(unet, picture, tile), whole, rtol=1e-10, atol=1e-10)


def test_tiles_are_what_the_network_sees_at_once():
    unet, sizes = trained(1), []
    unet.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[-2:]))
    in_tiles(unet, image(1, 3, 120, 200), 40)
    margin = -(-unet.reach // unet.multiple) * unet.multiple
    assert len(sizes) == 3 * 5
    assert max(max(size) for size in sizes) == 40 + 2 * margin
    sizes.clear()
    in_tiles(unet, image(1, 3, 40, 40), 40)
    assert sizes == [(40, 40)]


def test_an_object_far_away_changes_nothing():
    unet, picture = trained(2), image(1, 3, 128, 16)
    other = picture.clone()
    other[:, :, :20] = 100
    torch.testing.assert_close(unet(other)[:, :, 20 + unet.reach :], unet(picture)[:, :, 20 + unet.reach :])
