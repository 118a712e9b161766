"""Run by ptychodus' own Python: what it finds in our files goes into an NPZ, and what it writes of its own."""

import sys
from pathlib import Path

import numpy as np
from ptychodus.api import io
from ptychodus.api.assemble import AssembledDiffractionData
from ptychodus.api.geometry import PixelGeometry
from ptychodus.api.interpolate import BarycentricArrayInterpolator
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.product import LossValue, Product, ProductMetadata
from ptychodus.api.reconstruct import ReconstructInput
from ptychodus.plugins.aps02id_bnp_position_file import BionanoprobeMAPSPositionFileReader
from ptychodus.plugins.aps02id_diffraction_file import APS2IDDiffractionFileReader
from ptychodus.plugins.aps33id_velociprobe.aps33id_velociprobe_diffraction_file import (
    VelociprobeDiffractionFileReader,
)
from ptychodus.plugins.aps33id_velociprobe.aps33id_velociprobe_position_file import VelociprobePositionFileReader
from ptychodus.plugins.cxi_file import CXIDiffractionFileReader
from ptychodus.plugins.h5_diffraction_file import H5DiffractionFileReader
from ptychodus.plugins.h5_product_file import H5ProductFileIO
from ptychodus.plugins.lcls_file_readers import LCLSPositionFileReader
from ptychodus.plugins.max_iv_nanomax_diffraction_file import NanoMAXDiffractionFileReader
from ptychodus.plugins.max_iv_nanomax_position_file import NanoMAXPositionFileReader
from ptychodus.plugins.mda.mda_position_file import MDAFlatScanPositionFileReader, MDAPositionFileReader
from ptychodus.plugins.npz_product_file import NPZProductFileIO
from ptychodus.plugins.nsls2_diffraction_file import NSLS2Style1DiffractionFileReader
from ptychodus.plugins.nsls2_position_file import NSLS2Style1PositionFileReader


def read_product(path, found):
    """Our product by its HDF5 plugin; of each position the patch that it would cut out of the object."""
    product = H5ProductFileIO().read(path)
    geometry = product.object_.get_geometry()
    positions = product.probe_positions
    x = geometry.map_probe_positions_to_object_x_px(positions)
    y = geometry.map_probe_positions_to_object_y_px(positions)
    probe = product.probes.get_probe_no_opr().get_array()
    interpolator = BarycentricArrayInterpolator(product.object_.get_layer(0))
    np.savez(
        found,
        object=product.object_.get_array(),
        probe=product.probes.get_array(),
        patches=[interpolator.get_patch(*place, *probe.shape[-2:][::-1]) for place in zip(x, y, strict=True)],
        indexes=positions.get_indexes(),
        pixel=(geometry.pixel_height_m, geometry.pixel_width_m),
        energy_ev=product.metadata.photon_energy_eV,
        distance_m=product.metadata.detector_distance_m,
        name=product.metadata.name,
        losses=[(loss.epoch, loss.value) for loss in product.losses],
    )


def read_cxi(path, found):
    """Our scan by its CXI plugin."""
    dataset = CXIDiffractionFileReader().read(path)
    metadata = dataset.get_metadata()
    pixel = metadata.detector_pixel_geometry
    np.savez(
        found,
        patterns=np.concatenate([array.get_patterns() for array in dataset]),
        bad_pixels=dataset.get_bad_pixels(),
        energy_ev=metadata.photon_energy_eV,
        distance_m=metadata.detector_distance_m,
        pixel=(pixel.height_m, pixel.width_m),
    )


def write(given, folder):
    """Write a scan in each of its formats that we read."""
    scan = np.load(given)
    pixel = PixelGeometry(width_m=float(scan["pixel"][1]), height_m=float(scan["pixel"][0]))
    points = [ProbePosition(int(i), x, y) for i, y, x in zip(scan["indexes"], *scan["metres"].T, strict=True)]
    metadata = ProductMetadata(
        name="theirs",
        comments="",
        detector_distance_m=float(scan["distance_m"]),
        photon_energy_eV=float(scan["energy_ev"]),
        probe_photon_count=0.0,
        exposure_time_s=0.0,
        mass_attenuation_m2_per_kg=0.0,
        tomography_angle_deg=0.0,
    )
    product = Product(
        metadata=metadata,
        probe_positions=ProbePositionSequence(points),
        probes=ProbeSequence(array=scan["probe"][None], opr_weights=None, pixel_geometry=pixel),
        object_=Object(
            array=scan["object"][None],
            pixel_geometry=pixel,
            center=ObjectCenter(x_m=0.0, y_m=0.0),
            layer_spacing_m=[],
        ),
        losses=[LossValue(0, 0.5)],
    )
    detector = PixelGeometry(width_m=float(scan["detector"][1]), height_m=float(scan["detector"][0]))
    data = AssembledDiffractionData(scan["indexes"], scan["patterns"], detector, scan["bad_pixels"])
    io.save_product(folder / "product.h5", product)
    NPZProductFileIO().write(folder / "product.npz", product)
    io.save_diffraction_data(folder / "diffraction.h5", data)
    parameters = ReconstructInput(scan["patterns"], scan["bad_pixels"], product)
    io.save_ptychopinn_training_data(folder / "ptychopinn.npz", parameters, inpaint_bad_pixels=False)


def read_beamline(name, path, positions, found):
    """A beamline's files by its own plugin: patterns, positions and the numbers of the patterns that they belong to."""
    velociprobe = VelociprobeDiffractionFileReader()
    readers = {
        "aps-bionanoprobe": (APS2IDDiffractionFileReader(), BionanoprobeMAPSPositionFileReader()),
        "aps-mda": (APS2IDDiffractionFileReader(), MDAPositionFileReader(scale_to_meters=1e-3)),
        "aps-mda (one loop)": (APS2IDDiffractionFileReader(), MDAFlatScanPositionFileReader(scale_to_meters=1e-6)),
        "aps-velociprobe": (
            velociprobe,
            VelociprobePositionFileReader.create_position_encoder_instance(velociprobe),
        ),
        "max4-nanomax": (NanoMAXDiffractionFileReader(), NanoMAXPositionFileReader()),
        "nsls2-hxn": (NSLS2Style1DiffractionFileReader(), NSLS2Style1PositionFileReader()),
        "lcls-xpp": (H5DiffractionFileReader(data_path="/jungfrau1M/image_img"), LCLSPositionFileReader()),
    }
    diffraction, places = readers[str(name)]
    dataset = diffraction.read(path)
    patterns = [array.get_patterns() for array in dataset]
    points = places.read(positions)
    np.savez(
        found,
        patterns=np.concatenate(patterns),
        index=[point.index for point in points],
        yx_m=[(point.y_m, point.x_m) for point in points],
    )


if __name__ == "__main__":
    commands = {
        "read-product": read_product,
        "read-cxi": read_cxi,
        "read-beamline": read_beamline,
        "write": write,
    }
    commands[sys.argv[1]](*map(Path, sys.argv[2:]))
