"""Light and dark: the application's colour scheme, and the colours that plots take from it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QPalette

SCHEMES = {
    "system": Qt.ColorScheme.Unknown,
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
}
"""What an operator may choose."""


@dataclass(frozen=True)
class Colours:
    """Colours of plots as #rrggbb; ``series`` are told apart by people with any colour vision too."""

    background: str
    foreground: str
    muted: str
    good: str
    warning: str
    error: str
    series: tuple[str, ...]


# The series are those of Okabe and Ito (2008), the light ones darkened on white.
_LIGHT = Colours(
    "#ffffff", "#202124", "#80868b", "#1e7e34", "#9a5b00", "#b3261e",
    ("#0072b2", "#d55e00", "#007a5a", "#a8548a", "#8a6d00", "#2a8cc0", "#404040"),
)  # fmt: skip
_DARK = Colours(
    "#1b1c1f", "#e3e4e6", "#8d9297", "#6fcf8a", "#ffb74d", "#ff8a80",
    ("#56b4e9", "#ff9a3c", "#2fc99a", "#e39ac6", "#f0e442", "#4f9fe0", "#cfd2d6"),
)  # fmt: skip


def choose(scheme: str) -> None:
    """Force light or dark, or follow the system: a key of `SCHEMES`."""
    QGuiApplication.styleHints().setColorScheme(SCHEMES[scheme])


def is_dark() -> bool:
    """Whether the palette in force is a dark one."""
    return QGuiApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128


def colours() -> Colours:
    """Return the colours for the scheme in force. Ask again in ``changeEvent`` of type ``PaletteChange``."""
    return _DARK if is_dark() else _LIGHT
