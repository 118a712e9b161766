"""`allow`: a control that is not of use now says why."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QWidget

from ptycho_gui.kit.labels import worded

WhyNot = Callable[[], str | None]
"""Returns the reason against a control, as a sentence; None or an empty one if there is none."""
_TIP = "tip"


def allow(control: QAction | QWidget, why_not: str | None, tip: str | None = None) -> None:
    """Enable a control, or, if there is a reason against it, disable it and add the reason to its tooltip.

    Parameters
    ----------
    control
        Its tooltip is what it says when this is first called.
    why_not
        The reason, as a sentence; None or an empty one if there is none.
    tip
        What it says of itself from now on, where that changes.
    """
    if tip is not None or control.property(_TIP) is None:
        control.setProperty(_TIP, control.toolTip() if tip is None else tip)
    words = [control.property(_TIP), f"Not now: {worded(why_not)}" if why_not else ""]
    control.setEnabled(not why_not)
    control.setToolTip("\n".join(filter(None, words)))


def always() -> None:
    """Return no reason: for what can be done at any time."""
