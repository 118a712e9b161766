"""The arithmetic of the direct engine: misfit and gradients of a batch (`one_pass`), and steps divided by the light.

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

from typing import Any

import torch
from torch import Tensor

from ptycho_core.engines import subpixel
from ptycho_core.engines.one_pass import Measured, Unknowns, count_good, look
from ptycho_core.engines.physics import Windows, over_modes, read_patches, squared_modulus
from ptycho_core.engines.propagators import FAR_FIELD, Propagator
from ptycho_core.engines.variation import vary

_NO_LIGHT = 1e-20
_RIDGE = 0.05


def misfit(unknowns: Unknowns, patterns: Measured) -> Tensor:
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
    copies: Tensor | None = None,
) -> Tensor:
    """Return lambda (b, N, N) of patterns in these windows of an object (H, W); coefficients (b, V) are theirs.

    ``copies`` are those of the probe at the knots of `subpixel`, where they are known already.
    """
    probes = subpixel.mix(windows.knots, subpixel.to_knots(probe) if copies is None else copies)
    if coefficients is not None:
        probes = vary(probes, coefficients)
    waves = propagator.forward(probes * read_patches(object, windows)[:, None], windows.fraction)
    light = over_modes(squared_modulus(waves))
    return (light if gain is None else light * gain[:, None, None]) + background


def steps_of_patterns(unknowns: Unknowns, patterns: Measured) -> tuple[Tensor, Tensor, Tensor]:
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


def asked_of_all(unknowns: Unknowns, patterns: Measured) -> tuple[Tensor, Tensor]:
    """Return the gradients by the object (H, W) and the shifts (n, 2) of half the sum of the envelope over pixels."""
    found = look(unknowns, patterns, {"object", "shifts"})
    half = count_good(patterns.weight, len(patterns.counts), patterns.windows.size) / 2
    return found.gradients["object"] * half, found.gradients["shifts"] * half


def uphill(gradient: Tensor, light: Tensor) -> Tensor:
    """Return gradients (n, 2) by shifts over their curvatures (n, 2, 2); 0 where there was no light."""
    diagonal = light.diagonal(dim1=1, dim2=2)
    ridge = _RIDGE * diagonal.sum(dim=1).sum() / (diagonal > 0).sum().clamp_min(1)
    (a, d), b = (diagonal + ridge).clamp_min(_NO_LIGHT).unbind(dim=1), light[:, 0, 1]
    y, x = gradient.unbind(dim=1)
    return torch.stack([d * y - b * x, a * x - b * y], dim=1) / (a * d - b * b).clamp_min(_NO_LIGHT**2)[:, None]


class _Misfit(torch.autograd.Function):
    """One pass over a batch."""

    @staticmethod
    def forward(ctx: Any, patterns: Measured, *unknowns: Tensor) -> Tensor:
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
