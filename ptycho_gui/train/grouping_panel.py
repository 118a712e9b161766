"""`GroupingPanel`: how many patterns make a group, from how many neighbours, and what such groups look like."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from ptycho_core.inspection.inspection import Inspection, with_unit
from ptycho_core.scan.grouping import GroupingPlan, overlap_at, probe_diameter
from ptycho_gui.kit.forms.scroll_area import scroll_area
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.draft_fields import DraftFields
from ptycho_gui.train.group_map import GroupMap

_FIELDS = ("gridsize", "neighbor_count")
_FIGURES = {
    "Patterns per group": "Gridsize squared",
    "Reach": "Median distance from a pattern to the last of the neighbors that its groups are drawn from",
    "Overlap there": "Of two probes at that distance: the part of its diameter by which they overlap",
    "Groups per epoch": "How many groups the network sees in each epoch",
}
_NOT_USED = "The direct engine fits object and probe to all patterns, and makes no groups."
_PAUSE_MS = 60


class GroupingPanel(QWidget):
    """Two settings, what they come to on the open scan, and its groups on a map.

    Parameters
    ----------
    draft
        Holds the settings and the scan.
    parent
        Owner.
    """

    def __init__(self, draft: Draft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self._looked: Inspection | None = None
        self._diameter: float | None = None
        self.fields = DraftFields(draft, _FIELDS, self).fields
        self.figures = {name: QLabel(wordWrap=True) for name in _FIGURES}
        self.groups = GroupMap()
        self._not_used, self._grouped = QLabel(_NOT_USED, wordWrap=True), QWidget()
        self._lay_out()
        self.setWhatsThis(
            "The network learns from groups of overlapping patterns. Gridsize says how many make a group, the neighbor "
            "count from how many of the nearest they are drawn. The defaults suit most scans; what does not suit this "
            "one is said beside the field, with a way out. The map shows one group after another."
        )
        # What follows takes some hundredths of a second on large scans: not for each key.
        self._soon = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._soon.timeout.connect(self._show)
        draft.changed.connect(self._hear)
        self._hear()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: what changed while the panel was hidden is shown now."""
        super().showEvent(event)
        self._show()

    def _lay_out(self) -> None:
        form = QGridLayout()
        form.setColumnStretch(1, 1)
        for name in _FIELDS:
            row = form.rowCount()
            form.addWidget(self.fields[name].label, row, 0, Qt.AlignmentFlag.AlignTop)
            form.addWidget(self.fields[name], row, 1)
        for name, tip in _FIGURES.items():
            title, row = QLabel(name), form.rowCount()
            for widget in (title, self.figures[name]):
                widget.setToolTip(tip)
            self.figures[name].setAccessibleName(name)
            form.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
            form.addWidget(self.figures[name], row, 1)
        content = QWidget()
        used = QVBoxLayout(self._grouped)
        used.setContentsMargins(0, 0, 0, 0)
        used.addLayout(form)
        used.addWidget(self.groups, 1)
        column = QVBoxLayout(content)
        column.addWidget(self._not_used)
        column.addWidget(self._grouped, 1)
        column.addStretch()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll_area(content))

    @Slot()
    def _hear(self) -> None:
        grouped = self._draft.uses("gridsize")
        self._not_used.setVisible(not grouped)
        self._grouped.setVisible(grouped)
        self._soon.start()

    @Slot()
    def _show(self) -> None:
        if not self.isVisible():
            return
        looked = self._draft.looked
        if looked is not self._looked:
            self._looked = looked
            self._diameter = probe_diameter(looked.probe) if looked and looked.probe.any() else None
            if looked:
                self.groups.show_scan(looked.near, self._diameter, looked.scan.pixel_size_m)
            else:
                self.groups.show_scan(None)
        plan = GroupingPlan(self._draft.value("gridsize"), self._draft.value("neighbor_count"))
        usable = plan if self._is_usable(plan) else None
        self.groups.show_plan(usable, self._draft.value("seed"))
        self._show_automatic(plan)
        figures = self._figures(looked, usable) if looked and usable else dict.fromkeys(_FIGURES, "–")
        for name, text in figures.items():
            self.figures[name].setText(text)
            self.figures[name].setEnabled(usable is not None)

    def _is_usable(self, plan: GroupingPlan) -> bool:
        """Tell whether the open scan can be grouped like this."""
        wrong = any(self._draft.text_error(name) for name in _FIELDS)
        looked, grouped = self._draft.looked, self._draft.uses("gridsize")
        return grouped and not wrong and looked is not None and not plan.check(len(looked.scan))

    def _show_automatic(self, plan: GroupingPlan) -> None:
        """Say what the automatic neighbor count comes to."""
        most = len(self._looked.scan) if self._looked else plan.group_size + 2 * plan.gridsize
        number = GroupingPlan(plan.gridsize).resolve_neighbors(most)
        self.fields["neighbor_count"].set_start(number)
        self.fields["neighbor_count"].set_hint("" if plan.neighbor_count else f"auto gives {number}")

    def _figures(self, looked: Inspection, plan: GroupingPlan) -> dict[str, str]:
        neighbors, pixel = plan.resolve_neighbors(len(looked.scan)), looked.scan.pixel_size_m
        reach = looked.near.reach(neighbors)
        length = f" ({with_unit(reach * math.sqrt(pixel[0] * pixel[1]))})" if pixel else ""
        overlap = "unknown: the probe has no power"
        if self._diameter:
            guess = ", guessed" if looked.scan.probe is None else ""
            overlap = f"{overlap_at(reach, self._diameter):.0%} of the probe ({self._diameter:.3g} px{guess})"
        per_epoch = self._draft.value("n_groups")
        if per_epoch is None:
            training = len(looked.scan) * (1 - self._draft.value("val_fraction") - self._draft.value("free_fraction"))
            fine_tunes = self._draft.value("init") is not None
            per_epoch = f"about {plan.groups_per_epoch(round(training), fine_tunes=fine_tunes)}"
        return {
            "Patterns per group": str(plan.group_size),
            "Reach": f"{reach:.3g} px{length} to neighbor {neighbors}",
            "Overlap there": overlap,
            "Groups per epoch": str(per_epoch),
        }
