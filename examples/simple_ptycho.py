"""Ptychography on one screen: object and probe of a scan by gradient descent, with this project's wave optics.

python examples/simple_ptycho.py scan.npz

What it leaves out the engines have: patterns that validate, bad pixels, several modes, schedules, checkpoints. It
reaches into `ptycho_core.engines`, which is no part of the public interface.
"""

import sys

import numpy as np
import torch
from torch import Tensor

from ptycho_core import Scan, read_scan
from ptycho_core.engines.losses import amplitude_error
from ptycho_core.engines.physics import place, scale_probe
from ptycho_core.engines.propagators import FAR_FIELD
from ptycho_core.engines.solver import expected_counts


def fit(scan: Scan, epochs: int = 30, batch_size: int = 16, rate: float = 0.05) -> tuple[Tensor, Tensor, list[float]]:
    """Return object (H, W), probe (M, N, N), and the mean loss of each epoch; photon noise alone gives about 0.5."""
    amplitudes = torch.from_numpy(FAR_FIELD.arranged(scan.patterns[:])).sqrt()
    corner = np.floor(scan.positions.min(axis=0)) - scan.size // 2
    positions = torch.from_numpy((scan.positions - corner).astype(np.float32))
    height, width = (int(p) + scan.size // 2 + 2 for p in positions.amax(dim=0))

    assert scan.probe is not None, "this example starts from the probe in the file"
    probe = scale_probe(torch.from_numpy(scan.probe), float(amplitudes.square().sum(dim=(1, 2)).max()))
    brightness = probe.abs().max()
    probe = (probe / brightness).requires_grad_()
    object = torch.ones(height, width, dtype=torch.complex64, requires_grad=True)

    optimizer = torch.optim.Adam([object, probe], lr=rate)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(scan)).split(batch_size):
            windows = place(positions[rows], scan.size, (1, height, width))
            loss = amplitude_error(expected_counts(object, brightness * probe, windows), amplitudes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(rows) * float(loss.detach())
        losses.append(total / len(scan))
    return object.detach(), brightness * probe.detach(), losses


def main(scan_file: str) -> None:
    object, probe, losses = fit(read_scan(scan_file))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    np.savez("simple_ptycho.npz", object=object.numpy(), probe=probe.numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
