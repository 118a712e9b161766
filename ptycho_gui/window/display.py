"""Whether there is a display to open a window on, found out before Qt, which would abort."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

_CURSOR_LIBRARY = "libxcb-cursor.so.0"
_PACKAGES = "libxcb-cursor0 (Debian, Ubuntu) or xcb-util-cursor (Fedora, Red Hat, Arch)"
_SENTENCE = "use the command line here, as in: ptycho train --train_data_file scan.npz --output_dir out"


def why_no_window(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a sentence that says why no window can open here and what to do instead; None where one can."""
    platform = environment.get("QT_QPA_PLATFORM", "")
    if not sys.platform.startswith("linux") or platform not in ("", "xcb", "wayland"):
        return None
    if platform != "xcb" and environment.get("WAYLAND_DISPLAY"):
        return None
    display = environment.get("DISPLAY", "")
    if not display:
        return f"there is no display for a window (DISPLAY is not set); {_SENTENCE}"
    if not _answers(display):
        return f"the display {display} does not answer; {_SENTENCE}"
    if needs_cursor_library() and not _loads(_CURSOR_LIBRARY):
        return f"Qt cannot open a window without {_CURSOR_LIBRARY}: install {_PACKAGES}, or {_SENTENCE}"
    return None


def needs_cursor_library() -> bool:
    """Tell whether PySide6 came by pip: that takes the X server's cursors from the system, others bring them along."""
    found = importlib.util.find_spec("PySide6")
    places = found.submodule_search_locations if found else None
    return any((Path(place) / "Qt/plugins/platforms/libqxcb.so").exists() for place in places or ())


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _answers(display: str) -> bool:
    """Tell whether an X server listens at ``host:number.screen`` or ``:number.screen``."""
    found = re.fullmatch(r"(?:unix/?)?([^:]*):(\d+)(?:\.\d+)?", display.removeprefix("tcp/"))
    if found is None:
        return False
    host, number = found[1], int(found[2])
    try:
        if host:
            socket.create_connection((host, 6000 + number), timeout=3).close()
            return True
        with socket.socket(socket.AF_UNIX) as connection:
            for name in (f"\0/tmp/.X11-unix/X{number}", f"/tmp/.X11-unix/X{number}"):
                if name.startswith("\0") or Path(name).exists():
                    try:
                        connection.connect(name)
                        return True
                    except OSError:
                        continue
    except OSError:
        return False
    return False
