"""Reconstruct a scan by pty-chi's LSQ-ML, in the environment that packaging/setup-interchange makes for it.

What is not asked is as in its own example (Getting Started, "Using Pty-Chi with its Python API").
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from typing import Any

import numpy as np
import torch

# torchvision from PyPI does not load beside a build of torch for the CPU alone. pty-chi imports one function of it, for
# random starting objects, which are not used here.
sys.modules["torchvision"] = types.ModuleType("torchvision")
sys.modules["torchvision.transforms"] = types.ModuleType("torchvision.transforms")
sys.modules["torchvision.transforms"].GaussianBlur = None

from ptychi import api, utils  # noqa: E402
from ptychi.api.task import PtychographyTask  # noqa: E402

EPOCHS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description="Reconstruct a scan by pty-chi's LSQ-ML.")
    parser.add_argument("scan", help="an NPZ in PtychoPINN's layout")
    parser.add_argument("result", help="an NPZ of object, probe, positions_px, seconds and cpu_seconds")
    parser.add_argument("--modes", type=int, default=1, help="incoherent modes of the probe")
    parser.add_argument("--positions", action="store_true", help="refine positions")
    parser.add_argument("--intensity", action="store_true", help="fit each pattern's brightness")
    parser.add_argument("--batch-size", type=int, default=44)
    parser.add_argument("--noise", choices=["gaussian", "poisson"], default="gaussian", help="noise model")
    args = parser.parse_args()
    torch.set_default_device("cpu")
    data = data_of(args)
    task = PtychographyTask(options_of(args), **data)
    started = time.perf_counter(), time.process_time()
    task.run()
    ended = time.perf_counter(), time.process_time()
    size = data["probe_data"].shape[-1]
    positions = task.get_probe_positions_y(as_numpy=True), task.get_probe_positions_x(as_numpy=True)
    np.savez(
        args.result,
        object=task.get_data_to_cpu("object", as_numpy=True)[0],
        # Its Fourier transform is not normalised.
        probe=task.get_data_to_cpu("probe", as_numpy=True)[0] * size,
        # A position is that of the middle of a patch, between two pixels where N is even.
        positions_px=np.stack(positions, axis=1) + task.object.pos_origin_coords.numpy() - (size - 1) / 2 + size // 2,
        seconds=ended[0] - started[0],
        cpu_seconds=ended[1] - started[1],
    )


def data_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return patterns, positions, and what the fit starts from: a flat object, and the probe that the file holds."""
    with np.load(args.scan) as scan:
        counts = scan["diff3d"].astype(np.float32) ** 2
        positions = np.stack([scan["ycoords"], scan["xcoords"]], axis=1)
        guess = scan.get("probeGuess")
    size = counts.shape[-1]
    positions -= (positions.max(axis=0) + positions.min(axis=0)) / 2
    if guess is None:  # what the mean pattern comes from, if the beam is in focus
        guess = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(np.sqrt(counts.mean(axis=0)))))
    probe = torch.zeros(1, args.modes, size, size, dtype=torch.complex64)
    probe[0, 0] = torch.as_tensor(np.asarray(guess, np.complex64))
    if args.modes > 1:
        probe = utils.orthogonalize_initial_probe(probe)
    shape = utils.get_suggested_object_size(positions, (size, size), extra=100)
    data = {
        "diffraction_data": counts,
        "object_data": torch.ones(1, *shape, dtype=torch.complex64),
        "probe_data": utils.rescale_probe(probe, counts),
        "probe_position_y_px": positions[:, 0],
        "probe_position_x_px": positions[:, 1],
    }
    if args.intensity:
        data["opr_mode_weights_data"] = utils.generate_initial_opr_mode_weights(len(counts), 1)
    return data


def options_of(args: argparse.Namespace) -> api.LSQMLOptions:
    """Return what is asked, as pty-chi's example and its tests of these options set it."""
    options = api.LSQMLOptions()
    for each in (options.object_options, options.probe_options, options.probe_position_options):
        each.optimizable = True
        each.optimizer = api.Optimizers.SGD
        each.step_size = 1
    options.object_options.pixel_size_m = 1.0
    options.probe_position_options.optimizable = args.positions
    options.opr_mode_weight_options.optimizable = args.intensity
    options.opr_mode_weight_options.optimize_intensity_variation = args.intensity
    options.reconstructor_options.num_epochs = EPOCHS
    options.reconstructor_options.batch_size = args.batch_size
    options.reconstructor_options.batching_mode = api.BatchingModes.RANDOM
    options.reconstructor_options.noise_model = api.NoiseModels[args.noise.upper()]
    options.reconstructor_options.default_device = api.Devices.CPU
    options.reconstructor_options.random_seed = 0
    return options


if __name__ == "__main__":
    main()
