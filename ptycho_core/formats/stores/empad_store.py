"""The EMPAD detector's ``.raw`` file and the ``.xml`` beside it.

Layout, as RosettaSciIO (``rsciio/empad``) and LiberTEM read it: float32, little-endian, 130 rows of 128 pixels for each
pattern, of which the last two are no picture. The XML names the raw file and says how large the raster is.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import numpy as np

from ptycho_core.base.errors import InputError
from ptycho_core.formats.stores.frames import FrameSource, FrameStore, count_frames
from ptycho_core.formats.stores.store import reading

_SIDE, _ROWS = 128, 130
_STRIDE = _ROWS * _SIDE * 4
_LARGEST_XML = 2**20
_SIZE_IN_NAME = re.compile(r"_x(\d+)_y(\d+)", re.IGNORECASE)


class EmpadStore(FrameStore):
    """An EMPAD scan, opened by its XML or by its raw file.

    Its attributes are ``scan_x`` and ``scan_y``, the patterns in a line and the lines, and ``step_x`` and ``step_y`` in
    metres, as far as the XML says.
    """

    container: ClassVar[str] = "empad"

    def __init__(self, path: Path) -> None:
        xml, raw = _xml_of(path), path
        root = ElementTree.Element("root")
        if xml is not None:
            with reading(xml, "its XML"):
                root = _parsed(xml)
                named = root.find("raw_file")
                if xml == path and named is not None:
                    raw = path.with_name(re.split(r"[/\\]", named.get("filename", ""))[-1])
        if not raw.is_file():
            raise InputError(f"{path} names the raw file '{raw.name}', which is missing: put that file beside it")
        n = count_frames(raw, _STRIDE)
        source = FrameSource(raw, (n, _SIDE, _SIDE), np.dtype("<f4"), 0, _STRIDE)
        super().__init__(path, source, _stated(root, raw.name))


def is_empad(path: Path, start: bytes) -> bool:
    """Tell whether a file, by its first bytes, is the XML of an EMPAD or a raw file.

    The latter has an XML beside it or, without one, ``.raw`` in its name and the size of whole frames.
    """
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _names_raw_file(path)
    size = path.stat().st_size
    whole = path.suffix.lower() == ".raw" and size % _STRIDE == 0
    return size >= _STRIDE and (whole or _xml_of(path) is not None)


def _names_raw_file(path: Path) -> bool:
    try:
        return path.stat().st_size <= _LARGEST_XML and _parsed(path).find("raw_file") is not None
    except (OSError, InputError, ElementTree.ParseError, ValueError):
        return False


def _xml_of(path: Path) -> Path | None:
    """Return the XML that is meant: this file, or the one of its name or its folder's beside it; None without any."""
    candidates = (path, path.with_suffix(".xml"), path.parent / f"{path.parent.name}.xml")
    return next((one for one in candidates if one.is_file() and _names_raw_file(one)), None)


def _parsed(path: Path) -> ElementTree.Element:
    text = path.read_bytes()[: _LARGEST_XML + 1]
    if len(text) > _LARGEST_XML or b"<!" in text.replace(b"<!--", b""):  # entities can be made to grow without end
        raise InputError(f"{path} is no XML of an EMPAD: it is too long, or declares entities")
    return ElementTree.fromstring(text)


def _stated(root: ElementTree.Element, raw_name: str) -> dict[str, Any]:
    in_name = _SIZE_IN_NAME.search(raw_name)
    x, y = _number(root, "pix_x"), _number(root, "pix_y")
    if not (x and y) and in_name:
        x, y = float(in_name[1]), float(in_name[2])
    if not (x and y and x.is_integer() and y.is_integer()):
        return {}
    steps = _steps_m(root, x, y)
    return {"scan_x": int(x), "scan_y": int(y), **({"step_y": steps[0], "step_x": steps[1]} if steps else {})}


def _number(root: ElementTree.Element, path: str) -> float | None:
    try:
        value = float(root.findtext(path) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def _steps_m(root: ElementTree.Element, columns: float, lines: float) -> tuple[float, float] | None:
    """Return the steps from line to line and along a line, by the field of view in either spelling."""
    of = "iom_measurements/full_scan_field_of_view"
    longer_side, factor = _number(root, f"{of}/x"), _number(root, f"{of}/scale_factor")
    if longer_side and factor:
        step = longer_side / factor / max(columns, lines)
        return step, step
    sides = re.findall(r"[-+.\deE]+", root.findtext("iom_measurements/optics.get_full_scan_field_of_view") or "")
    try:
        height, width = map(float, sides)
    except ValueError:
        return None
    return (height / lines, width / columns) if 0 < min(height, width) < math.inf else None
