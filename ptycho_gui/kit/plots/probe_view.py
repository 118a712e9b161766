"""`ProbeView`: amplitude and phase of each mode of the probe."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

from ptycho_core.inspection.inspection import visible_phase
from ptycho_gui.kit.plots.image_plot import ImagePlot
from ptycho_gui.kit.plots.plot import Header


class ProbeView(QWidget):
    """A probe (M, N, N): which of its modes, how strong it is, and whether it is only a guess.

    Parameters
    ----------
    stacked
        The phase stands below the amplitude, not beside it.
    """

    def __init__(self, parent: QWidget | None = None, *, stacked: bool = False) -> None:
        super().__init__(parent)
        self._probe: NDArray[np.complexfloating[Any, Any]] = np.zeros((0, 1, 1), np.complex64)
        self.header = Header("Probe")
        self.mode = QComboBox()
        self.mode.setToolTip("Mode of the probe, and its part of the power")
        self.mode.setAccessibleName("Probe mode")
        self.mode.currentIndexChanged.connect(self._show_mode)
        self._mode_label = QLabel("Mode:")
        self._mode_label.setBuddy(self.mode)
        self.amplitude = ImagePlot("Amplitude", scale_bar=True)
        self.phase = ImagePlot("Phase (rad)", "twilight")
        self.amplitude.hovered.connect(self._read_out)
        self.phase.hovered.connect(self._read_out)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.header, 0, 0, 1, 2)
        grid.addWidget(self._mode_label, 0, 2)
        grid.addWidget(self.mode, 0, 3)
        images = QGridLayout()
        images.addWidget(self.amplitude, 0, 0)
        images.addWidget(self.phase, *((1, 0) if stacked else (0, 1)))
        images.setColumnStretch(0, 1)
        if not stacked:
            images.setColumnStretch(1, 1)
        grid.addLayout(images, 1, 0, 1, 4)
        grid.setColumnStretch(1, 1)
        grid.setRowStretch(1, 1)
        self.show_probe(None)

    def show_probe(
        self,
        probe: NDArray[np.complexfloating[Any, Any]] | None,
        guessed: bool = False,
        pixel_size_m: tuple[float, float] | None = None,
    ) -> None:
        """Show a probe (M, N, N), or none.

        Parameters
        ----------
        probe
            Modes.
        guessed
            It is not the file's own.
        pixel_size_m
            Object pixel (y, x), or None.
        """
        self._probe = self._probe[:0] if probe is None else probe
        self.header.set_title("Probe, guessed from the patterns" if guessed else "Probe")
        for image in (self.amplitude, self.phase):
            image.set_pixel_size(pixel_size_m)
        power = (abs(self._probe) ** 2).sum(axis=(1, 2))
        parts = power / (power.sum() or 1.0)
        chosen = self.mode.currentIndex()
        self.mode.blockSignals(True)
        self.mode.clear()
        self.mode.addItems([f"{number} ({part:.1%})" for number, part in enumerate(parts, 1)])
        self.mode.setCurrentIndex(min(max(chosen, 0), len(parts) - 1))
        self.mode.blockSignals(False)
        self.mode.setVisible(len(parts) > 1)
        self._mode_label.setVisible(len(parts) > 1)
        self._show_mode()

    def show_plane(self, probe: NDArray[np.complexfloating[Any, Any]]) -> None:
        """Show the probe that is shown in another plane of the beam (M, N, N): as strong, mode by mode."""
        self._probe = probe
        self._show_mode()

    @Slot()
    def _show_mode(self) -> None:
        if not len(self._probe):
            self.amplitude.clear()
            self.phase.clear()
            return
        mode = self._probe[max(self.mode.currentIndex(), 0)]
        amplitude = abs(mode)
        self.amplitude.show_image(amplitude, (0.0, float(amplitude.max())))
        self.phase.show_image(visible_phase(mode), (-math.pi, math.pi))

    @Slot(object)
    def _read_out(self, pixel: tuple[int, int] | None) -> None:
        if pixel is None or not len(self._probe):
            self.header.read_out("")
            return
        value = self._probe[max(self.mode.currentIndex(), 0)][pixel]
        self.header.read_out(f"({pixel[1]}, {pixel[0]}): {abs(value):.4g}, {np.angle(value):+.2f} rad")
