"""Controls that are not of use now say why."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QAbstractButton


def allow(control: QAction | QAbstractButton, reason: str) -> None:
    """Enable a control, or, if there is a reason against it, disable it and add the reason to its tooltip."""
    tip = control.property("tip") or control.toolTip()
    control.setProperty("tip", tip)
    control.setEnabled(not reason)
    control.setToolTip(f"{tip}: not now, {reason}" if reason else tip)
