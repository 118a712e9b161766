"""Numbers and times as tables show them."""

from __future__ import annotations

import math
from datetime import datetime

from PySide6.QtCore import QLocale

UNKNOWN = "–"


def figure(value: float | None) -> str:
    """Return a metric with four decimals, or with as many digits as make sense where it is very small or large."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 10_000 else f"{value:.3g}"


def minute(time: datetime) -> str:
    """Return a time as the clock on the wall shows it, without seconds."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def file_size(size: int | None) -> str:
    """Return a number of bytes with a unit."""
    return UNKNOWN if size is None else QLocale.c().formattedDataSize(size, 1)


def span(seconds: float) -> str:
    """Return how long something took: ``8 s``, ``2 min 5 s``, ``3 h 10 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def begun(text: str) -> str:
    """Return a text with its first letter large, as the beginning of a sentence; the rest is as it was."""
    return text[:1].upper() + text[1:]


def plain(name: str) -> str:
    """Return the name of a metric as a heading: ``poisson_val_loss`` is "Poisson val loss"."""
    return name.replace("_", " ").capitalize()
