"""One pass over a batch of patterns: the misfit, its gradients and the light, in the order in which light travels.

What is added up and why: `ptycho_core.engines.solver`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import torch
from torch import Tensor

from ptycho_core.engines import subpixel
from ptycho_core.engines.physics import Windows, add_patches, over_modes, read_patches, squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD, Propagator
from ptycho_core.engines.variation import unvary, vary

_DARKEST, _NOTHING = 1e-6, 1e-30
_PIXELS = 2**18
"""Of patterns at a time on a processor: what its cache holds."""


@dataclass
class Light:
    """What the steps are divided by, added up over the batches since the last step: the curvature of the misfit.

    Each in the units of the gradient of the mean misfit per pixel over the parameter: ``object`` (H, W), ``probe``
    (N, N) for all modes, ``log_gain`` (n,), ``shifts`` (n, 2, 2) and ``coefficients`` (n, V) for each pattern and
    ``background`` (), or 0 where nothing was added.
    """

    object: Tensor | float = 0.0
    probe: Tensor | float = 0.0
    log_gain: Tensor | float = 0.0
    background: Tensor | float = 0.0
    shifts: Tensor | float = 0.0
    coefficients: Tensor | float = 0.0

    def clear(self) -> None:
        """Begin anew."""
        for part in fields(self):
            setattr(self, part.name, 0.0)


@dataclass
class Seen:
    """What a pass over a batch saw besides the envelope: means per good pixel.

    Parameters
    ----------
    deviance
        Half Poisson deviance.
    absolute
        ``|sqrt(lambda) - A|``.
    """

    deviance: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    absolute: Tensor = field(default_factory=lambda: torch.tensor(0.0))


@dataclass(frozen=True)
class Measured:
    """A batch, and how it is looked at.

    Parameters
    ----------
    counts
        (b, N, N), as the propagator has them.
    windows
        Where they lie on the canvas.
    weight
        (N, N) or (b, N, N), 0 where a pixel is bad, or None.
    rho
        Of the envelope: 0 for amplitudes, larger for the likelihood.
    rows
        (b,) places of the patterns in the scan; None where nothing that belongs to one pattern is asked for.
    propagator
        To the detector.
    """

    counts: Tensor
    windows: Windows
    weight: Tensor | None
    rho: float
    rows: Tensor | None = None
    light: Light = field(default_factory=Light)
    seen: Seen | None = field(default_factory=Seen)
    propagator: Propagator = FAR_FIELD


class Unknowns(NamedTuple):
    """What a fit looks for; what it knows has no gradient.

    Parameters
    ----------
    object
        (H, W) complex64.
    probe
        (M, N, N) complex64 in sqrt(counts).
    log_gain
        (n,) logarithms of the patterns' brightness; empty where all are 0.
    background
        () counts per pixel.
    shifts
        (n, 2) pixels by which positions were moved, already part of the patterns' windows; empty where none are.
    coefficients
        (n, V) of a probe that varies, the last V of whose modes are those of the variation; empty where it does not.
    """

    object: Tensor
    probe: Tensor
    log_gain: Tensor
    background: Tensor
    shifts: Tensor
    coefficients: Tensor

    @classmethod
    def of(
        cls, object: Tensor, probe: Tensor, background: Tensor | None = None, log_gain: Tensor | None = None
    ) -> Unknowns:
        """Return those of patterns that differ in their brightness at most."""
        none = torch.zeros(0, device=object.device)
        background = torch.zeros((), device=object.device) if background is None else background
        return cls(object, probe, none if log_gain is None else log_gain, background, none.view(0, 2), none.view(0, 0))


@dataclass(frozen=True)
class Found:
    """What a pass found: the mean envelope per good pixel, the gradients that were wanted, by name, and the light."""

    loss: Tensor
    gradients: dict[str, Tensor]
    light: Light


def look(unknowns: Unknowns, patterns: Measured, wanted: Container[str], copies: Tensor | None = None) -> Found:
    """Pass over a batch, in chunks; the gradients, by the unknowns that are wanted, are of the mean per good pixel.

    ``copies`` are those of the probe at the knots of `subpixel`, where they are known already.
    """
    sums, count = _Sums(unknowns, patterns, wanted, copies), len(patterns.counts)
    on_processor = unknowns.object.device.type == "cpu"
    chunk = max(1, _PIXELS // patterns.windows.size**2) if on_processor else count
    for start in range(0, count, chunk):
        sums.add(slice(start, min(start + chunk, count)))
    return sums.found()


class _Exposure(NamedTuple):
    """Some patterns on their way from the probe to the detector.

    Parameters
    ----------
    windows, rows
        Theirs, of the batch's.
    moved
        (b, M, N, N) modes where the patterns are, and of the variation those behind them.
    varies
        (b, V) coefficients of these; None where the probe does not vary.
    probes
        (b, M, N, N) modes that each pattern had.
    patches
        (b, 1, N, N) of the object.
    waves
        (b, M, N, N) at the detector.
    gain
        (b, 1, 1); None where all are 1.
    own
        (b, N, N) counts that are expected without the background.
    expected
        (b, N, N), with it.
    """

    windows: Windows
    rows: Tensor | None
    moved: Tensor
    varies: Tensor | None
    probes: Tensor
    patches: Tensor
    waves: Tensor
    gain: Tensor | None
    own: Tensor
    expected: Tensor


class _Sums:
    """What a pass adds up: losses, the gradients that are wanted, and the light."""

    def __init__(
        self, unknowns: Unknowns, patterns: Measured, wanted: Container[str], copies: Tensor | None = None
    ) -> None:
        self.unknowns, self.patterns = unknowns, patterns
        self.wanted = {name for name in Unknowns._fields if name in wanted}
        if patterns.rows is None or not len(unknowns.shifts):
            self.wanted.discard("shifts")
        self.asked = wanted
        self.copies = subpixel.to_knots(unknowns.probe) if copies is None else copies
        self.knots = patterns.windows.knots
        self.gradients = Unknowns(*map(torch.zeros_like, unknowns))
        self.to_copies = torch.zeros_like(self.copies) if "probe" in self.wanted else None
        self.light = Unknowns(
            torch.zeros_like(unknowns.object.real),
            torch.zeros_like(unknowns.probe[0].real),
            torch.zeros_like(unknowns.log_gain),
            torch.zeros_like(unknowns.background),
            unknowns.shifts.new_zeros(*unknowns.shifts.shape, 2),
            torch.zeros_like(unknowns.coefficients),
        )
        self.slopes = gradients_of_object(unknowns.object) if "shifts" in self.wanted else ()
        both = ((0, 0), (1, 1), (0, 1)) if self.slopes else ()
        self.products = {(i, j): (self.slopes[i].conj() * self.slopes[j]).real for i, j in both}
        self.totals = torch.zeros(1 if patterns.seen is None else 3, device=unknowns.object.device)

    def add(self, part: slice) -> None:
        """Add what some of the patterns say."""
        exposed, counts, weight = self._expose(part), self.patterns.counts[part], self.patterns.weight
        good = None if weight is None else weight if weight.ndim == 2 else weight[part]
        change = self._compare(exposed, counts, good)
        if "log_gain" in self.wanted and exposed.gain is not None:
            self._add_to_gains(exposed, counts, good)
        if "background" in self.wanted:
            self._add_to_background(exposed, counts, good)
        back = self.patterns.propagator.back(exposed.waves.mul_(change[:, None]), exposed.windows.fraction)
        if exposed.gain is not None:
            back = back * exposed.gain[:, None]
        if self.wanted & {"object", "shifts"}:
            through, asked = over_modes(squared_modulus(exposed.probes)), over_modes(exposed.probes.conj() * back)
            through = through if exposed.gain is None else through * exposed.gain
            if "object" in self.wanted:
                add_patches(self.gradients.object, asked, exposed.windows)
                add_patches(self.light.object, through, exposed.windows)
            if "shifts" in self.wanted:
                self._add_to_shifts(exposed, asked, through)
        if self.wanted & {"probe", "coefficients"}:
            self._add_to_probe(exposed, part, back)

    def _expose(self, part: slice) -> _Exposure:
        object, _, log_gain, background, _, coefficients = self.unknowns
        rows = None if self.patterns.rows is None else self.patterns.rows[part]
        windows = self.patterns.windows.part(part)
        moved = subpixel.mix(self.knots[part], self.copies)
        varies = coefficients[rows] if rows is not None and len(coefficients) else None
        probes = moved if varies is None else vary(moved, varies)
        patches = read_patches(object, windows)[:, None]
        waves = self.patterns.propagator.forward(probes * patches, windows.fraction)
        own = over_modes(squared_modulus(waves))
        gain = log_gain[rows].exp()[:, None, None] if rows is not None and len(log_gain) else None
        own = own if gain is None else own * gain
        expected = (own + background).clamp_min_(_DARKEST)
        return _Exposure(windows, rows, moved, varies, probes, patches, waves, gain, own, expected)

    def _compare(self, exposed: _Exposure, counts: Tensor, good: Tensor | None) -> Tensor:
        """Add the losses, and return by what the waves change."""
        told = () if self.patterns.seen is None else _told(exposed.expected, counts)
        change, losses = envelope(exposed.expected, counts, self.patterns.rho)
        each = (losses, *told)
        if good is not None:
            change, each = change * good, tuple(values * good for values in each)
        self.totals += torch.stack([values.sum() for values in each])
        return change

    def _add_to_gains(self, exposed: _Exposure, counts: Tensor, good: Tensor | None) -> None:
        right, own, expected = 1.0 if good is None else good, exposed.own, exposed.expected
        self.gradients.log_gain[exposed.rows] = -(right * (counts - expected) * (own / expected)).sum(dim=(1, 2))
        self.light.log_gain[exposed.rows] = (right * own.square() / expected).sum(dim=(1, 2))

    def _add_to_background(self, exposed: _Exposure, counts: Tensor, good: Tensor | None) -> None:
        curvature = exposed.expected.clamp_min(0.1).reciprocal_()
        if good is not None:
            curvature.mul_(good)
        self.light.background.add_(curvature.sum())
        self.gradients.background.sub_(curvature.mul_(counts - exposed.expected).sum())

    def _add_to_shifts(self, exposed: _Exposure, asked: Tensor, through: Tensor) -> None:
        """Add to the shifts, by what patterns ask of the object and by the light that they send through it."""
        rows, windows = exposed.rows, exposed.windows
        for axis, slope in enumerate(self.slopes):
            self.gradients.shifts[rows, axis] = -_product(read_patches(slope, windows), asked)
        for (row, column), product in self.products.items():
            curvature = _dot(read_patches(product, windows), through)
            self.light.shifts[rows, row, column] = self.light.shifts[rows, column, row] = curvature

    def _add_to_probe(self, exposed: _Exposure, part: slice, back: Tensor) -> None:
        """Add to the probe's modes, and to what each pattern has of the variation."""
        to_probes, varies = exposed.patches.conj() * back, exposed.varies
        shown = squared_modulus(exposed.patches[:, 0])
        shown = shown if exposed.gain is None else shown * exposed.gain
        if "probe" in self.wanted:
            assert self.to_copies is not None
            self.to_copies += subpixel.unmix(
                self.knots[part], to_probes if varies is None else unvary(to_probes, varies)
            )
            self.light.probe.add_(shown.sum(dim=0))
        if "coefficients" in self.wanted and varies is not None:
            variation = exposed.moved[:, -varies.shape[1] :]
            self.gradients.coefficients[exposed.rows] = -_product(variation, to_probes[:, :1])
            self.light.coefficients[exposed.rows] = (squared_modulus(variation) * shown[:, None]).sum(dim=(2, 3))

    def found(self) -> Found:
        """Return the means per good pixel."""
        pixels = count_good(self.patterns.weight, len(self.patterns.counts), self.patterns.windows.size)
        if self.to_copies is not None:
            self.gradients.probe.copy_(subpixel.from_knots(self.to_copies))
        # torch's gradient by a complex number is twice that by its conjugate, and the light likewise.
        gradients = [of.mul_(factor / pixels) for of, factor in zip(self.gradients, (-2, -2, 1, 1, 2, 2), strict=True)]
        light = Light(*(of.mul_(factor / pixels) for of, factor in zip(self.light, (2, 2, 1, 1, 2, 2), strict=True)))
        loss, *means = (self.totals / pixels).unbind()
        if self.patterns.seen is not None:
            self.patterns.seen.deviance, self.patterns.seen.absolute = means
        named = zip(Unknowns._fields, gradients, strict=True)
        return Found(loss, {name: of for name, of in named if name in self.asked}, light)


def envelope(expected: Tensor, counts: Tensor, rho: float) -> tuple[Tensor, Tensor]:
    """Return the correction t of each pixel, by which waves at the detector descend as t psi, and the loss.

    ``a = argmin a^2 - k log a^2 + rho (a - sqrt(lambda))^2`` and ``t = (a / sqrt(lambda) - 1) (2 + rho) / 2``, so that
    the slope at the solution is the same for every rho. rho = 0 gives ``a = sqrt(k)``.
    """
    ratio = counts / expected
    if rho == 0:
        change = ratio.sqrt_().sub_(1)
        return change, (expected * change).mul_(change)
    change = ratio.mul_(4 * (1 + rho)).add_(rho * rho).sqrt_().add_(rho).mul_(1 / (2 * (1 + rho))).sub_(1)
    scale = (2 + rho) / 2
    loss = (expected * change).mul_(change).mul_(scale)
    return change.mul_(scale), loss


def _told(expected: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return half deviance and absolute difference of amplitudes, (b, N, N) each."""
    logarithm = (counts / expected).clamp_min_(_NOTHING).log_()  # 0 log 0 = 0, in a third of the time of xlogy
    return (expected - counts).addcmul_(counts, logarithm), expected.sqrt().sub_(counts.sqrt()).abs_()


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Re sum conj(a) b over the last two axes."""
    return _dot(torch.view_as_real(a.resolve_conj()).flatten(-2), torch.view_as_real(b.resolve_conj()).flatten(-2))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of a b over the last two axes."""
    total: Tensor = (a.flatten(-2)[..., None, :] @ b.flatten(-2)[..., None])[..., 0, 0]
    return total


def gradients_of_object(object: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives (H, W) each of an object along y and x."""
    fy, fx = (torch.fft.fftfreq(side, device=object.device) * (2 * torch.pi) for side in object.shape)
    spectrum = torch.fft.fft2(object)
    return torch.fft.ifft2(spectrum * (1j * fy[:, None])), torch.fft.ifft2(spectrum * (1j * fx))


def count_good(weight: Tensor | None, count: int, size: int) -> Tensor | float:
    """Return how many pixels of so many patterns count, by a weight as of `Measured`."""
    if weight is None:
        return float(count * size * size)
    finest = torch.float64 if weight.device.type != "mps" else torch.float32
    return (weight.sum(dtype=finest) * (count if weight.ndim == 2 else 1)).clamp_min(1.0)
