"""What the window remembers from one start to the next, in a versioned INI file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

VERSION = 1
_RECENT = 10


def preferences_path() -> Path:
    """Return where the INI file is."""
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppConfigLocation)
    return Path(folder) / "window.ini"


class Preferences:
    """Reads and writes the INI file; one of another version, or a damaged one, is as good as none.

    Parameters
    ----------
    path
        Of the file.
    fresh
        Ignore what is saved.
    """

    def __init__(self, path: Path, fresh: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._settings = QSettings(str(path), QSettings.Format.IniFormat)
        if fresh or self._settings.value("version") != str(VERSION):
            self._settings.clear()
            self._settings.setValue("version", str(VERSION))

    @property
    def recent(self) -> list[Path]:
        """Scans that were opened, the newest first."""
        return [Path(text) for text in self._texts("recent")]

    def add_recent(self, path: Path) -> None:
        """Put a scan first in the list."""
        others = [other for other in self.recent if other != path]
        self._settings.setValue("recent", [str(other) for other in (path, *others)][:_RECENT])

    def forget_recent(self) -> None:
        """Empty the list."""
        self._settings.setValue("recent", [])

    def folder(self, purpose: str) -> Path:
        """Return the folder last used for a purpose, such as "open"; the home folder at first."""
        return Path(self.text(f"folder_{purpose}") or Path.home())

    def set_folder(self, purpose: str, folder: Path) -> None:
        """Remember the folder used for a purpose."""
        self.set_text(f"folder_{purpose}", str(folder))

    def text(self, key: str) -> str:
        """Return a short text; empty at first."""
        value = self._settings.value(key)
        return value if isinstance(value, str) else ""

    def set_text(self, key: str, value: str) -> None:
        """Remember a short text."""
        self._settings.setValue(key, value)

    def texts(self, key: str) -> list[str]:
        """Return a list of words; empty at first."""
        return self._texts(key)

    def set_texts(self, key: str, values: list[str]) -> None:
        """Remember a list of words."""
        self._settings.setValue(key, values)

    def bytes(self, key: str) -> QByteArray:
        """Return what Qt saved of a window; empty at first."""
        value: Any = self._settings.value(key)
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_bytes(self, key: str, value: QByteArray) -> None:
        """Remember what Qt saves of a window."""
        self._settings.setValue(key, value)

    def save(self) -> None:
        """Write the file now."""
        self._settings.sync()

    def _texts(self, key: str) -> list[str]:
        value = self._settings.value(key)
        if isinstance(value, str):  # Qt reads a list of one back as text
            return [value] if value else []
        return [str(item) for item in value] if isinstance(value, list) else []
