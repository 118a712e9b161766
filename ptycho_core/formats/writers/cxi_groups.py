"""The groups that our CXI files of scans and of images share, after the CXI 1.6 specification (cxidb.org).

Lengths are metres and energies joules. The laboratory frame is +z downstream, +y up and so +x to the left when
looking downstream. Rows of a detector run along -y and its columns along -x (the specification's default basis),
hence our object pixel (y, x) lies at (-x, -y) in that frame. The *sample's* translation moves the opposite way of
the probe on it: ``translation = (x, y, 0)`` times the object pixel size.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.units import JOULE_PER_EV

CXI_VERSION = 160
TRANSLATION = "sample_1/geometry_1/translation"
"""In the entry."""
PIXEL_IS_INVALID = 0x1
PIXEL_INSIDE_SUPPORT = 0x10000


def create_entry(file: h5py.File) -> h5py.Group:
    """Write the root's fields and return the new group ``entry_1``."""
    file["cxi_version"] = CXI_VERSION
    file["number_of_entries"] = 1
    return file.create_group("entry_1")


def write_instrument(entry: h5py.Group, geometry: Geometry, size: int) -> h5py.Group:
    """Write what is known of source and detector, and return the group of the detector.

    Parameters
    ----------
    entry
        ``entry_1``.
    geometry
        What is None is left out. CXI knows neither electrons nor a near field: attributes of ours say ``probe``
        "electron", in NXsource's word, and the ``magnification``.
    size
        N, the width of a pattern; its pixel (N//2, N//2) is put on the beam.
    """
    source = entry.create_group("instrument_1/source_1")
    detector = entry.create_group("instrument_1/detector_1")
    if geometry.energy_ev is not None:
        source["energy"] = geometry.energy_ev * JOULE_PER_EV
    if geometry.source == "electrons":
        source.attrs["probe"] = "electron"
    if geometry.magnification is not None:
        detector.attrs["magnification"] = geometry.magnification
    if geometry.distance_m is not None:
        detector["distance"] = geometry.distance_m
    if geometry.detector_pixel_m is not None:
        dy, dx = geometry.detector_pixel_m
        detector["y_pixel_size"], detector["x_pixel_size"] = dy, dx
        detector["basis_vectors"] = np.array([[0, -dy, 0], [-dx, 0, 0]])
        if geometry.distance_m is not None:
            from_beam = size // 2 + 0.5
            detector["corner_position"] = np.array([from_beam * dx, from_beam * dy, geometry.distance_m])
    return detector


def write_translation(entry: h5py.Group, positions_px: NDArray[np.float64], geometry: Geometry, size: int) -> None:
    """Write the sample's translation (n, 3).

    A reader gets pixels back by dividing by the pixel size that follows from energy, distance and detector pixel.
    Where these are not all known, or contradict a pixel size that was stated, metres would be a guess: then the
    translation is in object pixels, which the specification allows with the attribute ``units`` ("pixel"); a stated
    pixel size (y, x) goes into the attribute ``object_pixel_m``.
    """
    values, attributes = translations(positions_px, geometry, size)
    translation = entry.create_dataset(TRANSLATION, data=values)
    translation.attrs.update(attributes)


def translations(
    positions_px: NDArray[np.float64], geometry: Geometry, size: int
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return the values (n, 3) of a translation and its attributes, as `write_translation` writes them."""
    derived = dataclasses.replace(geometry, object_pixel_m=None).pixel_size_m(size)
    stated = geometry.object_pixel_m
    in_metres = derived is not None and (stated is None or np.allclose(derived, stated, rtol=1e-6, atol=0))
    scale = derived if derived is not None and in_metres else (1.0, 1.0)
    xyz = np.zeros((len(positions_px), 3))
    xyz[:, 1], xyz[:, 0] = (positions_px * scale).T
    attributes: dict[str, Any] = {"units": "m" if in_metres else "pixel"}
    if stated is not None and not in_metres:
        attributes["object_pixel_m"] = stated
    return xyz, attributes
