"""The ptychodus product (HDF5): a reconstruction that ptychodus opens, and that we read back.

Layout after ptychodus' own ``save_product`` (repository AdvancedPhotonSource/ptychodus, ``api/io.py``). What it has
no place for is kept in a group ``ptycho``, which ptychodus ignores.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.codec import json_ready
from ptycho_core.base.errors import InputError
from ptycho_core.formats.readers.ptychodus import ENERGIES_EV
from ptycho_core.formats.stores.open_store import open_store
from ptycho_core.formats.stores.store import Store, reading
from ptycho_core.formats.writers.disk_file import DiskFile
from ptycho_core.formats.writers.npz import RECORDED, fields_from_metadata, metadata_of, read_json
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry

LENGTHS_IN_PIXELS = "lengths_in_pixels"
"""Root attribute, true where the pixel size is unknown and one metre in the file stands for one object pixel."""

_OURS = "ptycho"
_NOTE_IN_PIXELS = "The pixel size is unknown: one metre in this file stands for one object pixel."


def write_product(recon: Reconstruction, path: Path) -> None:
    """Write a reconstruction as a ptychodus product.

    ``object`` [1, H, W] and ``probe`` [1, M, N, N] complex64, positions in metres relative to the object's centre,
    +y down as in ptychodus, loss history, and the root attributes that ptychodus requires. What is not known and
    has no way of being left out (distance, energy, exposure, attenuation, angle) is 0, as in ptychodus.

    ptychodus cannot open a product without a pixel size. Where it is not known, it is written as 1 m, so that
    lengths are numbers of pixels and everything fits together; ``comments`` and the attribute
    ``lengths_in_pixels`` say so.

    Raises
    ------
    PtychoError
        The file cannot be written.
    """

    def check(temporary: Path) -> None:
        with open_store(temporary) as store:
            back = read_product(store)
        same = np.array_equal(back.object, recon.object, equal_nan=True) and np.array_equal(back.probe, recon.probe)
        if not same or len(back.positions_px) != len(recon.positions_px):
            raise ValueError("other values than were written")

    with atomic_write(path, check) as temporary, DiskFile(temporary) as disk, h5py.File(disk, "w") as file:
        _write(recon, file)


def _write(recon: Reconstruction, file: h5py.File) -> None:
    known = recon.pixel_size_m is not None
    dy, dx = recon.pixel_size_m or (1.0, 1.0)
    file.attrs.update(
        name=recon.name or "reconstruction",
        comments=recon.comments if known else f"{recon.comments} {_NOTE_IN_PIXELS}".strip(),
        detector_object_distance_m=recon.geometry.distance_m or 0.0,
        **dict.fromkeys(ENERGIES_EV, recon.geometry.energy_ev or 0.0),
        probe_photon_count=float(np.sum(np.abs(recon.probe).astype(np.float64) ** 2)),
        exposure_time_s=0.0,
        mass_attenuation_m2_kg=0.0,
        tomography_angle_deg=0.0,
    )
    file.attrs[LENGTHS_IN_PIXELS] = not known
    file["probe_position_indexes"] = recon.pattern_index.astype(np.int64)
    metres = (recon.positions_px - _canvas_origin(recon.object.shape, recon.probe.shape[-1])) * (dy, dx)
    file["probe_position_y_m"], file["probe_position_x_m"] = metres.T
    file["probe"] = recon.probe[np.newaxis]
    file["object"] = recon.object[np.newaxis]
    for key in ("probe", "object"):
        file[key].attrs.update(pixel_height_m=dy, pixel_width_m=dx)
    file["object"].attrs.update(center_x_m=0.0, center_y_m=0.0)
    file["object_layer_spacing_m"] = np.zeros(0)
    file["loss_epochs"] = np.array([epoch for epoch, _ in recon.loss_history], np.int64)
    file["loss_values"] = np.array([loss for _, loss in recon.loss_history], np.float64)
    ours = file.create_group(_OURS)
    ours["coverage"] = recon.coverage
    if recon.recorded_positions_px is not None:
        ours[RECORDED] = recon.recorded_positions_px
    for key, value in (("metrics", recon.metrics), ("config", recon.config), ("metadata", metadata_of(recon))):
        # of fixed length: HDF5 never returns from reading a damaged string of variable length
        ours[key] = np.bytes_(json.dumps(json_ready(value)))


def _canvas_origin(shape: tuple[int, ...], size: int) -> NDArray[np.float64]:
    """Our coordinate (y, x) of ptychodus' coordinate 0, the middle of the object.

    ptychodus cuts the patch of a position p from pixel p/dx + W/2 - N/2 on (``api/interpolate.py``), we cut it from
    pixel x - N//2 on.
    """
    return np.array(shape[-2:]) / 2 - size / 2 + size // 2


def read_product(store: Store) -> Reconstruction:
    """Read a ptychodus product, our own or from ptychodus: lower-dimensional probes and objects are allowed.

    Of several object layers the product is taken, of several coherent probe modes the first; the history says so.
    The coverage of a foreign product is computed from its probe and positions.

    Raises
    ------
    InputError
        A key is missing or damaged, or an array has the wrong number of axes.
    """
    history = []
    canvas = store.numbers(store.require("object"), np.complex64)
    modes = store.numbers(store.require("probe"), np.complex64)
    if canvas.ndim not in (2, 3) or modes.ndim not in (2, 3, 4):
        raise InputError(
            f"{store.path}: 'object' must have 2 or 3 axes and 'probe' 2 to 4 (shapes {canvas.shape}, {modes.shape})"
        )
    if canvas.ndim == 3:
        if len(canvas) > 1:
            history.append(f"the object is the product of the file's {len(canvas)} layers")
        canvas = canvas.prod(axis=0)
    if modes.ndim == 4:
        if len(modes) > 1:
            history.append(f"the probe is the first of the file's {len(modes)} coherent modes")
        modes = modes[0]
    probe = modes.reshape(-1, *modes.shape[-2:])
    dy, dx, centre_y, centre_x = (
        _number(store, "object", name) for name in ("pixel_height_m", "pixel_width_m", "center_y_m", "center_x_m")
    )
    if not (dy > 0 and dx > 0):
        raise InputError(f"{store.path}: the pixel size of 'object' must be greater than 0 (it is {dy}, {dx})")
    metres = np.stack([store.numbers(store.require(f"probe_position_{axis}_m")) for axis in "yx"], axis=-1)
    positions = (metres - (centre_y, centre_x)) / (dy, dx) + _canvas_origin(canvas.shape, probe.shape[-1])
    if f"{_OURS}/metadata" in store:
        fields = _our_fields(store)
    else:
        fields = _foreign_fields(store, (dy, dx))
        fields.update(coverage=_coverage(canvas.shape, probe, positions), history=tuple(history))
    return Reconstruction(
        object=canvas,
        probe=probe,
        positions_px=positions,
        pattern_index=store.numbers(store.require("probe_position_indexes"), np.int64),
        **fields,
    )


def _our_fields(store: Store) -> dict[str, Any]:
    texts = {key: read_json(store, f"{_OURS}/{key}") for key in ("metrics", "config", "metadata")}
    with reading(store.path, f"'{_OURS}/metadata'"):
        fields = fields_from_metadata(texts["metadata"])
    coverage = store.numbers(store.require(f"{_OURS}/coverage"), np.float32)
    fields.update(metrics=texts["metrics"], config=texts["config"], coverage=coverage)
    if f"{_OURS}/{RECORDED}" in store:
        fields[RECORDED] = store.numbers(f"{_OURS}/{RECORDED}", np.float64)
    return fields


def _foreign_fields(store: Store, pixel: tuple[float, float]) -> dict[str, Any]:
    # ptychodus writes 0 for what it does not know
    stated = [key for key in ENERGIES_EV if store.attribute("", key) is not None] or [ENERGIES_EV[0]]
    energy, distance = (_number(store, "", key) or None for key in (stated[0], "detector_object_distance_m"))
    key = store.first("loss_values", "costs")
    values = store.numbers(key) if key else np.zeros(0)
    epochs = store.numbers("loss_epochs") if "loss_epochs" in store else np.arange(1, len(values) + 1)
    return {
        "geometry": Geometry(energy, distance, object_pixel_m=pixel),
        "loss_history": tuple((int(e), float(v)) for e, v in zip(epochs, values, strict=False)),
        "name": str(store.attribute("", "name") or ""),
        "comments": str(store.attribute("", "comments") or ""),
    }


def _number(store: Store, key: str, name: str) -> float:
    value = store.attribute(key, name)
    if value is None:
        raise InputError(f"{store.path} has no attribute '{name}'{f' on {key!r}' if key else ''}")
    with reading(store.path, f"attribute '{name}'"):
        return float(value)


def _coverage(
    shape: tuple[int, ...], probe: NDArray[np.complex64], positions: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Probe intensity summed at the positions, to the nearest pixel; what falls off the canvas is left out."""
    size = probe.shape[-1]
    padded = np.zeros([n + 2 * size for n in shape], np.float32)
    intensity = np.sum(np.abs(probe) ** 2, axis=0)
    for y, x in np.rint(positions).astype(int) - size // 2 + size:
        if 0 <= y <= padded.shape[0] - size and 0 <= x <= padded.shape[1] - size:
            padded[y : y + size, x : x + size] += intensity
    return padded[size:-size, size:-size].copy()
