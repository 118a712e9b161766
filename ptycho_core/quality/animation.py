"""The course of a run as a moving picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import PreviewReady, StopToken
from ptycho_core.formats.writers.images import Style, bounding_box, draw_picture, is_png
from ptycho_core.quality.picture import Options
from ptycho_core.quality.picture_making import make_pictures, subject_of_preview

ENDINGS = (".gif", ".png")
"""Of animated GIF and PNG."""
_FRAMES_PER_SECOND, _LAST_FRAMES = 6, 9
"""The last one stays for as many."""
_SIZE, _DPI = (8.0, 4.6), 100


def check_animation(path: Path) -> None:
    """Raise `InputError` where a path does not end as an animation can be written."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path} must end in {' or '.join(ENDINGS)}")


def write_animation(
    previews: Sequence[PreviewReady],
    path: Path,
    *,
    name: str,
    stop: StopToken | None = None,
) -> None:
    """Write the pictures that were made while a run went on, one after another: amplitude beside phase.

    All have the colours of the last one.

    Parameters
    ----------
    previews
        In their order.
    path
        Ends in one of `ENDINGS`.
    name
        Of the run, for the title.
    stop
        Leaves at once when it is cancelled.

    Raises
    ------
    InputError
        There are no previews, or the path ends otherwise.
    PtychoError
        The file cannot be written.
    """
    check_animation(path)
    if not previews:
        raise InputError("no pictures were kept while this run went on: it made none, or is of before version 0.2")
    from matplotlib.animation import PillowWriter  # as in images
    from matplotlib.figure import Figure

    token = stop or StopToken()
    pictures = [_pictured(preview, token) for preview in previews]
    styles = pictures[-1][1]
    figure, writer = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained"), PillowWriter(fps=_FRAMES_PER_SECOND)
    with atomic_write(path, is_png if path.suffix.lower() == ".png" else None) as temporary:
        writer.setup(figure, temporary)
        for preview, (images, _) in zip(previews, pictures, strict=True):
            token.leave_if_cancelled()
            figure.clear()
            figure.suptitle(f"{name}: {preview.moment}", parse_math=False)
            side = preview.pixel_size_m
            pixel = None if side is None else (preview.binning * side[0], preview.binning * side[1])
            for axes, quantity in zip(figure.subplots(1, 2), ("amplitude", "phase"), strict=True):
                draw_picture(axes, images[quantity], pixel, styles[quantity])
                axes.set_title(styles[quantity].label)
            writer.grab_frame()
        for _ in range(_LAST_FRAMES):
            writer.grab_frame()
        writer.finish()


def _pictured(preview: PreviewReady, token: StopToken) -> tuple[dict[str, NDArray[np.float32]], dict[str, Style]]:
    """Return what is shown of a preview, cropped to where there was light, and how to show it."""
    subject = subject_of_preview(preview)
    picture, window = make_pictures(subject, Options(), token).object, bounding_box(subject.covered)
    return {name: pyramid.levels[0][window] for name, pyramid in picture.images.items()}, picture.styles
