"""Where the stage really was: how the positions of a scan's patterns are moved.

Each pattern asks for a step of its own. But the object follows those that move together: what asks for a stretch of the
whole scan, or for a slow drift, is held back by all that have drawn the object wrongly, and steps of single patterns
get nowhere. With the steps s_i of all patterns the object is carried along by their mean, weighted by light,

    D(r) = sum_i |P_i(r)|^2 s_i / sum_i |P_i(r)|^2,

and a pattern only sees what is left, ``P_i dO (s_i - D)``. Least squares of that (Gauss and Newton's, the object
eliminated) are solved by conjugate gradients, and the object is carried along as far as the patterns go.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptycho_core.engines.one_pass import gradients_of_object
from ptycho_core.engines.physics import Windows, place, squared_modulus
from ptycho_core.engines.solver import uphill
from ptycho_core.quality.displacements import columns_of_drift, columns_of_stretch
from ptycho_core.scan.grouping import probe_diameter

STEP = 2.0
"""Of a shift, as a multiple of what its exit wave asks for: of that wave's change, amplitudes see about half."""
INERTIA = 0.5
"""Momentum of a pattern's own steps."""
INERTIA_OF_ALL = 0.7
"""Momentum of the whole scan's stretch, rotation, shear and drift, for which forces are weak."""
MOST_SHARE = 0.8
LARGEST_SHIFT = 0.6
"""Pixels of a pattern's own step."""
LARGEST_TOGETHER = 1.5
"""Pixels of a step that all take together."""
REACH = 10
"""A pattern may move by half the probe's diameter, or by this part of its own width where the beam is narrow."""
_DARK = 1e-3
_RIDGE = 0.005
_ITERATIONS, _SOLVED = 10, 1e-4


class SampleStage:
    """Moves the patterns of a fit.

    Parameters
    ----------
    recorded
        (n, 2) positions on the canvas.
    train
        (t,) places of the patterns that are fitted.
    shape
        Of the canvas.
    probe
        (M, N, N) with which the fit begins.
    """

    def __init__(self, recorded: Tensor, train: Tensor, shape: tuple[int, int], probe: Tensor) -> None:
        self.recorded, self.train, self.shape, self.size = recorded, train, shape, probe.shape[-1]
        self.reach = max(probe_diameter(probe.cpu().numpy()) / 2, self.size / REACH)
        """Pixels that a pattern may move against the whole scan."""
        self._put_back = torch.zeros(len(recorded), dtype=torch.bool, device=recorded.device)
        self.furthest = self.size / 8
        """Pixels that the whole scan may be moved somewhere: the canvas has no more room."""
        self.ran_away = False
        """Whether all together were about to move too far, and were kept from it."""
        columns = _common_columns(recorded.double().cpu().numpy(), train.cpu().numpy())
        of_train = np.linalg.pinv(columns[train.cpu().numpy()], rcond=1e-3)
        self._columns, self._of_train = (
            torch.from_numpy(part.astype(np.float32)).to(recorded.device) for part in (columns, of_train)
        )
        light = squared_modulus(probe).sum(dim=0)
        self._stride = STEP / (1 - min(MOST_SHARE, _own_share(light, self.windows(recorded[train]))))

    @property
    def put_back(self) -> set[int]:
        """Patterns that refinement moved too far, and that the whole scan's movement has again."""
        return set(torch.nonzero(self._put_back).flatten().tolist())

    def windows(self, positions: Tensor) -> Windows:
        """Return where patterns at positions (b, 2) lie."""
        return place(positions, self.size, (1, *self.shape))

    def common(self, values: Tensor) -> Tensor:
        """Return what the training patterns' (n, 2) have in common: mean, stretch, rotation, shear and slow drift."""
        return self._columns @ (self._of_train @ values[self.train])

    def moved(self, shifts: Tensor, rows: Tensor) -> Tensor:
        """Return the positions (b, 2) of some patterns, shifted."""
        recorded = self.recorded[rows]
        return recorded + inside(recorded, shifts[rows], self.size, self.shape)

    def single_steps(self, shifts: Tensor, gradient: Tensor, curvature: Tensor, velocity: Tensor) -> Tensor:
        """Return what is added to the shifts (n, 2) after a batch, each pattern for itself; change the velocity.

        Parameters
        ----------
        shifts, gradient, velocity
            (n, 2); the gradient is that of the misfit.
        curvature
            (n, 2, 2), 0 for patterns that the batch does not have.
        """
        seen = curvature[:, 0, 0, None] > 0
        step = limited(uphill(gradient, curvature) * -self._stride, LARGEST_SHIFT)
        velocity.copy_(torch.where(seen, limited(INERTIA * velocity + step, 2 * LARGEST_SHIFT), velocity))
        taken = torch.where(seen, velocity, 0.0)
        taken[self.train] -= taken[self.train].mean(dim=0)  # held-out patterns have no part in it
        there = shifts + taken
        whole = self.common(there)
        far = (there - whole).norm(dim=1, keepdim=True) > self.reach
        self._put_back |= far[:, 0]
        there = torch.where(far, whole, there)
        velocity.masked_fill_(far, 0.0)
        return inside(self.recorded, there, self.size, self.shape) - shifts

    def steps_together(
        self, shifts: Tensor, overlap: Overlap, asked: Asked, velocity: Tensor, *, all_alike: bool
    ) -> Tensor:
        """Return what is added to the shifts (n, 2): of training patterns their steps, the others are carried along.

        Parameters
        ----------
        shifts
            (n, 2).
        overlap
            Of the training patterns, where they are now.
        asked
            What they ask for.
        velocity
            (n, 2) of the whole scan; changed.
        all_alike
            Whether stretch, rotation, shear and drift of the whole scan are free as well; a shift of it never is.
        """
        steps = torch.zeros_like(shifts)
        steps[self.train] = limited(STEP * overlap.steps(asked), LARGEST_TOGETHER)
        common = self.common(steps)
        steps = steps - common
        if all_alike:
            velocity.mul_(INERTIA_OF_ALL).add_(common - common[self.train].mean(dim=0))
            if bool((self.common(shifts) + velocity).norm(dim=1).max() > self.furthest):
                self.ran_away = True
                velocity.zero_()
            steps = steps + velocity
        field = overlap.field(steps[self.train])
        others = torch.ones(len(shifts), dtype=torch.bool, device=shifts.device)
        others[self.train] = False
        held_out = torch.nonzero(others).flatten()
        steps[held_out] = overlap.mean(field, self.windows(self.moved(shifts, held_out)))
        return inside(self.recorded, shifts + steps, self.size, self.shape) - shifts


class Asked(NamedTuple):
    """What patterns ask for: gradients of the misfit, not divided by the number of pixels.

    ``shifts`` (t, 2), and ``object`` (H, W), the sum of what all of them ask of the object.
    """

    shifts: Tensor
    object: Tensor


@dataclass(frozen=True)
class Overlap:
    """Patterns that see one object.

    Parameters
    ----------
    object
        (H, W) complex.
    light
        (N, N) of the probe.
    windows
        Of the t patterns.
    """

    object: Tensor
    light: Tensor
    windows: Windows

    def steps(self, asked: Asked) -> Tensor:
        """Return the steps (t, 2) in the exit wave that all take together, the object being carried along.

        The object's own gradient counts as far as carrying it along would change it: then the steps do not depend on
        how well the object has settled, and a shift of all together is never asked for.
        """
        slopes = torch.stack(gradients_of_object(self.object))
        product = (slopes[:, None].conj() * slopes[None]).real
        own = self.read(product.flatten(0, 1)).view(-1, 2, 2)
        ridge = _RIDGE * own.diagonal(dim1=1, dim2=2).mean() * torch.eye(2, device=own.device)
        about = torch.linalg.inv(own + ridge)
        total = self.total()

        def curved(steps: Tensor) -> Tensor:
            carried = (product * (self.add(steps) / total)[None]).sum(dim=1)
            return _times(own + ridge, steps) - self.read(carried)

        downhill = self.read((slopes.conj() * asked.object).real / total) - asked.shifts
        return _solved(curved, about, downhill)

    def field(self, steps: Tensor) -> Tensor:
        """Return how far (2, H, W) the object is carried along by steps (t, 2)."""
        return self.add(steps) / self.total()

    def mean(self, field: Tensor, windows: Windows) -> Tensor:
        """Return the mean (b, 2) of a field (2, H, W) over the light of patterns in these windows."""
        return self.read(field, windows) / self.light.sum()

    def total(self) -> Tensor:
        """(H, W): all light, and a little in the dark."""
        total = self.add(torch.ones_like(self.windows.fraction[:, :1]))[0]
        return total + _DARK * total.max()

    @functools.cached_property
    def _spectrum(self) -> Tensor:
        """Transform of the light in the canvas' first window: all windows lie inside, so that no light wraps around."""
        spectrum: Tensor = torch.fft.rfft2(self.light, s=self.object.shape)
        return spectrum

    def add(self, values: Tensor) -> Tensor:
        """(c, H, W): the patterns' light times values (t, c), added up."""
        shape = self.object.shape
        points = torch.zeros((values.shape[1], shape.numel()), device=values.device)
        points.index_add_(1, self.windows.start, values.T)
        total: Tensor = torch.fft.irfft2(torch.fft.rfft2(points.view(-1, *shape)) * self._spectrum, s=shape)
        return total

    def read(self, fields: Tensor, windows: Windows | None = None) -> Tensor:
        """(b, c): fields (c, H, W) under the patterns' light, or under that of others in these windows."""
        sums: Tensor = torch.fft.irfft2(torch.fft.rfft2(fields) * self._spectrum.conj(), s=self.object.shape)
        return sums.flatten(1)[:, (windows or self.windows).start].T


def _common_columns(positions: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, k) columns of what all patterns may have in common."""
    stretch = columns_of_stretch(positions, train)
    scaled = stretch / np.maximum(stretch[train].std(axis=0), 1.0)
    return np.column_stack([scaled, columns_of_drift(len(positions), len(train))])


def inside(recorded: Tensor, shifts: Tensor, size: int, shape: tuple[int, ...]) -> Tensor:
    """Return shifts cut off where windows of this size at recorded positions (b, 2) would leave a canvas."""
    lowest = size // 2 - recorded
    sides = zip(shape, recorded.unbind(dim=1), strict=True)
    highest = torch.stack([side - (size - size // 2) - 1 - at for side, at in sides], dim=1)
    return torch.minimum(torch.maximum(shifts, lowest), highest)


def limited(steps: Tensor, most: float) -> Tensor:
    """Return steps (n, 2), the longer ones cut to this length."""
    lengths = torch.linalg.vector_norm(steps, dim=1, keepdim=True)
    shorter: Tensor = steps * (most / lengths.clamp_min(1e-9)).clamp(max=1.0)
    return shorter


def carried(image: Tensor, field: Tensor) -> Tensor:
    """Return an image (H, W) whose content is moved by a field (2, H, W) in pixels, y and x; cubic between pixels."""
    height, width = image.shape
    y = torch.arange(height, device=image.device)[:, None] - field[0]
    x = torch.arange(width, device=image.device)[None] - field[1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)[None]
    parts = torch.view_as_real(image).permute(2, 0, 1)[None]
    moved = torch.nn.functional.grid_sample(parts, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return torch.view_as_complex(moved[0].permute(1, 2, 0).contiguous())


def _own_share(light: Tensor, windows: Windows) -> float:
    """Return the mean share that patterns have in the light on what they see.

    The object follows a pattern by that much when it moves: what is left of its misfit asks for too short a step.
    """
    ones = torch.ones_like(windows.fraction[:, :1])
    nothing = light.new_zeros(windows.canvas[1:])
    squares, total = Overlap(nothing, light.square(), windows).add(ones)[0], Overlap(nothing, light, windows).total()
    return float((squares / total).sum() / light.sum() / len(ones))


def _solved(apply: Callable[[Tensor], Tensor], about: Tensor, target: Tensor) -> Tensor:
    """Return x (t, 2) with ``apply(x) = target``, nearly: conjugate gradients, preconditioned by matrices (t, 2, 2)."""
    solution, left = torch.zeros_like(target), target
    direction = guess = _times(about, left)
    size = first = (left * guess).sum()
    for _ in range(_ITERATIONS):
        if size <= _SOLVED * first:
            break
        applied = apply(direction)
        length = size / (direction * applied).sum()
        solution, left = solution + length * direction, left - length * applied
        guess = _times(about, left)
        before, size = size, (left * guess).sum()
        direction = guess + size / before * direction
    return solution


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    product: Tensor = (matrices @ vectors[..., None])[..., 0]
    return product
