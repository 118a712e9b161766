"""Light and dark: the application's colour scheme, and the colours that plots take from it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette

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


# Window, text, fields, every second row, buttons, links and selection, disabled text.
_LIGHT_ROLES = ("#efeff0", "#202124", "#ffffff", "#f5f5f6", "#f7f7f8", "#0b57d0", "#8a8d91")
_DARK_ROLES = ("#2a2b2e", "#e3e4e6", "#1b1c1f", "#232427", "#37393d", "#7fb0ff", "#7d8187")


def choose(scheme: str) -> None:
    """Force light or dark, or follow the system: a key of `SCHEMES`.

    The palettes are our own, because where no desktop runs Qt has only a light one.
    """
    hints, application = QGuiApplication.styleHints(), QGuiApplication.instance()
    hints.setColorScheme(SCHEMES[scheme])
    dark = scheme == "dark" or (scheme == "system" and hints.colorScheme() == Qt.ColorScheme.Dark)
    assert isinstance(application, QGuiApplication)
    application.setPalette(_palette(_DARK_ROLES if dark else _LIGHT_ROLES, dark))


def _palette(roles: tuple[str, ...], dark: bool) -> QPalette:
    window, text, base, alternate, button, highlight, disabled = map(QColor, roles)
    role = QPalette.ColorRole
    palette = QPalette(button, window)
    for which, colour in {
        role.WindowText: text, role.Text: text, role.ButtonText: text, role.ToolTipText: text,
        role.Base: base, role.ToolTipBase: base, role.AlternateBase: alternate,
        role.Highlight: highlight, role.Accent: highlight, role.Link: highlight,
        role.HighlightedText: QColor("#10131a" if dark else "#ffffff"), role.PlaceholderText: disabled,
    }.items():  # fmt: skip
        palette.setColor(which, colour)
    for which in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, disabled)
    return palette


def is_dark() -> bool:
    """Whether the palette in force is a dark one."""
    return QGuiApplication.palette().color(QPalette.ColorRole.Window).lightness() < 128


def colours() -> Colours:
    """Return the colours for the scheme in force. Ask again in ``changeEvent`` of type ``PaletteChange``."""
    return _DARK if is_dark() else _LIGHT
