"""Everything that can be exported, by name: `export`, `write_scan`; and `read_reconstruction`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.errors import InputError, did_you_mean
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.writers.cxi_image import write_cxi_image
from ptycho_core.formats.writers.cxi_scan import write_cxi_scan
from ptycho_core.formats.writers.images import write_png, write_tiff
from ptycho_core.formats.writers.npz import read_npz, write_npz
from ptycho_core.formats.writers.page import write_page
from ptycho_core.formats.writers.product import read_product, write_product
from ptycho_core.formats.writers.ptychopinn import write_ptychopinn
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exporter:
    """A format for reconstructions.

    Parameters
    ----------
    files
        Names of the files it writes into a folder.
    suffixes
        Endings by which a path names a file of this format.
    write
        Called with the reconstruction and one path for each of ``files``, or for that of the path's ending alone.
    help
        One line for the operator.
    """

    files: tuple[str, ...]
    suffixes: tuple[str, ...]
    write: Callable[..., None]
    help: str


EXPORTERS: dict[str, Exporter] = {
    "npz": Exporter(
        ("reconstruction.npz",), (".npz",), write_npz, "object, probe, coverage, positions and metrics for NumPy"
    ),
    "product": Exporter(
        ("product.h5",), (".h5", ".hdf5"), write_product, "object, probe, positions and losses for ptychodus"
    ),
    "cxi": Exporter(("reconstruction.cxi",), (".cxi",), write_cxi_image, "object and probe as CXI 1.6 images"),
    "tiff": Exporter(
        ("amplitude.tif", "phase.tif"),
        (".tif", ".tiff"),
        write_tiff,
        "amplitude and phase, 32-bit float with pixel size, for ImageJ",
    ),
    "png": Exporter(
        ("amplitude.png", "phase.png"),
        (".png",),
        write_png,
        "pictures of amplitude and phase with colour bar and scale bar",
    ),
    "page": Exporter(
        ("page.pdf", "page.png"),
        (".pdf", ".png"),
        write_page,
        "a page for the logbook: object, probe, verdict, figures, settings, note",
    ),
}
USUAL = ("npz", "product", "tiff", "png")
"""Formats in which every reconstruction is written."""


def export(recon: Reconstruction, path: str | Path, format: str | None = None) -> list[Path]:
    """Write a reconstruction for other programs.

    Parameters
    ----------
    recon
        What to write.
    path
        A file's name with the format's ending, or a folder, which is made if need be. A format of several files
        puts their names after the stem of a file's name: ``star.png`` gives ``star_amplitude.png`` and
        ``star_phase.png``; ``star.pdf``, of which there is but one, ``star.pdf``.
    format
        A key of `EXPORTERS`: npz, product, cxi, tiff, png or page; None goes by the path's ending.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        No such format, or no such ending.
    PtychoError
        A file or folder cannot be written.
    """
    target = Path(path)
    exporter, files = files_of_export(target, format)
    if files[0].parent == target:
        with explain_write_errors(target):
            target.mkdir(parents=True, exist_ok=True)
    exporter.write(recon, *files)
    _log.info("wrote %s", ", ".join(map(str, files)))
    return files


def files_of_export(target: Path, format: str | None = None) -> tuple[Exporter, list[Path]]:
    """Return who writes a reconstruction to a target as `export` takes it, and the files that this makes.

    Raises
    ------
    InputError
        No such format, or no such ending.
    """
    format = format or _export_format_of(target)
    if format not in EXPORTERS:
        raise InputError(f"there is no export format {format!r}; {did_you_mean(format, EXPORTERS)}")
    exporter = EXPORTERS[format]
    if target.suffix.lower() not in exporter.suffixes or target.is_dir():
        return exporter, [target / name for name in exporter.files]
    alike = [name for name in exporter.files if Path(name).suffix == target.suffix.lower()] or exporter.files
    if len(alike) == 1:
        return exporter, [target]
    return exporter, [target.with_name(f"{target.stem}_{Path(name).stem}{target.suffix}") for name in alike]


def _export_format_of(target: Path) -> str:
    for name, exporter in EXPORTERS.items():
        if target.suffix.lower() in exporter.suffixes:
            return name
    endings = ", ".join(suffix for exporter in EXPORTERS.values() for suffix in exporter.suffixes)
    raise InputError(f"{target} must end in one of {endings}, or the format be named: {', '.join(EXPORTERS)}")


def read_reconstruction(path: str | Path) -> Reconstruction:
    """Read a reconstruction from our NPZ or from a ptychodus product (HDF5 or NPZ), told apart by their content.

    Raises
    ------
    InputError
        Neither of them, or damaged.
    """
    with open_store(Path(path)) as store:
        if "probe_position_x_m" in store:
            return read_product(store)
        return read_npz(store)


class _ScanWriter(Protocol):
    def __call__(self, scan: Scan, path: Path, *, compress: bool = True) -> None: ...


SCAN_WRITERS: dict[str, _ScanWriter] = {"cxi": write_cxi_scan, "ptychopinn": write_ptychopinn}
_SCAN_SUFFIXES = {".npz": "ptychopinn", ".cxi": "cxi"}


def scan_format_of(path: str | Path) -> str:
    """Return the key of `SCAN_WRITERS` that the ending of a path stands for; raises `InputError` if none."""
    format = _SCAN_SUFFIXES.get(Path(path).suffix.lower())
    if format is None:
        raise InputError(f"{path} must end in {' or '.join(_SCAN_SUFFIXES)}")
    return format


def write_scan(scan: Scan, path: str | Path, format: str | None = None, *, compress: bool = True) -> Path:
    """Write a scan for other programs, pattern by pattern.

    Parameters
    ----------
    scan
        What to write; its patterns are read batch by batch.
    path
        The file to write or replace.
    format
        A key of `SCAN_WRITERS`: cxi or ptychopinn; None goes by the path's ending, .cxi or .npz.
    compress
        False writes a larger file that is read faster; an NPZ can then be mapped into memory.

    Raises
    ------
    InputError
        No such format or ending, or a scan without patterns.
    PtychoError
        The file cannot be written.
    """
    format = format or scan_format_of(path)
    if format not in SCAN_WRITERS:
        raise InputError(f"there is no scan format {format!r} to write; {did_you_mean(format, SCAN_WRITERS)}")
    if not len(scan):
        raise InputError("a scan without patterns cannot be written")
    target = Path(path)
    SCAN_WRITERS[format](scan, target, compress=compress)
    _log.info("wrote %s", target)
    return target
