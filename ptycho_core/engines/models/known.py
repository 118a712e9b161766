"""What a model knows of each scan of its training."""

from __future__ import annotations

from typing import Protocol, Self

import torch
from torch import Tensor, nn

from ptycho_core.engines.propagators import Propagator, of_state


class Known(Protocol):
    """What is known of a scan beside its object: as `Model` has it of the first, `KnownScan` of the others."""

    @property
    def probe(self) -> Tensor:
        """(M, N, N) complex64 in sqrt(counts)."""

    @property
    def background(self) -> Tensor:
        """() counts per pixel."""

    @property
    def shifts(self) -> Tensor:
        """(n, 2) pixels from the recorded positions, or (0, 2)."""

    @property
    def log_gain(self) -> Tensor:
        """(n,) logarithms of the patterns' brightness, or (0,)."""

    @property
    def propagator(self) -> Propagator:
        """To the detector."""


class KnownScan(nn.Module):
    """What is known of a scan beside its object; nothing of it is trained.

    Parameters
    ----------
    probe, background, shifts, log_gain
        As `Known`.
    propagator
        To the detector.
    """

    background: Tensor
    shifts: Tensor
    log_gain: Tensor
    probe_parts: Tensor

    def __init__(
        self, probe: Tensor, background: Tensor, shifts: Tensor, log_gain: Tensor, propagator: Propagator
    ) -> None:
        super().__init__()
        self.propagator = propagator
        kept = {"probe_parts": torch.view_as_real(probe), "background": background, "shifts": shifts}
        for name, tensor in {**kept, "log_gain": log_gain, "propagation": propagator.state}.items():
            self.register_buffer(name, tensor.detach().clone())

    @classmethod
    def of(cls, known: Known) -> Self:
        """Return a copy of what is known."""
        return cls(known.probe, known.background, known.shifts, known.log_gain, known.propagator)

    @classmethod
    def of_state(cls, state: dict[str, Tensor]) -> Self:
        """Return what a checkpoint keeps, by the names of its buffers; `KeyError` where one is missing."""
        propagator = of_state(state["propagation"])
        probe = torch.view_as_complex(state["probe_parts"].contiguous())
        return cls(probe, state["background"], state["shifts"], state["log_gain"], propagator)

    @property
    def probe(self) -> Tensor:
        """(M, N, N) complex64 in sqrt(counts)."""
        return torch.view_as_complex(self.probe_parts)


def further_scans(state: dict[str, Tensor], prefix: str) -> nn.ModuleList:
    """Return the further scans of a checkpoint's state, the names of which are ``<prefix>.<place>.<buffer>``."""
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith(f"{prefix}."):
            _, place, buffer = name.split(".")
            parts.setdefault(int(place), {})[buffer] = tensor
    return nn.ModuleList(KnownScan.of_state(parts[place]) for place in range(len(parts)))
