"""The CXI file of a reconstruction: the object as ``image_1``, the probe as ``image_2``, and how they were made."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core import __version__
from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.codec import json_ready
from ptycho_core.formats.writers.cxi_groups import (
    PIXEL_INSIDE_SUPPORT,
    create_entry,
    write_instrument,
    write_translation,
)
from ptycho_core.formats.writers.disk_file import DiskFile
from ptycho_core.scan.reconstruction import Reconstruction


def write_cxi_image(recon: Reconstruction, path: Path) -> None:
    """Write object and probe as CXI 1.6 images, ``entry_1/image_1`` and ``entry_1/image_2``.

    ``data`` is complex, ``data_type`` "amplitude" (the specification's word for a phased image), ``data_space``
    "real", ``is_fft_shifted`` 0, ``image_size`` in metres where the pixel size is known. The object's ``mask`` has
    the support bit where the beam has been; the probe's first axis counts its modes. Both share ``process_1``:
    program, version, date, the command line of this program, the history as comments, config and metrics as notes.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """

    def check(temporary: Path) -> None:
        with h5py.File(temporary, "r") as file:
            for number, values in ((1, recon.object), (2, recon.probe)):
                if not np.array_equal(file[f"entry_1/image_{number}/data"], values, equal_nan=True):
                    raise ValueError("other values than were written")

    with atomic_write(path, check) as temporary, DiskFile(temporary) as disk, h5py.File(disk, "w") as file:
        entry = create_entry(file)
        entry["title"] = recon.name or "reconstruction"
        write_instrument(entry, recon.geometry, recon.probe.shape[-1])
        write_translation(entry, recon.positions_px, recon.geometry, recon.probe.shape[-1])
        if recon.recorded_positions_px is not None:
            entry["sample_1/geometry_1/recorded_positions_px"] = recon.recorded_positions_px
        image = _write_image(entry, "image_1", recon.object, recon.pixel_size_m)
        image["mask"] = np.where(recon.coverage > 0, np.uint32(PIXEL_INSIDE_SUPPORT), np.uint32(0))
        _write_process(image.create_group("process_1"), recon)
        probe = _write_image(entry, "image_2", recon.probe, recon.pixel_size_m)
        probe["mode"] = np.arange(len(recon.probe))
        probe["data"].attrs["axes"] = "mode:y:x"
        probe["process_1"] = h5py.SoftLink(f"{image.name}/process_1")
        entry["data_1/data"] = h5py.SoftLink(f"{image.name}/data")


def _write_image(
    entry: h5py.Group, name: str, data: NDArray[Any], pixel_size_m: tuple[float, float] | None
) -> h5py.Group:
    image = entry.create_group(name)
    image["data"] = data
    image["data_type"] = "amplitude"
    image["data_space"] = "real"
    image["dimensionality"] = 2
    image["is_fft_shifted"] = 0
    if pixel_size_m is not None:
        height, width = data.shape[-2:]
        image["image_size"] = np.array([width * pixel_size_m[1], height * pixel_size_m[0], 0.0])
    for device in ("source_1", "detector_1"):
        image[device] = h5py.SoftLink(f"{entry.name}/instrument_1/{device}")
    return image


def _write_process(process: h5py.Group, recon: Reconstruction) -> None:
    process["program"] = "ptycho"
    process["version"] = __version__
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    process["command"] = shlex.join(sys.argv)
    process["comments"] = "\n".join(filter(None, (recon.comments, *recon.history)))
    for number, (description, value) in enumerate((("config", recon.config), ("metrics", recon.metrics)), start=1):
        note = process.create_group(f"note_{number}")
        note["description"] = description
        note["type"] = "application/json"
        note["data"] = json.dumps(json_ready(value))
