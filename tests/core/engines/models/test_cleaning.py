"""The network that cleans: nothing until trained, local, and blind to what is no part of the object."""

from __future__ import annotations

import pytest
import torch

from ptycho_core.engines.models.cleaning import Cleaner


def answering() -> Cleaner:
    """A network that changes something, as a trained one does."""
    torch.manual_seed(0)
    cleaner = Cleaner(4)
    torch.nn.init.normal_(cleaner.last.weight, std=0.3)
    return cleaner.requires_grad_(False)


def picture(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """An object and the light on it."""
    generator = torch.Generator().manual_seed(seed)
    object = 1 + 0.1 * torch.randn(shape, dtype=torch.complex64, generator=generator)
    return object, 100 * torch.rand(shape, generator=generator)


def test_an_untrained_network_changes_nothing_and_learns_nonetheless():
    cleaner, (object, light) = Cleaner(4), picture(2, 20, 23)
    cleaned = cleaner(object, light)
    assert torch.equal(cleaned, object)
    (cleaned - object.roll(1, 1)).abs().square().sum().backward()
    assert cleaner.last.weight.grad.any()


def test_a_flat_object_stays_as_it_is():
    object = torch.full((1, 20, 20), 0.8 + 0.3j)
    torch.testing.assert_close(answering()(object, torch.full((1, 20, 20), 50.0)), object)


def test_phase_and_scale_of_the_object_change_nothing_else():
    cleaner, (object, light) = answering(), picture(1, 24, 24)
    turned = 2 * object * torch.polar(torch.tensor(1.0), torch.tensor(0.7))
    cleaned = cleaner(object, light)
    assert float((cleaned - object).abs().max()) > 0.01
    back = cleaner(turned, light / 4) / (turned / object)
    torch.testing.assert_close(back, cleaned, rtol=1e-3, atol=1e-3)


def test_light_decides_how_far_the_data_are_trusted():
    cleaner, (object, light) = answering(), picture(1, 24, 24)
    assert not torch.allclose(cleaner(object, light), cleaner(object, 100 * light), atol=1e-3)


def test_it_sees_as_far_as_it_says():
    cleaner, (object, light) = answering(), picture(1, 41, 9)
    other = object.clone()
    other[0, 20, 4] += 1
    rows = ((cleaner(other, light) - cleaner(object, light)).abs() > 1e-6)[0].any(dim=1).nonzero()[:, 0]
    assert int((rows - 20).abs().max()) == cleaner.reach


@pytest.mark.parametrize("tile", [8, 17, 64])
def test_tiles_agree_with_one_pass(tile):
    cleaner, (object, light) = answering(), picture(50, 37)
    whole = cleaner(object[None], light[None])[0]
    torch.testing.assert_close(cleaner.in_tiles(object, light, tile), whole)


def test_groups_do_not_see_each_other():
    cleaner, (object, light) = answering(), picture(3, 20, 20)
    torch.testing.assert_close(cleaner(object, light)[1], cleaner(object[1:2], light[1:2])[0])


def test_differences_are_weighed_in_float32_whatever_the_convolutions_compute_in(monkeypatch):
    seen, view = [], torch.view_as_complex
    monkeypatch.setattr(torch, "view_as_complex", lambda parts: (seen.append(parts.dtype), view(parts.float()))[1])
    with torch.autocast("cpu", torch.bfloat16):
        answering()(*picture(1, 20, 20))
    assert seen == [torch.float32]
