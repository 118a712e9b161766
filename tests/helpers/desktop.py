"""Drive a program from outside, as an operator does: a screen of its own, a window manager, mouse and keyboard.

    def test_it_trains(desktop):                         # the fixture of conftest.py
        program = desktop.start(Path(sys.executable).with_name("ptycho-gui"), "--fresh")
        program.choose("File", "Open scan...")           # a menu and its entry
        program.type(f"{path}\\n")                       # where the keyboard's focus is
        program.set("Epochs", 3)                         # a spin box or line edit
        program.pick("Preset", "quick")                  # a combo box and one of its items
        program.click("Start", kind="QToolButton", within="QToolBar")
        program.press("ctrl+s")
        program.wait_until(lambda: program.widget("Status").text == "finished", "training finishes", timeout=120)
        desktop.screenshot("finished")                   # to $PTYCHO_ARTEFACTS or tests/artefacts/<test>/

A widget is found by any of its names: accessible name, what is written on it, its window's title, its object name, as
they are read (no "&"). Where several have the name, ``kind`` (a Qt class, or "action", "tab", "item") and ``within``
(a name or class of anything that it lies in: a dock, a dialog, QToolBar) choose. The program under test is unchanged;
where its widgets are is told by `widget_map/sitecustomize.py`, which Python loads into it. Every move, click and key is
a real one: it goes through the X server (xdotool), so what is covered, disabled or out of sight cannot be clicked; what
lies further down in a scroll area is brought into sight with the mouse wheel. Everything waits, with a timeout, and
fails with what was wrong and a screenshot.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtGui import QImage

from tests.helpers.patience import PATIENCE_S, wait_until

TOOLS = {"Xvfb": "xvfb", "openbox": "openbox", "xdotool": "xdotool"}
WIDGET_MAP = Path(__file__).parent / "widget_map"


def missing_tools() -> str:
    """Say what a desktop needs and this machine lacks; nothing where all is there."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@dataclass(frozen=True)
class Widget:
    """What can be seen of a widget, an entry of a menu, a tab or an item.

    `rect` is left, top, width and height on the screen of the part in sight, `checked` None where that has no meaning,
    `wheel` where to turn which wheel button to bring it into sight, `reachable` false where something lies over it.
    """

    kinds: list[str]
    names: list[str]
    text: str
    rect: list[int]
    enabled: bool
    checked: bool | None
    tooltip: str
    within: list[str]
    wheel: list[int] | None
    reachable: bool

    @property
    def in_sight(self) -> bool:
        return self.rect[2] > 0 and self.rect[3] > 0 and self.wheel is None

    @property
    def centre(self) -> tuple[int, int]:
        left, top, width, height = self.rect
        return left + width // 2, top + height // 2


class Desktop:
    """A screen in memory with a window manager; ends with everything that was started on it."""

    def __init__(self, artefacts: Path, size: tuple[int, int] = (1280, 800)) -> None:
        self.artefacts = artefacts
        self.folder = Path(tempfile.mkdtemp(prefix="desktop-"))
        self.programs: list[Program] = []
        self.pictures = 0
        read, write = os.pipe()
        screen = ["-screen", "0", f"{size[0]}x{size[1]}x24", "-dpi", "96", "-fbdir", str(self.folder)]
        # Without -noreset the server starts afresh whenever its last client leaves, and takes the next one down.
        self.server = quiet(
            ["Xvfb", "-displayfd", str(write), *screen, "-noreset", "-nolisten", "tcp"], pass_fds=[write]
        )
        os.close(write)
        with os.fdopen(read) as number:
            self.display = f":{number.readline().strip()}"
        self.environment = os.environ | {"DISPLAY": self.display}
        self.manager = quiet(["openbox"], env=self.environment)
        try:
            wait_until(lambda: self.xdotool("get_num_desktops").returncode == 0, "the window manager starts")
        except TimeoutError:
            self.close()
            raise

    def start(self, *command: str | Path, **environment: str) -> Program:
        """Start a program on this screen, with a home folder of its own, so that it knows no settings."""
        program = Program(self, [str(word) for word in command], environment)
        self.programs.append(program)
        return program

    def xdotool(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run xdotool on this screen."""
        command = ["xdotool", *map(str, words)]
        return subprocess.run(command, env=self.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S)

    def screenshot(self, name: str) -> Path:
        """Write the screen to a numbered PNG among the artefacts."""
        self.pictures += 1
        path = self.artefacts / f"{self.pictures:02d}-{re.sub('[^A-Za-z0-9]+', '-', name).strip('-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        dump = (self.folder / "Xvfb_screen0").read_bytes()
        header = struct.unpack_from(">25I", dump)  # an XWD file: see X11/XWDFile.h
        size, width, height, line, colours = header[0], header[4], header[5], header[12], header[19]
        picture = QImage(dump[size + 12 * colours :], width, height, line, QImage.Format.Format_RGB32)
        assert picture.save(str(path)), path
        return path

    def close(self) -> None:
        """End the programs, the window manager and the screen."""
        for program in self.programs:
            program.end()
        end(self.manager)
        end(self.server)
        shutil.rmtree(self.folder, ignore_errors=True)


class Program:
    """A program on a `Desktop`: what can be seen of it, and an operator's hands."""

    def __init__(self, desktop: Desktop, command: list[str], environment: dict[str, str]) -> None:
        self.desktop = desktop
        self.folder = desktop.folder / f"program-{len(desktop.programs)}"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        self.output = self.folder / "output.txt"
        self.socket = str(self.folder / "map")
        search = [str(WIDGET_MAP), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        ours = {
            "QT_QPA_PLATFORM": "xcb",
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "PYTHONPATH": os.pathsep.join(filter(None, search)),
            "WIDGET_MAP_SOCKET": self.socket,
        }
        with self.output.open("wb") as output:
            whole = desktop.environment | ours | environment
            self.process = subprocess.Popen(command, env=whole, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    # What can be seen

    def widgets(self) -> list[Widget]:
        """Return everything that the program shows now; nothing before it has a window."""
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(self.socket)
                with connection.makefile() as stream:
                    text = stream.read()
            except OSError:
                text = ""
        if not text:
            code = self.process.poll()
            assert code is None, f"the program ended with {code}:\n{self.said()}"
            return []
        answer = json.loads(text)
        assert isinstance(answer, list), f"the window's thread: {answer}"
        return [Widget(**entry) for entry in answer]

    def find(self, name: str, kind: str = "", within: str = "") -> list[Widget]:
        """Return the widgets shown now that have a name, are of a kind and lie in what has another name."""
        return [
            widget
            for widget in self.widgets()
            if name in widget.names and (not kind or kind in widget.kinds) and (not within or within in widget.within)
        ]

    def widget(self, name: str, kind: str = "", within: str = "", timeout: float = PATIENCE_S) -> Widget:
        """Wait for a widget; fail where several answer to the name."""
        what = " ".join(filter(None, [kind or "widget", repr(name), f"within {within!r}" if within else ""]))
        found: list[Widget] = []

        def look() -> bool:
            found[:] = self.find(name, kind, within)
            return bool(found)

        self.wait_until(look, f"there is a {what}", timeout)
        several = "\n".join(f"{widget.kinds[0]} within {widget.within}" for widget in found)
        assert len(found) == 1, f"not one {what} but {len(found)}:\n{several}"
        return found[0]

    def said(self) -> str:
        """Return what the program has printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], object], what: str, timeout: float = PATIENCE_S) -> None:
        """Wait for a condition; fail with what was expected, the program's output and a screenshot."""
        try:
            wait_until(condition, what, timeout)
        except TimeoutError as late:
            picture = self.desktop.screenshot(f"failed {what}"[:80])
            raise AssertionError(f"{late}; see {picture}\n{self.said()}") from None

    # An operator's hands

    def click(self, name: str, kind: str = "", within: str = "", timeout: float = PATIENCE_S, times: int = 1) -> None:
        """Click the middle of what is enabled, in sight and at rest, rolling the wheel to bring it into sight."""
        widget = self.ready(name, kind, within, timeout)
        self.desktop.xdotool("mousemove", *widget.centre)
        self.desktop.xdotool("click", "--repeat", times, "--delay", 60, 1)

    def choose(self, *path: str) -> None:
        """Click through the menus: ``choose("File", "Open…")``."""
        for name in path:
            self.click(name, kind="action")

    def pick(self, name: str, item: str, within: str = "") -> None:
        """Choose an item of a combo box."""
        self.click(name, "QComboBox", within)
        self.click(item, "item", "QComboBoxPrivateContainer")

    def set(self, name: str, value: object, kind: str = "", within: str = "") -> None:
        """Write a value into a spin box or a line edit and leave it with Tab."""
        self.click(name, kind, within)
        self.press("ctrl+a")
        self.type(str(value))
        self.press("Tab")

    def press(self, *keys: str) -> None:
        """Press keys, such as ``ctrl+o``, ``Return`` or ``alt+f``, one after another."""
        self.desktop.xdotool("key", "--delay", 40, *keys)

    def type(self, text: str) -> None:
        """Type a text where the keyboard's focus is."""
        self.desktop.xdotool("type", "--delay", 12, text)

    def ready(self, name: str, kind: str = "", within: str = "", timeout: float = PATIENCE_S) -> Widget:
        """Wait until a widget can be clicked, and return it."""
        self.widget(name, kind, within, timeout)
        before: list[Widget] = []

        def at_rest() -> bool:
            now = self.find(name, kind, within)
            rests = now == before and len(now) == 1 and now[0].enabled and now[0].in_sight and now[0].reachable
            if len(now) == 1 and now[0].wheel:
                x, y, button = now[0].wheel
                self.desktop.xdotool("mousemove", x, y, "click", "--repeat", 3, "--delay", 10, button)
            before[:] = now
            return rests

        try:
            self.wait_until(at_rest, f"{name!r} can be clicked", timeout)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{before}") from None
        return before[0]

    # The end

    def end(self) -> None:
        """End the program, by force if need be."""
        end(self.process)


def quiet(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
