"""What is drawn of an object: its pictures, their coarser steps, lines through them and edges on those."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import erf

from ptycho_core.base.events import Cancelled, StopToken
from ptycho_core.quality import picture_making
from ptycho_core.quality.picture import Options
from ptycho_core.quality.picture_making import make_pictures, subject_of_preview, subject_of_reconstruction
from ptycho_core.quality.profile import edge_width, line_profile
from ptycho_core.quality.pyramid import Pyramid, halvings
from tests.helpers.reconstructions import preview, reconstruction, tilted


def pictures(recon, *options):
    return make_pictures(subject_of_reconstruction(recon), Options(*options), StopToken())


def phase(shown):
    return shown.object.images["phase"].levels[0]


def test_what_got_no_light_does_not_spoil_the_levels():
    recon = reconstruction()
    spoilt = recon.object.copy()
    spoilt[:8] = 50
    levels = [pictures(each).object.styles for each in (recon, dataclasses.replace(recon, object=spoilt))]
    assert levels[0] == levels[1]


def test_the_mean_phase_is_shown_as_zero():
    turned = dataclasses.replace(reconstruction(), object=(1j * reconstruction().object).astype(np.complex64))
    np.testing.assert_allclose(phase(pictures(turned)), phase(pictures(reconstruction())), atol=1e-5)


def test_a_ramp_is_removed_for_display_and_the_amplitude_left_alone():
    level, ramp = (pictures(each(reconstruction()), True) for each in (lambda r: r, tilted))
    inside = np.s_[10:-10, 10:-10]
    np.testing.assert_allclose(phase(ramp)[inside], phase(level)[inside], atol=0.02)
    np.testing.assert_allclose(ramp.object.images["amplitude"].levels[0], abs(reconstruction().object), rtol=1e-4)


def test_the_note_tells_what_was_done_for_display_only():
    assert Options(True, True).note == "display only: ramp removed, unwrapped"
    assert Options().note == ""


@pytest.mark.parametrize("largest", [1024, 64])
def test_an_unwrapped_phase_has_no_jumps_where_there_was_light(monkeypatch, largest):
    monkeypatch.setattr(picture_making, "_FOR_UNWRAPPING", largest)
    monkeypatch.setattr("ptycho_core.quality.pyramid._SMALLEST", 32)
    smooth = np.ones_like(reconstruction().object)
    steep = tilted(dataclasses.replace(reconstruction(), object=smooth), 0.2, 0.1)
    inside = phase(pictures(steep, False, True))[10:-10, 10:-10]
    assert inside.max() - inside.min() > 2 * np.pi
    assert abs(np.diff(inside, axis=0)).max() < np.pi
    assert abs(np.diff(inside, axis=1)).max() < np.pi


def test_a_preview_counts_where_the_probe_has_light_beyond_the_outermost_positions():
    covered = subject_of_preview(preview()).covered
    assert not covered[0].any()
    assert covered[covered.shape[0] // 2, covered.shape[1] // 2]


def test_a_binned_picture_keeps_the_coordinates_of_object_pixels():
    recon = reconstruction()
    binned = dataclasses.replace(subject_of_reconstruction(recon), binning=4)
    shown = make_pictures(binned, Options(), StopToken()).object
    assert shown.images["amplitude"].size == (4 * recon.object.shape[0], 4 * recon.object.shape[1])
    assert shown.images["amplitude"].value_at(4 * 20 + 1, 4 * 10 + 1) == pytest.approx(abs(recon.object[10, 20]))
    assert shown.box[0] == 4 * 8 - 0.5


def test_preparing_leaves_off_when_it_is_cancelled():
    token = StopToken()
    token.cancel()
    with pytest.raises(Cancelled):
        make_pictures(subject_of_reconstruction(reconstruction()), Options(), token)


def test_each_level_is_the_mean_of_two_by_two_pixels_and_odd_edges_are_left_out():
    image = np.random.default_rng(0).normal(size=(1025, 700)).astype(np.float32)
    levels = halvings(image)
    assert [each.shape for each in levels] == [(1025, 700), (512, 350)]
    assert levels[1][3, 5] == pytest.approx(image[6:8, 10:12].mean(), rel=1e-5)
    assert levels[1].dtype == np.float32


def test_outside_the_image_there_is_no_value():
    pyramid = Pyramid((np.zeros((3, 5)),))
    assert pyramid.value_at(4.4, 2.4) == 0
    assert pyramid.value_at(4.6, 0) is None
    assert pyramid.value_at(0, -0.6) is None


def test_a_profile_is_as_long_as_its_line_on_the_sample():
    shown = pictures(reconstruction())
    pixel = reconstruction().pixel_size_m
    profile = line_profile(shown.object, (20, 20), (50, 60), pixel)
    assert profile.distance[-1] == pytest.approx(50 * pixel[0])
    assert line_profile(shown.object, (20, 20), (50, 60), None).distance[-1] == pytest.approx(50)


def test_a_profile_follows_the_pixels_of_its_line_and_is_unknown_outside():
    shown = pictures(reconstruction())
    profile = line_profile(shown.object, (-3, 30), (40, 30), None)
    assert np.isnan(profile.amplitude[0])
    at_20 = int(np.argmin(abs(profile.distance - 23)))
    expected = shown.object.images["amplitude"].levels[0][30, 19:22]
    assert expected.min() <= profile.amplitude[at_20] <= expected.max()


def test_a_profile_across_a_phase_jump_does_not_pass_through_zero():
    jumping = dataclasses.replace(reconstruction(), object=np.ones_like(reconstruction().object))
    profile = line_profile(pictures(tilted(jumping, 0, 0.3)).object, (10, 30), (90, 30), None)
    jumps = abs(np.diff(profile.phase)) > 1
    assert jumps.sum() >= 3
    assert (abs(np.diff(profile.phase))[jumps] > 6).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_width_of_a_gaussian_edge_is_measured_from_10_to_90_percent(sign):
    x = np.linspace(-10, 10, 400)
    assert edge_width(x, 2 + sign * erf(x / (np.sqrt(2) * 1.5))) == pytest.approx(2.563 * 1.5, rel=0.01)


def test_several_edges_are_not_measured_as_one():
    x = np.linspace(0, 30, 600)
    assert edge_width(x, 0.1 * x + 3 * np.sin(x)) is None


def test_noise_is_no_edge():
    noise = np.random.default_rng(0).normal(size=200)
    assert edge_width(np.arange(200.0), noise) is None
    assert edge_width(np.arange(200.0), np.ones(200)) is None
