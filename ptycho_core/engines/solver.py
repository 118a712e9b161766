"""The arithmetic of the direct engine: misfit, gradients and light of a batch in one pass, and steps divided by light.

Model of a pattern at the position q + f (q whole pixels, f a fraction)::

    psi_m(r) = P_m(r - f) O(r + q),    lambda = gain sum_m |D psi_m|^2 + background,

D the propagator to the detector, which in the near field also moves the frame by -f, back to the beam. The first mode
may differ from pattern to pattern (`variation`).

A pixel of the object is corrected by what all patterns of a batch say of it, divided by the light that they sent
through it, as in ePIE and its successors (Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009); Maiden, Johnson and
Li, Optica 4, 736 (2017), with momentum). Pixels in the dark then move no faster than lit ones. What the patterns say
comes from the Moreau envelope of their half deviance: for rho = 0 the projection onto the measured amplitudes, which
converges from afar, for large rho the gradient of the Poisson likelihood, which is right where counts are few.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ptycho_core.engines import subpixel
from ptycho_core.engines.physics import Windows, add_patches, read_patches, squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD, Propagator
from ptycho_core.engines.variation import unvary, vary

_DARKEST = 1e-6
_NO_LIGHT = 1e-20
_RIDGE = 0.05
_CHUNK = 16
"""Patterns at a time on a processor: what its cache holds."""


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
class Patterns:
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


def misfit(unknowns: Unknowns, patterns: Patterns) -> Tensor:
    """Return the mean envelope per good pixel, half the half deviance near its minimum; backward also gives the light.

    The patterns' ``light`` gets what belongs to the gradients, their ``seen``, if any, what was seen on the way.
    """
    loss: Tensor = _Misfit.apply(patterns, *unknowns)  # type: ignore[no-untyped-call]
    return loss


def expected_counts(
    object: Tensor,
    probe: Tensor,
    windows: Windows,
    gain: Tensor | None = None,
    background: Tensor | float = 0.0,
    propagator: Propagator = FAR_FIELD,
    coefficients: Tensor | None = None,
) -> Tensor:
    """Return lambda (b, N, N) of patterns in these windows of an object (H, W); coefficients (b, V) are theirs."""
    copies = subpixel.to_knots(probe)
    probes = subpixel.mix(subpixel.weights(windows.fraction), copies)
    if coefficients is not None:
        probes = vary(probes, coefficients)
    waves = propagator.forward(probes * read_patches(object, windows)[:, None], windows.fraction)
    light = squared_modulus(waves).sum(dim=1)
    return (light if gain is None else light * gain[:, None, None]) + background


def envelope(expected: Tensor, counts: Tensor, rho: float) -> tuple[Tensor, Tensor]:
    """Return the correction t of each pixel, by which waves at the detector descend as t psi, and the loss.

    ``a = argmin a^2 - k log a^2 + rho (a - sqrt(lambda))^2`` and ``t = (a / sqrt(lambda) - 1) (2 + rho) / 2``, so that
    the slope at the solution is the same for every rho. rho = 0 gives ``a = sqrt(k)``.
    """
    ratio = counts / expected
    if rho == 0:
        change = ratio.sqrt_().sub_(1)
        return change, expected * change.square()
    change = ratio.mul_(4 * (1 + rho)).add_(rho * rho).sqrt_().add_(rho).mul_(1 / (2 * (1 + rho))).sub_(1)
    scale = (2 + rho) / 2
    loss = expected * change.square() * scale
    return change.mul_(scale), loss


@dataclass(frozen=True)
class Found:
    """What a pass found: the mean envelope per good pixel, the gradients that were wanted, by name, and the light."""

    loss: Tensor
    gradients: dict[str, Tensor]
    light: Light


def steps_of_patterns(unknowns: Unknowns, patterns: Patterns) -> tuple[Tensor, Tensor, Tensor]:
    """Return steps (n,), (n, 2) and (n, V) by which gains, shifts and coefficients explain patterns better.

    They are 0 where none were seen. For patterns that object and probe must not learn from.
    """
    found = look(unknowns, patterns, {"log_gain", "shifts", "coefficients"})
    brighter, further, varied = (found.gradients[name] for name in ("log_gain", "shifts", "coefficients"))
    on_gain, on_shifts, on_coefficients = found.light.log_gain, found.light.shifts, found.light.coefficients
    assert isinstance(on_gain, Tensor)
    assert isinstance(on_shifts, Tensor)
    assert isinstance(on_coefficients, Tensor)
    return (
        -brighter / on_gain.clamp_min(_NO_LIGHT),
        -uphill(further, on_shifts),
        -varied / on_coefficients.clamp_min(_NO_LIGHT),
    )


def asked_of_all(unknowns: Unknowns, patterns: Patterns) -> tuple[Tensor, Tensor]:
    """Return the gradients by the object (H, W) and the shifts (n, 2) of half the sum of the envelope over pixels."""
    found = look(unknowns, patterns, {"object", "shifts"})
    half = _pixels(patterns.weight, len(patterns.counts), patterns.windows.size) / 2
    return found.gradients["object"] * half, found.gradients["shifts"] * half


def uphill(gradient: Tensor, light: Tensor) -> Tensor:
    """Return gradients (n, 2) by shifts over their curvatures (n, 2, 2); 0 where there was no light."""
    diagonal = light.diagonal(dim1=1, dim2=2)
    ridge = _RIDGE * diagonal.sum(dim=1).sum() / (diagonal > 0).sum().clamp_min(1)
    (a, d), b = (diagonal + ridge).clamp_min(_NO_LIGHT).unbind(dim=1), light[:, 0, 1]
    y, x = gradient.unbind(dim=1)
    return torch.stack([d * y - b * x, a * x - b * y], dim=1) / (a * d - b * b).clamp_min(_NO_LIGHT**2)[:, None]


def look(unknowns: Unknowns, patterns: Patterns, wanted: Container[str]) -> Found:
    """Pass over a batch, in chunks; the gradients, by the unknowns that are wanted, are of the mean per good pixel."""
    object, probe, log_gain, background, shifts, coefficients = unknowns
    fits_object, fits_probe, fits_gain, fits_background, fits_shifts, fits_coefficients = (
        name in wanted for name in Unknowns._fields
    )
    fits_shifts = fits_shifts and patterns.rows is not None and len(shifts) > 0
    windows, weight, rows = patterns.windows, patterns.weight, patterns.rows
    count, size = len(patterns.counts), windows.size
    copies = subpixel.to_knots(probe)
    knots = subpixel.weights(windows.fraction)
    to_object, on_object = torch.zeros_like(object), torch.zeros_like(object.real)
    to_copies, on_probe = torch.zeros_like(copies), torch.zeros_like(probe[0].real)
    to_gain, on_gain = torch.zeros_like(log_gain), torch.zeros_like(log_gain)
    to_background, on_background = torch.zeros_like(background), torch.zeros_like(background)
    to_shifts, on_shifts = torch.zeros_like(shifts), shifts.new_zeros(*shifts.shape, 2)
    to_coefficients, on_coefficients = torch.zeros_like(coefficients), torch.zeros_like(coefficients)
    slopes = gradients_of_object(object) if fits_shifts else ()
    sums = torch.zeros(1 if patterns.seen is None else 3, device=object.device)
    chunk = _CHUNK if object.device.type == "cpu" else count
    for start in range(0, count, chunk):
        part = slice(start, min(start + chunk, count))
        here = windows.part(part)
        probes = moved = subpixel.mix(knots[part], copies)
        varies = None
        if rows is not None and len(coefficients):
            varies = coefficients[rows[part]]
            probes = vary(moved, varies)
        patches = read_patches(object, here)[:, None]
        waves = patterns.propagator.forward(probes * patches, here.fraction)
        expected = own = squared_modulus(waves).sum(dim=1)
        gain = None
        if rows is not None and len(log_gain):
            gain = log_gain[rows[part]].exp()[:, None, None]
            expected = own = own * gain
        expected = (expected + background).clamp_min_(_DARKEST)
        counts = patterns.counts[part]
        good = None if weight is None else weight if weight.ndim == 2 else weight[part]
        told: tuple[Tensor, ...] = () if patterns.seen is None else _told(expected, counts)
        change, losses = envelope(expected, counts, patterns.rho)
        if good is not None:
            change, losses = change * good, losses * good
            told = tuple(values * good for values in told)
        sums += torch.stack([losses.sum(), *(values.sum() for values in told)])
        if gain is not None and fits_gain:
            assert rows is not None
            right = 1.0 if good is None else good
            to_gain[rows[part]] = -(right * (counts - expected) * (own / expected)).sum(dim=(1, 2))
            on_gain[rows[part]] = (right * own.square() / expected).sum(dim=(1, 2))
        if fits_background:
            right = torch.ones_like(counts) if good is None else good.expand_as(counts)
            bright = expected.clamp_min(0.1)
            to_background -= (right * (counts - expected) / bright).sum()
            on_background += (right / bright).sum()
        back = patterns.propagator.back(waves.mul_(change[:, None]), here.fraction)
        if gain is not None:
            back = back * gain[:, None]
        through = squared_modulus(probes).sum(dim=1)
        if gain is not None:
            through = through * gain
        if fits_object:
            add_patches(to_object, (probes.conj() * back).sum(dim=1), here)
            add_patches(on_object, through, here)
        if fits_shifts:
            assert rows is not None
            y, x = (read_patches(slope, here) for slope in slopes)
            for axis, slope in enumerate((y, x)):
                to_shifts[rows[part], axis] = -_product(probes * slope[:, None], back).sum(dim=1)
            for row, column, pair in ((0, 0, (y, y)), (1, 1, (x, x)), (0, 1, (y, x)), (1, 0, (y, x))):
                on_shifts[rows[part], row, column] = _product(pair[0] * through, pair[1])
        if not fits_probe and not fits_coefficients:
            continue
        to_probes = patches.conj() * back
        shown = squared_modulus(patches[:, 0])
        shown = shown if gain is None else shown * gain
        if fits_probe:
            to_copies += subpixel.unmix(knots[part], to_probes if varies is None else unvary(to_probes, varies))
            on_probe += shown.sum(dim=0)
        if fits_coefficients and varies is not None:
            assert rows is not None
            variation = moved[:, -varies.shape[1] :]
            to_coefficients[rows[part]] = -_product(variation, to_probes[:, :1])
            on_coefficients[rows[part]] = (squared_modulus(variation) * shown[:, None]).sum(dim=(2, 3))
    pixels = _pixels(weight, count, size)
    # torch's gradient by a complex number is twice that by its conjugate, and the light likewise.
    gradients = Unknowns(
        to_object.mul_(-2 / pixels),
        subpixel.from_knots(to_copies).mul_(-2 / pixels) if fits_probe else to_copies,
        to_gain.mul_(1 / pixels),
        to_background.mul_(1 / pixels),
        to_shifts.mul_(2 / pixels),
        to_coefficients.mul_(2 / pixels),
    )
    light = Light(
        on_object.mul_(2 / pixels),
        on_probe.mul_(2 / pixels),
        on_gain.mul_(1 / pixels),
        on_background.mul_(1 / pixels),
        on_shifts.mul_(2 / pixels),
        on_coefficients.mul_(2 / pixels),
    )
    loss, *means = (sums / pixels).unbind()
    if patterns.seen is not None:
        patterns.seen.deviance, patterns.seen.absolute = means
    return Found(loss, {name: of for name, of in gradients._asdict().items() if name in wanted}, light)


def _told(expected: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return half deviance and absolute difference of amplitudes, (b, N, N) each."""
    deviance = (expected - counts).add_(torch.xlogy(counts, counts / expected))
    return deviance, (expected.sqrt() - counts.sqrt()).abs_()


class _Misfit(torch.autograd.Function):
    """One pass over a batch."""

    @staticmethod
    def forward(ctx: Any, patterns: Patterns, *unknowns: Tensor) -> Tensor:
        needed = ctx.needs_input_grad[1:]
        wanted = {name for name, needs in zip(Unknowns._fields, needed, strict=True) if needs}
        ctx.patterns, ctx.found = patterns, look(Unknowns(*unknowns), patterns, wanted)
        loss: Tensor = ctx.found.loss
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        found, total = ctx.found, ctx.patterns.light
        for name in Unknowns._fields:
            setattr(total, name, getattr(total, name) + grad * getattr(found.light, name))
        gradients = (found.gradients.get(name) for name in Unknowns._fields)
        return None, *(None if one is None else one * grad for one in gradients)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Re sum conj(a) b over the last two axes."""
    return (a.real * b.real + a.imag * b.imag).sum(dim=(-2, -1))


def gradients_of_object(object: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives (H, W) each of an object along y and x."""
    fy, fx = (torch.fft.fftfreq(side, device=object.device) * (2 * torch.pi) for side in object.shape)
    spectrum = torch.fft.fft2(object)
    return torch.fft.ifft2(spectrum * (1j * fy[:, None])), torch.fft.ifft2(spectrum * (1j * fx))


def _pixels(weight: Tensor | None, count: int, size: int) -> Tensor | float:
    if weight is None:
        return float(count * size * size)
    finest = torch.float64 if weight.device.type != "mps" else torch.float32
    return (weight.sum(dtype=finest) * (count if weight.ndim == 2 else 1)).clamp_min(1.0)
