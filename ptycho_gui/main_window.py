"""The main window: panels in docks, actions, and who hears whom. No computation."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QActionGroup, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow, QMessageBox, QToolBar, QWhatsThis, QWidget

from ptycho_core.errors import Fix, Problem
from ptycho_core.inspection import Inspection
from ptycho_gui import theme
from ptycho_gui.actions import Actions
from ptycho_gui.dialogs.about_dialog import AboutDialog
from ptycho_gui.dialogs.apply_dialog import ApplyDialog
from ptycho_gui.dialogs.export_reconstruction_dialog import ExportReconstructionDialog
from ptycho_gui.dialogs.guide_window import GuideWindow
from ptycho_gui.dialogs.mapping_dialog import MappingDialog
from ptycho_gui.docks import Docks
from ptycho_gui.log_bridge import LogBridge
from ptycho_gui.panels.checkpoints_panel import CheckpointsPanel
from ptycho_gui.panels.curves_panel import CurvesPanel
from ptycho_gui.panels.data_panel import DataPanel
from ptycho_gui.panels.grouping_panel import GroupingPanel
from ptycho_gui.panels.log_panel import LogPanel
from ptycho_gui.panels.message_bar import MessageBar
from ptycho_gui.panels.object_panel import ObjectPanel
from ptycho_gui.panels.preprocessing_panel import PreprocessingPanel
from ptycho_gui.panels.preprocessing_preview import PreprocessingPreview
from ptycho_gui.panels.queue_panel import QueuePanel
from ptycho_gui.panels.run_bar import RunBar
from ptycho_gui.panels.runs_panel import RunsPanel
from ptycho_gui.panels.scan_panel import ScanPanel
from ptycho_gui.panels.training_panel import TrainingPanel
from ptycho_gui.panels.welcome_panel import WelcomePanel
from ptycho_gui.preferences import Preferences
from ptycho_gui.session import Session

_SCANS = "Scans (*.npz *.h5 *.hdf5 *.cxi *.nxs *.ptyd *.mat);;All files (*)"
