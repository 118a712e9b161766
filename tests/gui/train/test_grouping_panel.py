from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton

from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.grouping import GroupingPlan, Neighborhoods
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.group_map import GroupMap
from ptycho_gui.train.grouping_panel import GroupingPanel


@pytest.fixture(scope="module")
def looked(tiny_scan):
    return inspect(tiny_scan)


@pytest.fixture
def panel(put_up, looked):
    draft = Draft()
    panel = GroupingPanel(draft)
    panel.draft = draft
    draft.set_scan(looked)
    return put_up(panel)


@pytest.fixture
def shows(panel, qtbot):
    def wait(name, text):
        qtbot.waitUntil(lambda: text in panel.figures[name].text())

    return wait


def enter(field, text):
    line = field.editor.box.lineEdit()
    line.selectAll()
    QTest.keyClicks(line, text)


def test_the_figures_of_the_present_settings_are_shown(panel, shows, looked):
    shows("Patterns per group", "4")
    shows("Reach", f"{looked.near.reach(8):.3g} px")
    shows("Reach", "to neighbor 8")
    shows("Overlap there", "% of the probe")
    shows("Groups per epoch", "about 14")
    panel.draft.set("n_groups", 500)
    shows("Groups per epoch", "500")


def test_a_group_too_large_for_its_neighbors_is_explained_as_one_types_with_both_ways_out(panel, shows):
    enter(panel.fields["neighbor_count"], "4")
    enter(panel.fields["gridsize"], "3")
    sentence = "gridsize 3 groups 9 patterns, so neighbor count must be at least 9 (it is 4)"
    assert panel.fields["neighbor_count"].shown_problem == sentence
    assert panel.draft.reason_not_to_start() == sentence
    shows("Patterns per group", "–")
    buttons = panel.fields["neighbor_count"].findChildren(QPushButton)
    assert [button.text() for button in buttons] == ["Use neighbor count 9", "Use gridsize 2"]
    buttons[0].click()
    assert panel.draft.value("neighbor_count") == 9
    assert panel.fields["neighbor_count"].editor.text() == "9"
    assert panel.draft.reason_not_to_start() is None
    shows("Patterns per group", "9")


def test_the_automatic_neighbor_count_says_what_it_comes_to(panel, qtbot):
    field = panel.fields["neighbor_count"]
    qtbot.waitUntil(lambda: field.hint == "auto gives 8")
    panel.draft.set("gridsize", 3)
    qtbot.waitUntil(lambda: field.hint == "auto gives 15")
    panel.draft.set("neighbor_count", 10)
    qtbot.waitUntil(lambda: field.hint == "")


def test_neighbors_that_hardly_overlap_are_warned_of_and_still_shown(panel, shows):
    panel.draft.set("neighbor_count", 60)
    assert "such groups share little of the object" in panel.fields["neighbor_count"].shown_problem
    assert panel.draft.reason_not_to_start() is None
    shows("Reach", "to neighbor 60")
    assert len(panel.groups.group) == 4


def test_the_direct_engine_needs_no_groups_and_says_so(panel, qtbot):
    panel.draft.set("engine", "direct")
    assert not panel.fields["gridsize"].isVisible()
    assert not panel.groups.isVisible()
    assert any("direct engine" in label.text() for label in panel.findChildren(QLabel) if label.isVisible())
    panel.draft.set("engine", "pinn")
    assert panel.fields["gridsize"].isVisible()
    assert panel.groups.isVisible()
    qtbot.waitUntil(lambda: len(panel.groups.group) == 4)


def test_without_a_scan_there_are_no_groups(panel, shows):
    panel.draft.set_scan(None)
    shows("Reach", "–")
    assert panel.groups.caption.text() == "Open a scan to see its groups."
    assert not panel.groups.next.isEnabled()


def test_a_hidden_panel_catches_up_when_it_is_shown(panel, qtbot):
    panel.hide()
    panel.draft.set("gridsize", 3)
    panel.show()
    assert panel.figures["Patterns per group"].text() == "9"


@pytest.fixture
def groups(qtbot, looked):
    widget = GroupMap()
    qtbot.addWidget(widget)
    widget.show_scan(looked.near, 12.0)
    widget.show_plan(GroupingPlan(2), 42)
    return widget


def test_one_steps_through_groups_and_back_to_the_same(groups):
    first = groups.group
    assert not groups.previous.isEnabled()
    groups.next.click()
    assert groups.group.tolist() != first.tolist()
    groups.previous.click()
    assert groups.group.tolist() == first.tolist()


def test_a_group_is_drawn_from_the_nearest_of_its_middle(groups, looked):
    for _ in range(5):
        group = groups.group
        assert len(set(group.tolist())) == 4
        assert set(group.tolist()) <= set(looked.near.nearest(group[:1], 8)[0].tolist())
        groups.next.click()


def test_the_caption_names_the_middle_and_the_overlap(groups):
    text = groups.caption.text()
    assert f"pattern {groups.group[0]}" in text
    assert "3 of" in text
    assert "7 nearest" in text
    assert "mean overlap" in text


def test_the_same_seed_shows_the_same_groups_and_another_one_others(groups):
    shown = groups.group.tolist()
    groups.show_plan(GroupingPlan(2), 7)
    assert groups.group.tolist() != shown
    groups.show_plan(GroupingPlan(2), 42)
    assert groups.group.tolist() == shown


def view(groups):
    return groups.map.plot_item.getViewBox().viewRect()


def test_the_map_shows_the_whole_group_with_its_footprints(groups, looked, qtbot):
    groups.resize(400, 400)
    with qtbot.waitExposed(groups):
        groups.show()
    for _ in range(3):
        seen = view(groups)
        for y, x in looked.near.positions[groups.group]:
            assert seen.contains(x - 6, y - 6)
            assert seen.contains(x + 6, y + 6)
        groups.next.click()


def test_a_zoom_by_hand_is_kept_for_the_next_group(groups, looked, qtbot):
    groups.resize(400, 400)
    with qtbot.waitExposed(groups):
        groups.show()
    box = groups.map.plot_item.getViewBox()
    box.scaleBy((0.25, 0.25))
    box.sigRangeChangedManually.emit([True, True])
    width = view(groups).width()
    groups.next.click()
    y, x = looked.near.positions[groups.group[0]]
    assert view(groups).width() == pytest.approx(width, rel=0.01)
    assert (view(groups).center().x(), view(groups).center().y()) == pytest.approx((x, y), abs=0.01 * width)


def test_a_step_among_a_hundred_thousand_positions_asks_for_the_neighbors_of_one(qtbot):
    groups = GroupMap()
    qtbot.addWidget(groups)
    near = Neighborhoods(np.random.default_rng(0).uniform(0, 5000, (100_000, 2)))
    groups.show_scan(near, 30.0)
    groups.show_plan(GroupingPlan(8, 5000), 0)
    tree, asked = near.tree, []
    near.tree = SimpleNamespace(query=lambda points, k: asked.append(len(points)) or tree.query(points, k=k))
    groups.next.click()
    assert asked == [1]
