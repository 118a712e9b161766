"""`FileTreeModel`: groups, arrays and attributes of a file, to look at and to drag names from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt

from ptycho_core.formats.mapping.layout import Node

COLUMNS = ("Name", "Shape", "Type", "First values")
_Index = QModelIndex | QPersistentModelIndex


class _Item:
    """A row: a node, or one attribute of a node."""

    def __init__(self, node: Node, parent: _Item | None, row: int, attribute: tuple[str, str] | None = None) -> None:
        self.parent, self.row = parent, row
        self.attribute = attribute
        self.node = node
        self.children: list[_Item] = []
        if attribute is None:
            self.children = [_Item(node, self, i, pair) for i, pair in enumerate(node.attributes)]
            first = len(self.children)
            self.children += [_Item(child, self, first + i) for i, child in enumerate(node.children)]

    @property
    def key(self) -> str:
        """As a mapping names it; empty for a group."""
        if self.attribute is not None:
            return f"{self.node.key}@{self.attribute[0]}"
        return self.node.key if self.node.kind == "array" else ""

    def text(self, column: int) -> str:
        if self.attribute is not None:
            return (f"@{self.attribute[0]}", "", "attribute", self.attribute[1])[column]
        node = self.node
        shape = " × ".join(map(str, node.shape)) or "single" if node.kind == "array" else ""
        kind = {"array": node.dtype, "group": ""}.get(node.kind, node.kind)
        return (node.name, shape, kind, node.text)[column]


class FileTreeModel(QAbstractItemModel):
    """The tree of a file, and of a second one below it.

    Parameters
    ----------
    parent
        Owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._top: list[tuple[str, _Item]] = []

    def show(self, trees: Sequence[tuple[str, Node]]) -> None:
        """Show these files: their names and trees."""
        self.beginResetModel()
        self._top = [(name, _Item(root, None, i)) for i, (name, root) in enumerate(trees)]
        self.endResetModel()

    def key(self, index: _Index) -> str:
        """Return the name by which a mapping knows what is in this row; empty for a group."""
        item = self._item(index)
        return "" if item is None else item.key

    def is_positions(self, index: _Index) -> bool:
        """Return whether this row is of the second file."""
        item = self._item(index)
        while item is not None and item.parent is not None:
            item = item.parent
        return item is not None and item.row > 0

    def _item(self, index: _Index) -> _Item | None:
        return index.internalPointer() if index.isValid() else None

    def index(self, row: int, column: int, parent: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008, D102
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        above = self._item(parent)
        return self.createIndex(row, column, self._top[row][1] if above is None else above.children[row])

    def parent(self, index: _Index = QModelIndex()) -> Any:  # noqa: B008, D102
        item = self._item(index)
        if item is None or item.parent is None:
            return QModelIndex()
        return self.createIndex(item.parent.row, 0, item.parent)

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, D102
        if parent.column() > 0:
            return 0
        item = self._item(parent)
        return len(self._top) if item is None else len(item.children)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008, D102
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: D102
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: D102
        item = self._item(index)
        if item is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            if item.parent is None and index.column() == 0:
                return self._top[item.row][0]
            return item.text(index.column())
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, (item.key, item.text(3))))
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:  # noqa: D102
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsDragEnabled if self.key(index) else flags

    def mimeTypes(self) -> list[str]:  # noqa: D102
        return ["text/plain"]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: D102
        data = QMimeData()
        data.setText(self.key(indexes[0]) if indexes else "")
        return data
