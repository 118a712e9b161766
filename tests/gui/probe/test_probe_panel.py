"""The probe of a scan or a result, and its beam along the axis."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from PySide6.QtCore import QPointF

from ptycho_core.inspection.beam import propagated, units_of
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.scan import Geometry
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_gui.kit import theme
from ptycho_gui.probe.jobs import beam as jobs
from ptycho_gui.probe.probe_panel import ProbePanel
from tests.helpers.patience import PATIENCE_S
from tests.helpers.reconstructions import reconstruction

BEAM = SimulationSpec(n_patterns=16, size=64, defocus_m=1e-3, guess_defocus_error_m=0.2e-3)
FOCUS_M = -1.2e-3
"""As the scan's probe has it, from the sample."""


@pytest.fixture(scope="module")
def looked():
    return inspect(simulate(BEAM).scan)


@pytest.fixture
def panel(put_up):
    return put_up(ProbePanel(), 560, 560)


@pytest.fixture
def shown(qtbot, panel, looked):
    with qtbot.waitSignal(panel.arrived):
        panel.show_scan(looked)
    return panel


def amplitude(panel):
    return panel.view.amplitude.image_item.image


def expected(looked, z, mode=0):
    scan = looked.scan
    return abs(propagated(looked.probe, z, units_of(scan.geometry, scan.size)))[mode]


def test_the_probe_at_the_sample_and_the_foci_are_shown(shown, looked):
    np.testing.assert_array_equal(amplitude(shown), abs(looked.probe[0]))
    assert [line.value() for line in shown.caustic.foci] == pytest.approx([FOCUS_M] * 2, rel=0.01)
    assert all(line.isVisible() for line in shown.caustic.foci)
    assert shown.caustic.plane.value() == 0
    assert "1.2 mm behind the focus" in shown.sentence.text()
    assert shown.place.text() == "At the sample"
    for curve, widths in zip(shown.caustic.widths, (0, 1), strict=True):
        z, drawn = curve.getData()
        assert z[drawn.argmin()] == pytest.approx(FOCUS_M, abs=z[1] - z[0]), widths


@pytest.mark.parametrize("way", ["slider", "line", "click", "button"])
def test_another_plane_is_chosen_in_every_way(qtbot, shown, looked, way):
    with qtbot.waitSignal(shown.arrived):
        if way == "slider":
            shown.slider.setValue(40)
        elif way == "line":
            shown.caustic.plane.setValue(-5e-4)
            shown.caustic.plane.sigDragged.emit(shown.caustic.plane)
        elif way == "click":
            view = shown.caustic.plot.plot_item.getViewBox()

            class Click:
                def scenePos(self):
                    return view.mapViewToScene(QPointF(-5e-4, 5e-7))

            shown.caustic.plot.scene().sigMouseClicked.emit(Click())
        else:
            shown.in_focus.click()
    z = shown.caustic.plane.value()
    wanted = {"slider": shown._caustic.z[40], "button": FOCUS_M}.get(way, -5e-4)
    assert z == pytest.approx(wanted, rel=0.02)
    np.testing.assert_allclose(amplitude(shown), expected(looked, z), rtol=1e-5)
    assert "before the sample" in shown.place.text()
    assert shown._caustic.z[shown.slider.value()] == pytest.approx(z, abs=2e-5)
    with qtbot.waitSignal(shown.arrived):
        shown.at_sample.click()
    np.testing.assert_allclose(amplitude(shown), expected(looked, 0.0), rtol=1e-4, atol=1e-4)


def test_a_slider_that_is_dragged_propagates_the_last_plane_and_not_all(qtbot, shown, looked, monkeypatch):
    leave, seen, threads = threading.Event(), [], set()

    def slowly(probe, z, units):
        assert leave.wait(PATIENCE_S)
        threads.add(threading.get_ident())
        seen.append(z)
        return propagated(probe, z, units)

    monkeypatch.setattr(jobs, "propagated", slowly)
    for index in range(100):
        shown.slider.setValue(index)
    leave.set()
    last = shown._caustic.z[99]
    qtbot.waitUntil(lambda: seen[-1:] == [last] and np.allclose(amplitude(shown), expected(looked, last), rtol=1e-4))
    assert len(seen) == 2
    assert threading.get_ident() not in threads


def test_modes_keep_their_powers_in_every_plane(qtbot, panel, looked):
    two = np.concatenate([looked.probe, 0.5 * looked.probe[:, ::-1]])
    both = dataclasses.replace(looked, probe=two)
    with qtbot.waitSignal(panel.arrived):
        panel.show_scan(both)
    panel.view.mode.setCurrentIndex(1)
    with qtbot.waitSignal(panel.arrived):
        panel.slider.setValue(10)
    assert [panel.view.mode.itemText(i) for i in range(2)] == ["1 (80.0%)", "2 (20.0%)"]
    np.testing.assert_allclose(amplitude(panel), expected(both, panel._caustic.z[10], 1), rtol=1e-4, atol=1e-4)


def test_a_result_is_shown_when_it_comes_and_the_scan_can_be_gone_back_to(qtbot, shown, looked):
    with qtbot.waitSignal(shown.arrived):
        shown.show_result("run1", reconstruction())
    assert shown.of.currentText() == "Result run1"
    np.testing.assert_array_equal(amplitude(shown), abs(reconstruction().probe[0]))
    shown.show_scan(inspect(looked.scan))
    assert shown.of.currentText() == "Result run1"
    with qtbot.waitSignal(shown.arrived):
        shown.of.setCurrentIndex(0)
    np.testing.assert_array_equal(amplitude(shown), abs(looked.probe[0]))
    shown.show_result("", None)
    assert [shown.of.itemText(i) for i in range(shown.of.count())] == ["Scan in memory"]


def test_without_metres_it_says_in_what_distances_are(qtbot, panel, looked):
    with qtbot.waitSignal(panel.arrived):
        panel.show_scan(inspect(looked.scan.replace(geometry=Geometry())))
    assert "px²/wavelength behind the focus" in panel.sentence.text()
    assert "energy or pixel size is not known" in panel.sentence.text()
    with qtbot.waitSignal(panel.arrived):
        panel.in_focus.click()
    assert panel.place.text().endswith("px²/wavelength before the sample")


def test_a_beam_without_a_focus_has_none_to_go_to(qtbot, panel, looked):
    flat = looked.scan.replace(probe=np.ones((1, 64, 64), np.complex64))
    with qtbot.waitSignal(panel.arrived):
        panel.show_scan(inspect(flat))
    assert not panel.in_focus.isEnabled()
    assert "No focus" in panel.in_focus.toolTip()
    assert panel.slider.isEnabled()


def test_in_the_near_field_the_probe_alone_is_shown(panel, looked):
    near = Geometry(propagator="near", energy_ev=8e3, distance_m=1.0, detector_pixel_m=(1e-6, 1e-6), magnification=1.0)
    panel.show_scan(dataclasses.replace(looked, scan=looked.scan.replace(geometry=near)))
    assert "near field" in panel.sentence.text()
    assert not panel.caustic.isVisible()
    assert amplitude(panel) is not None


def test_a_probe_without_light_is_said_to_have_no_beam(qtbot, panel, looked):
    with qtbot.waitSignal(panel.arrived):
        panel.show_scan(dataclasses.replace(looked, probe=np.zeros((1, 64, 64), np.complex64)))
    assert "no light" in panel.sentence.text()
    assert not panel.caustic.isVisible()


def test_nothing_is_followed_while_nobody_looks(qtbot, panel, looked):
    panel.hide()
    panel.show_scan(looked)
    assert not panel._following.busy
    with qtbot.waitSignal(panel.arrived):
        panel.show()
    assert "behind the focus" in panel.sentence.text()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_its_lines_have_the_colours_of_the_scheme(qtbot, shown, scheme):
    try:
        theme.choose(scheme)
        qtbot.waitUntil(lambda: shown.caustic.plane.pen.color().name() == theme.colours().foreground)
    finally:
        theme.choose("system")
