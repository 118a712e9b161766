"""The colour bar: its numbers can be read, on a logarithmic scale too."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QPainter, QPixmap

from ptycho_gui.kit.plots.pattern_view import PatternView


def numbers(axis):
    """Return what is written at an axis, from its beginning, and where."""
    canvas = QPixmap(1, 1)
    painter = QPainter(canvas)
    _, _, written = axis.generateDrawSpecs(painter)
    painter.end()
    return [(text, rect) for rect, _, text in sorted(written, key=lambda spec: -spec[0].center().y())]


@pytest.mark.parametrize(
    ("high", "told"),
    [(8.0, ["1", "2", "5"]), (1e3, ["1", "10", "100"]), (3e6, ["1", "100", "10⁴", "10⁶"])],
)
@pytest.mark.parametrize("height", [160, 700])
def test_numbers_of_a_logarithmic_scale_are_counts_and_do_not_overlap(put_up, qtbot, high, told, height):
    view = put_up(PatternView(), 200, height)
    view.show_counts(np.geomspace(0.9, high, 64).reshape(8, 8), (0.9, high))
    axis = view.plot.bar.axis
    qtbot.waitUntil(lambda: {text for text, _ in numbers(axis)} >= set(told))
    rects = [rect for _, rect in numbers(axis)]
    assert not any(one.intersects(other) for place, one in enumerate(rects) for other in rects[:place])
