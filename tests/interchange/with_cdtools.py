"""Run by cdtools' own Python: what it finds in our files goes into an NPZ, and what it writes of its own."""

import sys
from pathlib import Path

import numpy as np
import torch
from cdtools.datasets import Ptycho2DDataset
from cdtools.models import SimplePtycho
from cdtools.tools import initializers, interactions, measurements, propagators


def read(path, given, found):
    """Our scan; and the patterns that cdtools' own model predicts from the true object and probe."""
    dataset = Ptycho2DDataset.from_cxi(path)
    truth = np.load(given)
    basis = initializers.exit_wave_geometry(
        dataset.detector_geometry["basis"],
        dataset.patterns.shape[1:],
        dataset.wavelength,
        dataset.detector_geometry["distance"],
    )
    pixels = interactions.translations_to_pixel(basis.float(), dataset.translations)
    corners = pixels - pixels.min(dim=0)[0]
    waves = interactions.ptycho_2D_round(torch.as_tensor(truth["probe"]), torch.as_tensor(truth["object"]), corners)
    predicted = measurements.intensity(propagators.far_field(waves))
    np.savez(
        found,
        patterns=dataset.patterns,
        mask=dataset.mask,
        wavelength_m=float(dataset.wavelength),
        distance_m=float(dataset.detector_geometry["distance"]),
        pixels=pixels,
        predicted=predicted,
    )


def reconstruct(path, found):
    """Reconstruct our scan."""
    torch.manual_seed(0)
    dataset = Ptycho2DDataset.from_cxi(path)
    model = SimplePtycho.from_dataset(dataset)
    losses = [float(loss) for loss in model.Adam_optimize(60, dataset, lr=0.02, batch_size=10)]
    np.savez(found, losses=losses, object=model.obj.detach())


def write(given, path):
    """Write a scan as cdtools does."""
    scan = np.load(given)
    dataset = Ptycho2DDataset(
        torch.as_tensor(scan["translations"]),
        torch.as_tensor(scan["patterns"].astype(np.float32)),
        wavelength=torch.as_tensor(float(scan["wavelength_m"])),
        detector_geometry={"distance": float(scan["distance_m"]), "basis": scan["basis"], "corner": None},
        mask=scan["mask"],
    )
    dataset.to_cxi(path)


if __name__ == "__main__":
    {"read": read, "reconstruct": reconstruct, "write": write}[sys.argv[1]](*map(Path, sys.argv[2:]))
