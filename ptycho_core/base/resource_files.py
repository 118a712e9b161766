"""Where the files that are shipped beside the code lie."""

from __future__ import annotations

from pathlib import Path

_PLACES = (Path(__file__).parents[1] / "shipped", Path(__file__).parents[2])  # installed; a checkout


def resource(name: str) -> Path:
    """Return the path of a shipped file or folder, such as ``resources/icons/open.svg`` or ``docs/guide.md``.

    Raises
    ------
    FileNotFoundError
        It is not there.
    """
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(f"{name} is not in {' or '.join(map(str, _PLACES))}")
