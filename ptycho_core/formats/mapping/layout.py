"""What is in a file of whatever layout: the tree of its arrays, read in bounded time, and a mark of its layout."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.store import Store, is_text

_SHOWN_VALUES = 4
_SHOWN_LENGTH = 60
_MOST_ARRAYS, _DEEPEST = 5000, 24


@dataclass(frozen=True)
class Node:
    """A group or an array of a file.

    Parameters
    ----------
    key
        As a `Mapping` names it; empty for the file itself.
    kind
        "group", "array", or "unreadable": a link that leads nowhere, a damaged array, a missing filter.
    shape, dtype
        Of an array; empty else.
    attributes
        Names and values as text.
    text
        The first values, or why it is unreadable.
    children
        Of a group, in the file's order.
    """

    key: str
    kind: str = "group"
    shape: tuple[int, ...] = ()
    dtype: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    text: str = ""
    children: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rsplit("/", 1)[-1]


def layout(store: Store, seconds: float = 3.0) -> Node:
    """Return the file's tree.

    Parameters
    ----------
    store
        The file; its own limits on the number of arrays and the depth of groups hold.
    seconds
        After this time shapes, attributes and values of what is left are not looked at.
    """
    deadline = time.monotonic() + seconds
    nodes = {"": _group(store, "")}
    for key in store.groups():
        nodes[key] = _group(store, key) if time.monotonic() < deadline else Node(key)
    for key in itertools.islice(filter(None, (*store.keys(), *store.dead_links())), _MOST_ARRAYS):
        late = Node(key, "unreadable", text="not looked at: the file holds too much")
        nodes[key] = _array(store, key) if time.monotonic() < deadline else late
    children: dict[str, dict[str, None]] = {}
    for key in list(nodes):
        while key and key not in children.setdefault(parent := _parent(key), {}):
            children[parent][key] = None
            nodes.setdefault(parent, Node(parent))
            key = parent
    return _tree("", nodes, children)


def _parent(key: str) -> str:
    parent = key.rpartition("/")[0]
    return parent if parent.count("/") < _DEEPEST else ""


def fingerprint(root: Node) -> str:
    """Return what files of one layout have in common: names, axes and kinds of their arrays, whatever their sizes.

    Numbers in names do not count, so that another scan's number or length is no other layout.
    """
    arrays = {_mark(node) for node in arrays_of(root)}
    return hashlib.sha256("\n".join(sorted(arrays)).encode()).hexdigest()


def arrays_of(root: Node) -> list[Node]:
    """Return all arrays of a tree that can be read."""
    if root.kind == "array":
        return [root]
    return [array for child in root.children for array in arrays_of(child)]


def _tree(key: str, nodes: dict[str, Node], children: dict[str, dict[str, None]]) -> Node:
    node = nodes[key]
    below = tuple(_tree(child, nodes, children) for child in children.get(key, ()))
    return Node(node.key, node.kind, node.shape, node.dtype, node.attributes, node.text, below)


def _group(store: Store, key: str) -> Node:
    try:
        return Node(key, attributes=_attributes(store, key))
    except InputError as error:
        return Node(key, text=str(error))


def _array(store: Store, key: str) -> Node:
    try:
        header = store.header(key)
        values = store.first_values(key, _SHOWN_VALUES)
        more = values is not None and int(np.prod(header.shape, dtype=object)) > len(values)
        text = "" if values is None else ", ".join(map(_text, values)) + (", ..." if more else "")
        kind = "text" if is_text(header.dtype) else str(header.dtype)
        return Node(key, "array", header.shape, kind, _attributes(store, key), text)
    except InputError as error:
        return Node(key, "unreadable", text=str(error).removeprefix(f"{store.path}: "))


def _attributes(store: Store, key: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in store.attributes(key).items())


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > _SHOWN_VALUES:
        return ", ".join(map(_text, value.ravel()[:_SHOWN_VALUES])) + ", ..."
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    text = f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * _SHOWN_LENGTH]).split())
    return line if len(line) <= _SHOWN_LENGTH else line[: _SHOWN_LENGTH - 3] + "..."


def _mark(node: Node) -> str:
    unit = dict(node.attributes).get("units", "")
    return " ".join((re.sub("[0-9]+", "#", node.key), str(len(node.shape)), re.sub("[0-9]+", "", node.dtype), unit))
