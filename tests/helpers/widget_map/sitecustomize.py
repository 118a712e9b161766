"""Tell a test where the widgets of a running program are: put this folder on its PYTHONPATH and name a socket.

Python imports this module by itself when it starts, so the program under test is the one that operators run. A thread
answers every connection to the Unix socket ``$WIDGET_MAP_SOCKET`` with a JSON list, made on the window's own thread:
one entry for each visible widget, menu entry, tab and item of a list, as `desktop.Widget` describes it; or with a JSON
string that says why there is none.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import traceback

ANSWER_WITHIN_S = 300.0
MOST_ROWS = 200
WHEEL_UP, WHEEL_DOWN = 4, 5


def serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(path)
        except OSError:
            return  # a child of the program under test: its parent answers
        server.listen()
        ask = None
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    ask = ask or questioner()
                    connection.sendall(json.dumps(ask() if ask else []).encode())
                except OSError:
                    pass  # whoever asked has gone


def questioner():
    """Return what asks the window's thread for the map; None before there is an application."""
    if "PySide6.QtWidgets" not in sys.modules:
        return None
    from PySide6.QtCore import QObject, Qt, Signal, Slot
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance()
    if not isinstance(application, QApplication):
        return None

    class Messenger(QObject):
        asked = Signal(object)

        @Slot(object)
        def answer(self, reply):
            try:
                reply["map"] = widget_map()
            except Exception:
                reply["map"] = traceback.format_exc()
            reply["done"].set()

    messenger = Messenger()
    messenger.moveToThread(application.thread())
    messenger.asked.connect(messenger.answer, Qt.ConnectionType.QueuedConnection)

    def ask():
        reply = {"done": threading.Event()}
        messenger.asked.emit(reply)
        return reply["map"] if reply["done"].wait(ANSWER_WITHIN_S) else f"no answer within {ANSWER_WITHIN_S:g} s"

    return ask


def widget_map() -> list[dict]:
    from PySide6.QtWidgets import QApplication

    return [entry for widget in QApplication.allWidgets() if widget.isVisible() for entry in entries(widget)]


def entries(widget):
    from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QMenuBar, QTabBar

    yield describe(widget)
    if isinstance(widget, QMenu | QMenuBar):
        for action in widget.actions():
            if action.isVisible() and not action.isSeparator():
                checked = action.isChecked() if action.isCheckable() else None
                yield part(widget, "action", action.text(), widget.actionGeometry(action), action.isEnabled(), checked)
    elif isinstance(widget, QTabBar):
        for index in range(widget.count()):
            chosen = index == widget.currentIndex()
            yield part(widget, "tab", widget.tabText(index), widget.tabRect(index), widget.isTabEnabled(index), chosen)
    elif isinstance(widget, QAbstractItemView) and not isinstance(widget, QHeaderView):
        yield from items(widget)


def items(view):
    from PySide6.QtCore import QAbstractListModel, Qt
    from PySide6.QtWidgets import QTreeView

    model = view.model()
    if model is None:
        return
    root = view.rootIndex()
    columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount(root)  # a list hides its own
    index = model.index(0, 0, root)
    for row in range(1, MOST_ROWS):
        if not index.isValid():
            return
        for column in range(columns):
            cell = index.siblingAtColumn(column)
            visible = view.visualRect(cell) & view.viewport().rect()
            if not visible.isEmpty():
                enabled = bool(model.flags(cell) & Qt.ItemFlag.ItemIsEnabled)
                text = str(cell.data() if cell.data() is not None else "")
                yield part(view.viewport(), "item", text, visible, enabled, view.selectionModel().isSelected(cell))
        index = view.indexBelow(index) if isinstance(view, QTreeView) else model.index(row, 0, root)


def describe(widget) -> dict:
    from PySide6.QtWidgets import QCheckBox, QRadioButton

    shown = widget.visibleRegion().boundingRect()
    if isinstance(widget, QCheckBox | QRadioButton):  # only their sign and words answer a click
        shown.setWidth(min(shown.width(), widget.sizeHint().width()))
    checkable = getattr(widget, "isCheckable", None)
    checked = widget.isChecked() if checkable is not None and checkable() else None
    return {
        "kinds": kinds(widget),
        "names": names(widget),
        "text": text_of(widget),
        "rect": on_screen(widget, shown),
        "enabled": widget.isEnabled(),
        "checked": checked,
        "tooltip": widget.toolTip(),
        "within": surroundings(widget),
        "wheel": wheel(widget),
        "reachable": reachable(widget, shown.center()),
    }


def part(widget, kind: str, text: str, rect, enabled: bool, checked: bool | None) -> dict:
    """Describe what a widget draws itself: an entry of a menu, a tab, a cell."""
    words = plain(text)
    return {
        "kinds": [kind],
        "names": [words],
        "text": words,
        "rect": on_screen(widget, rect),
        "enabled": enabled and widget.isEnabled(),
        "checked": checked,
        "tooltip": "",
        "within": [kinds(widget)[0], *names(widget), *surroundings(widget)],
        "wheel": wheel(widget),
        "reachable": reachable(widget, rect.center()),
    }


def kinds(widget) -> list[str]:
    found, meta = [], widget.metaObject()
    while meta is not None:
        found.append(meta.className())
        meta = meta.superClass()
    return found


def names(widget) -> list[str]:
    found = [widget.accessibleName(), widget.objectName(), widget.windowTitle()]
    for getter in ("text", "title"):
        value = getattr(widget, getter, None)
        if "QLineEdit" not in kinds(widget) and callable(value):
            found.append(plain(str(value())))
    return [name for name in dict.fromkeys(found) if name]


def text_of(widget) -> str:
    for getter in ("toPlainText", "currentText", "text", "title", "windowTitle"):
        value = getattr(widget, getter, None)
        if callable(value):
            return str(value())
    return ""


def plain(text: str) -> str:
    """Return a label as it is read: without the mark of its mnemonic, nor the shortcut behind a tab."""
    return text.partition("\t")[0].replace("&&", "\0").replace("&", "").replace("\0", "&")


def parents(widget):
    while (widget := widget.parentWidget()) is not None:
        yield widget


def surroundings(widget) -> list[str]:
    return [name for parent in parents(widget) for name in (kinds(parent)[0], *names(parent))]


def wheel(widget) -> list[int] | None:
    """Return where to turn the wheel, and which way, to bring a widget's middle into sight; None where it is."""
    from PySide6.QtWidgets import QScrollArea

    for area in parents(widget):
        if isinstance(area, QScrollArea) and area.viewport().isAncestorOf(widget):
            viewport = area.viewport()
            middle, seen = widget.mapTo(viewport, widget.rect().center()).y(), viewport.rect()
            if not 0 <= middle < seen.height():
                edge = on_screen(viewport, seen)  # at its edge the pointer is over no control that the wheel changes
                return [edge[0] + 2, edge[1] + edge[3] // 2, WHEEL_UP if middle < 0 else WHEEL_DOWN]
    return None


def on_screen(widget, rect) -> list[int]:
    """Return left, top, width and height on the screen, in its pixels; width 0 where nothing can be seen."""
    corner, scale = widget.mapToGlobal(rect.topLeft()), widget.devicePixelRatioF()
    return [round(value * scale) for value in (corner.x(), corner.y(), max(rect.width(), 0), max(rect.height(), 0))]


def reachable(widget, point) -> bool:
    """Tell whether a click there would go to the widget: nothing lies over it and no dialog forbids it."""
    from PySide6.QtWidgets import QApplication

    popup, modal = QApplication.activePopupWidget(), QApplication.activeModalWidget()
    above = popup or modal
    if above is not None and widget.window() is not above and above not in parents(widget):
        return False
    under = QApplication.widgetAt(widget.mapToGlobal(point))
    return under is widget or (under is not None and (widget.isAncestorOf(under) or under.isAncestorOf(widget)))


if "WIDGET_MAP_SOCKET" in os.environ:
    threading.Thread(target=serve, args=(os.environ["WIDGET_MAP_SOCKET"],), daemon=True).start()
