from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.quality.pyramid import Pyramid, halvings
from ptycho_gui.kit.plots.pyramid_plot import PyramidPlot

SIDE = 3000


@pytest.fixture(scope="module")
def large():
    return Pyramid(tuple(halvings(np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE))))


@pytest.fixture
def plot(qtbot, large):
    plot = PyramidPlot("A large picture")
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    with qtbot.waitExposed(plot):
        plot.show()
    plot.set_box((-0.5, -0.5, SIDE, SIDE))
    plot.plot.show_all()
    plot.show_pyramid(large, None)
    return plot


def test_a_large_image_is_drawn_at_the_size_it_has_on_the_screen(plot):
    assert max(plot.image.image.shape) < 800
    assert plot.image.mapRectToParent(plot.image.boundingRect()).width() == pytest.approx(SIDE, rel=0.01)


def test_zooming_in_brings_every_pixel_of_what_is_in_view(plot, large):
    plot.view.setRange(xRange=(1000, 1050), yRange=(2000, 2030), padding=0)
    drawn = plot.image.mapRectToParent(plot.image.boundingRect())
    assert drawn.contains(plot.view.viewRect())
    row, column = round(drawn.top() + 0.5), round(drawn.left() + 0.5)
    assert plot.image.image[0, 0] == large.levels[0][row, column]
    assert plot.image.image.size < 0.01 * SIDE**2


def test_panning_a_little_draws_nothing_anew(plot):
    plot.view.setRange(xRange=(1000, 1050), yRange=(2000, 2030), padding=0)
    before = plot.image.image
    plot.view.translateBy(x=3, y=2)
    assert plot.image.image is before
    plot.view.translateBy(x=500)
    assert plot.image.image is not before


def test_pixels_are_as_wide_as_they_are_on_the_sample(plot):
    plot.set_pixel_size((10e-9, 20e-9))
    seen = plot.view.viewRect()
    assert (plot.view.width() / seen.width()) / (plot.view.height() / seen.height()) == pytest.approx(2)


def test_a_long_note_is_wrapped_to_the_width_of_the_picture(plot):
    plot.write("display only: ramp removed, unwrapped, and a good many further things that one ought to know")
    assert plot.note.boundingRect().width() <= plot.view.width()


def test_nothing_is_shown_after_an_empty_image(plot):
    plot.show_pyramid(None, None)
    assert plot.image.image is None
    assert not plot.bar.isVisible()
