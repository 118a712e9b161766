"""`CurvesPanel`: how training goes and went, as curves over epochs or steps, with other runs overlaid."""

from __future__ import annotations

from html import escape

import numpy as np
from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalThrottler

from ptycho_core.runs.curves import CHARTS, Axis, Chart, Curve, charts_of, curves_of, nearest_row, overlaid, positions
from ptycho_core.runs.history import RunHistory
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.forms.flow import flowing
from ptycho_gui.kit.icons import icon
from ptycho_gui.train.curves_view import CurvesView, key_of

_EVERY_MS = 300
_SPANS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Steps that smoothing averages over."""
_FIRST_SPAN = 4
_AXES: dict[str, Axis] = {"Epochs": "epoch", "Steps": "step"}
_FIGURES = Chart("Misfit", "Misfit (1 is photon noise alone)")
_NO_RUN = "No run is shown yet. Curves appear here with the first steps of a run, or when a run of the list is opened."
_NO_NUMBERS = "This run has no such numbers yet."


class CurvesPanel(QWidget):
    """Curves of the run that is shown; drawn a few times a second at most, and only while they are seen."""

    overlays_changed = Signal(object)
    """The labels of the runs that are overlaid, as a tuple."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "How training goes: the losses, the learning rate, the gradient and the speed over epochs or steps. The "
            "validation loss should fall; when it rises while the training loss falls, the model fits noise. Drag to "
            "pan, turn the wheel to zoom, double-click or press Home to see everything; the dashed line marks the "
            "best epoch."
        )
        self._history: RunHistory | None = None
        self._label = ""
        self._overlays: dict[str, RunHistory] = {}
        self._figures: dict[str, tuple[float, float]] = {}
        self._charts: list[Chart] = []
        self._curves: list[Curve] = []
        self._throttle = QSignalThrottler(parent=self)
        self._throttle.setTimeout(_EVERY_MS)
        self._throttle.triggered.connect(self.draw)

        self.tabs = QTabBar(drawBase=False, expanding=False, usesScrollButtons=True)
        self.tabs.setAccessibleName("Which curves")
        self.tabs.currentChanged.connect(self._choose_chart)
        self._views: dict[str, CurvesView] = {}
        self.message = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.message)
        self.readout = QLabel(wordWrap=True)
        self.readout.setAccessibleName("Values")
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.readout.setMinimumHeight(2 * self.fontMetrics().lineSpacing() + 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 4)
        column.addWidget(self.tabs)
        column.addLayout(self._make_controls())
        column.addWidget(self._stack, 1)
        column.addWidget(self.readout)
        self._set_charts(CHARTS)
        self._say_overlays()

    @Slot(object)
    def show_run(self, history: RunHistory | None, label: str = "this run") -> None:
        """Show another run, or none.

        Parameters
        ----------
        history
            Its numbers; `refresh` draws what they have become.
        label
            What the legend calls it beside overlaid runs.
        """
        self._history, self._label = history, label
        self._figures.clear()
        for view in self._views.values():
            view.show_all()
        self._set_charts(CHARTS if history is None else charts_of(history))

    @Slot()
    def refresh(self) -> None:
        """Draw soon what the run's numbers are now."""
        self._throttle.throttle()

    def overlay(self, label: str, history: RunHistory) -> None:
        """Draw another run as well, or what has become of the one with this label."""
        self._overlays[label] = history
        self._say_overlays()

    def remove_overlay(self, label: str) -> None:
        """Draw a run no longer; nothing happens where it is not drawn."""
        if self._overlays.pop(label, None) is not None:
            self._say_overlays()

    @property
    def overlays(self) -> tuple[str, ...]:
        """Labels of the runs that are overlaid."""
        return tuple(self._overlays)

    def show_figures(self, of: str, misfit: float, free_misfit: float) -> None:
        """Show the misfits of a reconstruction of the run's scan.

        Parameters
        ----------
        of
            Words for the checkpoint; known ones are replaced.
        misfit, free_misfit
            As the reconstruction tells.
        """
        self._figures[of] = (misfit, free_misfit)
        self.tabs.setTabVisible(len(self._charts) - 1, True)
        self.refresh()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: catch up."""
        super().showEvent(event)
        self.draw()

    def _make_controls(self) -> QLayout:
        self.axis = QComboBox()
        self.axis.addItems(list(_AXES))
        self.axis.setToolTip("What is counted along x")
        self.axis.currentIndexChanged.connect(self._change_axis)
        self.log = QCheckBox("Log scale")
        self.log.setToolTip("A logarithmic y axis")
        self.log.toggled.connect(self._change_scale)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, len(_SPANS) - 1)
        self.smoothing.setPageStep(1)
        self.smoothing.setFixedWidth(100)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip(
            "Average each step's values over about so many steps; the values themselves stay faintly behind"
        )
        self._smoothed = QLabel()
        self._smoothed.setMinimumWidth(self.fontMetrics().horizontalAdvance("over 1000 steps"))
        self.smoothing.valueChanged.connect(self._change_smoothing)
        self.smoothing.setValue(_FIRST_SPAN)
        self.overlaid = QToolButton(toolButtonStyle=Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.overlaid.setIcon(icon("overlay"))
        self.overlaid.setToolTip("Remove a run that is overlaid")
        self.overlaid.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.overlaid.setMenu(QMenu(self.overlaid))
        self.fit = QPushButton(icon("fit"), "F&it")
        self.fit.setToolTip("See all of the curves, and follow them as they grow (double-click, or Home)")
        self.fit.clicked.connect(self._fit)
        axis, smoothing = QLabel("X axis"), QLabel("Smoothing")
        axis.setBuddy(self.axis)
        smoothing.setBuddy(self.smoothing)
        return flowing(
            (axis, self.axis), (smoothing, self.smoothing, self._smoothed), self.log, (self.overlaid, self.fit)
        )

    def _set_charts(self, charts: tuple[Chart, ...]) -> None:
        self._charts = [*charts, _FIGURES]
        self.tabs.blockSignals(True)
        while self.tabs.count():
            self.tabs.removeTab(0)
        for chart in self._charts:
            self.tabs.addTab(chart.title)
        self.tabs.setTabVisible(len(self._charts) - 1, bool(self._figures))
        self.tabs.blockSignals(False)
        self._choose_chart()

    @property
    def _chart(self) -> Chart:
        return self._charts[max(0, self.tabs.currentIndex())]

    @property
    def view(self) -> CurvesView:
        """The plot of the chart that is chosen; each has its own, with its own pan and zoom."""
        title = self._chart.title
        if title not in self._views:
            view = self._views[title] = CurvesView()
            view.setAccessibleName(title)
            view.pointed.connect(self._read_out)
            self._stack.addWidget(view)
        return self._views[title]

    @Slot()
    def _choose_chart(self) -> None:
        of_run, smooth = self._chart is not _FIGURES, bool(self._chart.of_steps[0]) and self._chart.noisy
        allow(self.axis, None if of_run else "Reconstructions stand in the order of their making.")
        allow(self.smoothing, None if smooth else "These values have no noise, or are one for each epoch.")
        self.view.set_log(self.log.isChecked())
        self.draw()

    @Slot()
    def _change_axis(self) -> None:
        for view in self._views.values():
            view.show_all()
        self.draw()

    @Slot()
    def _change_scale(self) -> None:
        self.view.set_log(self.log.isChecked())

    @Slot()
    def _change_smoothing(self) -> None:
        span = _SPANS[self.smoothing.value()]
        self._smoothed.setText(f"over {span} steps" if span > 1 else "none")
        self.refresh()

    @Slot()
    def _fit(self) -> None:
        self.view.show_all()

    def _say_overlays(self) -> None:
        menu = self.overlaid.menu()
        menu.clear()
        for label in self._overlays:
            menu.addAction(f"Remove {label}").triggered.connect(lambda checked=False, name=label: self._remove(name))
        self.overlaid.setText(f"Overlaid: {len(self._overlays)}")
        allow(self.overlaid, None if self._overlays else "No run is overlaid: choose one in the list of runs.")
        self.overlays_changed.emit(self.overlays)
        self.refresh()

    def _remove(self, label: str) -> None:
        self.remove_overlay(label)

    @Slot()
    def draw(self) -> None:
        """Draw now what the run's numbers are, if that is seen."""
        if not self.isVisible():
            return
        self._curves = self._figure_curves() if self._chart is _FIGURES else self._run_curves()
        if not any(len(curve.x) for curve in self._curves):
            self.message.setText(_NO_NUMBERS if self._history or self._overlays else _NO_RUN)
            self._stack.setCurrentWidget(self.message)
            self.readout.clear()
            return
        view = self.view
        self._stack.setCurrentWidget(view)
        view.show_curves(self._curves)
        if self._chart is _FIGURES:
            view.set_axes("reconstructed", self._chart.quantity, list(self._figures))
        else:
            view.set_axes(f"{self._axis}s", self._chart.quantity)
            self._mark_best(view)
        if not view.underMouse():
            self._read_out(None)

    @property
    def _axis(self) -> Axis:
        return _AXES[self.axis.currentText()]

    def _run_curves(self) -> list[Curve]:
        curves = []
        if self._history:
            curves = curves_of(self._history, self._chart, self._axis, _SPANS[self.smoothing.value()])
            if self._overlays:
                curves = [c.called(f"{self._label}: {c.words}") if c.words else c for c in curves]
        for number, (label, history) in enumerate(self._overlays.items(), 1):
            curves += overlaid(history, self._chart, self._axis, number, label)
        return curves

    def _figure_curves(self) -> list[Curve]:
        places = np.arange(len(self._figures), dtype=np.float64)
        misfit, free_misfit = np.array(list(self._figures.values())).reshape(-1, 2).T
        return [
            Curve(0, "misfit", "misfit, of fitted patterns", places, misfit),
            Curve(0, "free_misfit", "free misfit, of unseen patterns", places, free_misfit),
        ]

    def _mark_best(self, view: CurvesView) -> None:
        best = self._history.best if self._history else None
        if self._history is None or best is None:
            view.mark_best(None, "")
            return
        x = float(best.steps if self._axis == "step" else best.epoch)
        words = f"best epoch {best.epoch}"
        if self._chart.shows(self._history.config.monitor):
            view.mark_best(x, f"{words}: {best.value:.4g}", best.value)
        else:
            view.mark_best(x, words)

    @Slot(object)
    def _read_out(self, x: float | None) -> None:
        """Say in the legend the values nearest to a place on the x axis, or the latest where the mouse is elsewhere."""
        if x is None:
            x = max((float(curve.x[-1]) for curve in self._curves if len(curve.x)), default=0.0)
        values = [
            f"{key_of(curve)} {escape(curve.words)} <b>{_figure(curve.nearest(x))}</b>"
            for curve in self._curves
            if curve.words
        ]
        parts = (f'<span style="white-space: nowrap">{part}</span>' for part in (escape(self._place(x)), *values))
        self.readout.setText(" &nbsp; ".join(parts))

    def _place(self, x: float) -> str:
        if self._chart is _FIGURES:
            names = list(self._figures)
            return names[min(max(0, round(x)), len(names) - 1)].capitalize()
        history = self._history
        if history is None or not len(history.steps):
            return f"{self._axis.capitalize()} {x:.4g}"
        row = nearest_row(positions(history, history.steps, self._axis), x)
        epoch, step = history.steps["epoch"][row], history.steps["step"][row]
        return f"Epoch {epoch:.0f}, step {step + 1:.0f}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
