"""Pictures of an object for a logbook: 32-bit TIFF with the pixel size, PNG with colour bar and scale bar.

An object is determined up to a constant phase, and up to a phase ramp against the positions. Pictures, and only
pictures, remove the mean phase, so that two reconstructions of a sample look alike; `display_phase` also removes the
ramp on request. Amplitudes are as reconstructed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from ptycho_core import __version__
from ptycho_core.base.atomic import atomic_write
from ptycho_core.formats.writers.facts import caption_of, facts_of
from ptycho_core.scan.reconstruction import Reconstruction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SOFTWARE = f"ptycho {__version__}"
PICTURED = 0.05
"""A pixel is part of the picture where its coverage is at least this fraction of the greatest."""


def display_phase(recon: Reconstruction, *, remove_ramp: bool = False) -> NDArray[np.float32]:
    """Return the object's phase (H, W) in radians, -pi to pi, without its mean and, if asked, without its ramp.

    The mean is the angle of the sum of the object weighted by coverage. The ramp per pixel is the weighted mean
    angle between neighbours (S. Kay, IEEE Trans. ASSP 37 (1989) 1987), which needs no unwrapping.
    """
    field = recon.object.astype(np.complex128)
    weight = recon.coverage.astype(np.float64)
    if remove_ramp:
        weighted = field * weight
        slope_y = np.angle(np.vdot(weighted[:-1], weighted[1:]))
        slope_x = np.angle(np.vdot(weighted[:, :-1], weighted[:, 1:]))
        rows, columns = np.ogrid[: field.shape[0], : field.shape[1]]
        field *= np.exp(-1j * (slope_y * rows + slope_x * columns))
    mean = np.angle(np.sum(field * weight))
    phase: NDArray[np.float32] = np.angle(field * np.exp(-1j * mean)).astype(np.float32)
    return phase


def write_tiff(recon: Reconstruction, amplitude_path: Path, phase_path: Path) -> None:
    """Write amplitude and phase (radians, mean removed) as 32-bit float TIFF of the whole canvas.

    The pixel size is in the resolution tags, in pixels per micrometre, and the unit in the description, as ImageJ
    reads and writes them; without a pixel size the resolution is 1 pixel per pixel. What is known of the picture
    (`facts_of`) is where ImageJ has it too: *Image > Show Info*.

    Raises
    ------
    PtychoError
        A file cannot be written.
    """
    dy, dx = recon.pixel_size_m or (1.0, 1.0)
    facts = "\n".join(f"{name}: {text}" for name, text in facts_of(recon).items())
    micro, unit = (1e6, "um") if recon.pixel_size_m is not None else (1.0, "pixel")
    for path, values in ((amplitude_path, np.abs(recon.object)), (phase_path, display_phase(recon))):
        image = values.astype(np.float32)
        encoded = io.BytesIO()  # tifffile writes to a disk by C's stdio, which hides why a write failed
        tifffile.imwrite(
            encoded,
            image,
            imagej=True,
            resolution=(1 / (dx * micro), 1 / (dy * micro)),
            metadata={"unit": unit, "axes": "YX", "Info": facts},
            software=SOFTWARE,
            datetime=datetime.now(),
        )
        with atomic_write(path, _same_values(image)) as temporary:
            temporary.write_bytes(encoded.getbuffer())


def _same_values(image: NDArray[np.float32]) -> Callable[[Path], None]:
    def check(temporary: Path) -> None:
        if not np.array_equal(tifffile.imread(temporary), image, equal_nan=True):
            raise ValueError("other values than were written")

    return check


def write_png(recon: Reconstruction, amplitude_path: Path, phase_path: Path, *, remove_ramp: bool = False) -> None:
    """Write pictures of amplitude and phase, cropped to where the beam has been, with colour bar, scale bar, caption.

    The amplitude is grey, over its 0.5 to 99.5 percentiles; the phase as `phase_style` says. What is known of the
    picture (`facts_of`) is in chunks of text.

    Raises
    ------
    PtychoError
        A file cannot be written.
    """
    amplitude, phase = cropped_images(recon, remove_ramp=remove_ramp)
    for path, image, style in (
        (amplitude_path, amplitude, amplitude_style(amplitude)),
        (phase_path, phase, phase_style(phase)),
    ):
        figure = _picture(image, recon.name, caption_of(recon), recon.pixel_size_m, style)
        with atomic_write(path, is_png) as temporary:
            figure.savefig(temporary, dpi=200, metadata=png_texts(recon))


def cropped_images(
    recon: Reconstruction, *, remove_ramp: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return amplitude and phase (h, w) of where the beam has been; NaN in what it left out within that."""
    covered = covered_area(recon.coverage)
    window = bounding_box(covered)

    def cropped(values: NDArray[Any]) -> NDArray[np.float32]:
        return np.where(covered, values, np.float32(np.nan))[window].astype(np.float32)

    return cropped(np.abs(recon.object)), cropped(display_phase(recon, remove_ramp=remove_ramp))


def png_texts(recon: Reconstruction) -> dict[str, str]:
    """Return the texts that a PNG of a reconstruction carries."""
    return {"Title": recon.name, "Software": SOFTWARE, **facts_of(recon)}


class Style(NamedTuple):
    """How values become colours: ``limits`` are those at the beginning and at the part ``last`` (0 to 1) of a map."""

    label: str
    cmap: str
    last: float
    limits: tuple[float, float]


def amplitude_style(amplitude: NDArray[np.float32]) -> Style:
    """Return how to show an amplitude: in grey, over its 0.5 to 99.5 percentiles."""
    return Style("amplitude", "gray", 1.0, _percentiles(amplitude))


def phase_style(phase: NDArray[np.float32]) -> Style:
    """Return how to show a phase in radians: in a cyclic map over the whole circle.

    Where 99 % of the values lie within half a circle, the map is used over them alone, and only its half from light
    to dark: a weak phase object would hardly show otherwise.
    """
    low, high = _percentiles(phase)
    if high - low > np.pi:
        return Style("phase (rad)", "twilight", 1.0, (-np.pi, np.pi))
    return Style("phase (rad)", "twilight", 0.5, (low, high))


def _percentiles(image: NDArray[np.float32]) -> tuple[float, float]:
    known = image[np.isfinite(image)]
    low, high = np.percentile(known, (0.5, 99.5)) if known.size else (0.0, 1.0)
    return float(low), float(high)


def covered_area(coverage: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) belong to the picture, without the specks of a noisy probe's rim."""
    lit = coverage >= PICTURED * max(coverage.max(), np.finfo(np.float32).tiny)
    from scipy.ndimage import binary_opening  # as in grouping

    return np.asarray(binary_opening(lit, iterations=2))


def bounding_box(covered: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all true pixels; everything if there are none."""
    if not covered.any():
        return slice(None), slice(None)
    rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def is_png(temporary: Path) -> None:
    """Raise where a file is no PNG that reads back."""
    from matplotlib.image import imread

    imread(temporary)


def _picture(
    image: NDArray[np.float32], title: str, caption: str, pixel_size_m: tuple[float, float] | None, style: Style
) -> Figure:
    # matplotlib takes a third of a second to import: only who draws pays
    from matplotlib.figure import Figure

    height, width = image.shape
    dy, dx = pixel_size_m or (1.0, 1.0)
    tall = float(np.clip(4.8 * height * dy / (width * dx), 2.0, 9.0))
    figure = Figure(figsize=(6.0, tall + 0.4), layout="constrained")
    axes = figure.add_subplot()
    shown = draw_picture(axes, image, pixel_size_m, style)
    axes.set_title(title, parse_math=False)
    if caption:
        figure.supxlabel(caption, fontsize="small", parse_math=False)
    mark_angles(figure.colorbar(shown, ax=axes, label=style.label, shrink=0.9), style)
    return figure


def draw_picture(
    axes: Axes, image: NDArray[np.float32], pixel_size_m: tuple[float, float] | None, style: Style, size: float = 10.0
) -> AxesImage:
    """Draw a picture into axes, which lose their frame; its scale bar has letters of this size in points."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar  # type: ignore[import-untyped]

    height, width = image.shape
    dy, dx = pixel_size_m or (1.0, 1.0)
    colours = ListedColormap(colormaps[style.cmap](np.linspace(0, style.last, 256)))
    low, high = style.limits
    shown = axes.imshow(image, cmap=colours, vmin=low, vmax=high, aspect=dy / dx, interpolation="nearest")
    axes.set_axis_off()
    length, text = scale_bar(width, dx if pixel_size_m is not None else None)
    inside = {"pad": 0.05 * size, "sep": 0.4 * size, "size_vertical": height / 120, "fontproperties": {"size": size}}
    axes.add_artist(AnchoredSizeBar(axes.transData, length, text, "lower left", **inside))
    return shown


def mark_angles(bar: Colorbar, style: Style) -> None:
    """Mark a colour bar in parts of the circle, where it goes round it."""
    if style.limits == (-np.pi, np.pi):
        bar.set_ticks([-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], labels=["−π", "−π/2", "0", "π/2", "π"])


def scale_bar(width: int, pixel_m: float | None) -> tuple[float, str]:
    """Return length in pixels and text of a scale bar of a round size: 1, 2 or 5 times a power of ten.

    The longest that covers at most 30 % of the picture's width, in nanometres or micrometres, or in pixels where
    the pixel size is unknown.
    """
    longest = 0.3 * width * (pixel_m if pixel_m is not None else 1.0)
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    if pixel_m is None:
        return length, f"{length:g} px"
    text = f"{length * 1e6:g} µm" if length >= 0.9995e-6 else f"{length * 1e9:g} nm"
    return length / pixel_m, text
