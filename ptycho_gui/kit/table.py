"""A table with its actions: one row of buttons, context menu and keys that all do the same."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QAbstractItemModel, QSize, Qt, Slot
from PySide6.QtGui import QAction, QKeySequence, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QToolBar, QToolButton, QWidget

from ptycho_gui.kit.allow import WhyNot, allow, always
from ptycho_gui.kit.icons import icon

_GAP = 10


class Table(QTableView):
    """A view of rows that are selected whole; says what to do while there are none.

    Parameters
    ----------
    model
        Whose rows are shown.
    name
        Accessible name.
    empty
        What is shown while there are no rows.
    """

    def __init__(self, model: QAbstractItemModel, name: str, empty: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty = empty
        self.setModel(model)
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)  # Tab leaves the table; arrows move in it
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setMaximumSectionSize(48 * self.fontMetrics().averageCharWidth())
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)

    def sizeHintForColumn(self, column: int) -> int:
        """Qt: with room between the columns."""
        return max(super().sizeHintForColumn(column), self.horizontalHeader().sectionSizeHint(column)) + _GAP

    def stretch(self, *headings: str) -> None:
        """Share the room that is left among the columns with these headings, in place of giving it to the last."""
        header = self.horizontalHeader()
        header.setStretchLastSection(False)
        for column in range(self.model().columnCount()):
            if self.model().headerData(column, Qt.Orientation.Horizontal) in headings:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def selected_rows(self) -> list[int]:
        """Return the rows that are selected, from the top."""
        return sorted(index.row() for index in self.selectionModel().selectedRows())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Qt: the rows, or what to do to get some."""
        super().paintEvent(event)
        if self.model().rowCount():
            return
        painter = QPainter(self.viewport())
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        area = self.viewport().rect().adjusted(12, 8, -12, -8)
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.empty)
        painter.end()


class TableActions(QToolBar):
    """Buttons above a table; the same actions are its context menu, and have keys that work within its panel.

    Parameters
    ----------
    table
        Gets the context menu.
    panel
        Within which the keys work.
    """

    def __init__(self, table: Table, panel: QWidget) -> None:
        super().__init__(panel)
        self._table, self._panel = table, panel
        self._why_not: dict[QAction, WhyNot] = {}
        side = table.fontMetrics().height()
        self.setIconSize(QSize(side, side))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setContentsMargins(0, 0, 0, 0)

    def add(
        self, text: str, picture: str, tip: str, do: Callable[[], object], key: str = "", *, why_not: WhyNot = always
    ) -> QAction:
        """Add an action.

        Parameters
        ----------
        text
            With its mnemonic, of which the context menu alone makes use.
        picture
            Name of an icon.
        tip
            What it does.
        do
            Called when it is chosen.
        key
            Shortcut.
        why_not
            Says, at each `follow`, why it cannot be chosen.
        """
        action = QAction(icon(picture), text, self._panel)
        if key:
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            tip = f"{tip} ({action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)})"
        self._why_not[action] = why_not
        action.setToolTip(tip)
        action.triggered.connect(lambda: do())
        self.addAction(action)
        self._table.addAction(action)
        self._panel.addAction(action)
        button = self.widgetForAction(action)
        if isinstance(button, QToolButton):
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setAccessibleName(text.replace("&", ""))
        return action

    @Slot()
    def follow(self) -> None:
        """Allow each action what its reason says now."""
        for action, why_not in self._why_not.items():
            allow(action, why_not())
