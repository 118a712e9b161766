"""A reader for the HDF5 files of a beamline, which ptycho then opens as it does its own formats.

The files of this beamline hold frames in ``exchange/frames``, the sample's motors in ``stage/y`` and ``stage/x`` in
micrometres, y up, and the photon energy in keV. Put the module into a package, and register it in its pyproject.toml:

    [project.entry-points."ptycho.readers"]
    our-beamline = "beamline_reader"

Once that is installed beside ptycho, `ptycho inspect scan.h5`, every other command and the window know such files.
"""

import numpy as np

from ptycho_core import Geometry, Settings, Store, Stored

FRAMES = "exchange/frames"


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell our files from all others: by what they alone have, or they are taken from those that others write."""
    return FRAMES in store and "stage/y" in store


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Say what is stored; ptycho checks and converts it. What is missing or of a wrong kind, the store says itself."""
    frames = store.patterns(FRAMES)  # (n, y, x), left on the disk
    up, right = store.numbers("stage/y"), store.numbers("stage/x")
    return Stored(
        source=frames,
        values=settings.assume("data", "counts", "the detector of this beamline counts photons"),
        # Positions are those of the probe on the sample, +y down and +x right: where the sample goes up, the probe
        # goes down on it.
        positions=np.stack([up, -right], axis=1),
        unit="um",
        unit_reason="the stage's controller writes micrometres",
        geometry=Geometry(
            energy_ev=1000 * store.number("beam/energy"),
            distance_m=store.number("detector/distance"),
            detector_pixel_m=(75e-6, 75e-6),
        ),
        notes=["turned the sample's motors into the probe's positions: the other way along both axes"],
    )
