"""The hands and eyes that drive a window from outside, on a small window of their own."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtGui import QImage

pytestmark = pytest.mark.xdist_group("one screen at a time")

WINDOW = """
import sys
from PySide6.QtWidgets import *

application = QApplication([])
window = QMainWindow()
window.setWindowTitle("Small window — a test")
body = QWidget()
form = QFormLayout(body)
epochs = QSpinBox(maximum=1000, accessibleName="Epochs")
preset = QComboBox(accessibleName="Preset")
preset.addItems(["quick", "standard", "best"])
masked = QCheckBox("Mask &bad pixels")
for label, field in (("Epochs", epochs), ("Preset", preset), ("", masked)):
    form.addRow(label, field)
for number in range(40):
    form.addRow(QSpinBox(accessibleName=f"Knob {number}"))
start = QPushButton("&Start")
form.addRow(start)
never = QPushButton("Never")
never.setEnabled(False)
form.addRow(never)
area = QScrollArea(widgetResizable=True)
area.setWidget(body)
table = QTableWidget(2, 2)
for row in range(2):
    for column in range(2):
        table.setItem(row, column, QTableWidgetItem(f"cell {row} {column}"))
tabs = QTabWidget()
tabs.addTab(area, "&Training")
tabs.addTab(table, "&Checkpoints")
window.setCentralWidget(tabs)
status = QLabel(accessibleName="Status")
window.statusBar().addWidget(status)

def ask():
    answer = QMessageBox.question(window, "Sure", "Cancel the run?")
    status.setText("cancelled" if answer == QMessageBox.StandardButton.Yes else "kept")

menu = window.menuBar().addMenu("&Run")
menu.addAction("&Cancel...\\tCtrl+K", ask)
start.clicked.connect(lambda: status.setText(
    f"{epochs.value()} {preset.currentText()} {masked.isChecked()}"))
table.itemClicked.connect(lambda item: status.setText(item.text()))
window.resize(500, 400)
window.show()
sys.exit(application.exec())
"""


@pytest.fixture
def program(desktop, tmp_path):
    script = tmp_path / "window.py"
    script.write_text(WINDOW, encoding="utf-8")
    program = desktop.start(sys.executable, script)
    program.widget("Status")
    return program


def status(program) -> str:
    return program.widget("Status").text


def test_values_are_written_picked_and_ticked_and_a_button_below_is_scrolled_to(program):
    program.set("Epochs", 37, "QSpinBox")
    program.pick("Preset", "standard")
    program.click("Mask bad pixels")
    assert program.widget("Mask bad pixels").checked
    program.click("Start")
    program.wait_until(lambda: status(program) == "37 standard True", "the button reads the values")
    program.set("Epochs", 4, "QSpinBox")
    assert program.widget("Epochs", "QSpinBox").text == "4"


def test_menus_dialogs_tabs_and_cells_are_found_by_what_is_written_on_them(program, desktop):
    program.choose("Run", "Cancel...")
    program.wait_until(lambda: not program.widget("Training", "tab").reachable, "the dialog lies over the tab")
    program.click("Yes", within="Sure")
    program.wait_until(lambda: status(program) == "cancelled", "the dialog answers")
    program.click("Checkpoints", "tab")
    program.click("cell 1 0", "item")
    program.wait_until(lambda: status(program) == "cell 1 0", "the cell is clicked")
    picture = QImage(str(desktop.screenshot("a cell is chosen")))
    assert (picture.width(), picture.height()) == (1280, 800)
    assert len({picture.pixel(x, y) for x in range(0, 1280, 20) for y in range(0, 800, 20)}) > 2


def test_what_is_disabled_cannot_be_clicked_and_what_is_missing_is_named(program):
    with pytest.raises(AssertionError, match="'Never' can be clicked"):
        program.click("Never", timeout=2.0)
    with pytest.raises(AssertionError, match="there is a QPushButton 'Stop'"):
        program.widget("Stop", "QPushButton", timeout=0.5)
    with pytest.raises(AssertionError, match="not one widget 'Epochs' but 2"):
        program.widget("Epochs")


def test_a_program_that_ends_is_reported_with_what_it_said(desktop):
    program = desktop.start(sys.executable, "-c", "print('no display'); raise SystemExit(3)")
    with pytest.raises(AssertionError, match=r"ended with 3:\s+no display"):
        program.widget("Start")
