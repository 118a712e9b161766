"""How the unknowns of a fit move: by gradients over light, with momentum, and smoothly where a prior asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ptycho_core.engines.physics import squared_modulus

_LEAST_LIGHT, _NO_LIGHT = 0.05, 1e-20


def calm(light: Tensor | float) -> Tensor:
    """Return what the object's gradient is divided by: its light (H, W) and a part of the brightest pixel's.

    So the dark stays calm.
    """
    assert isinstance(light, Tensor)
    return (light + _LEAST_LIGHT * light.max()).clamp_min(_NO_LIGHT)


def edge_prior(object: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Return gradient and curvature of a norm of the object's differences that keeps edges.

    The Huber norm of ``(d O / dy, d O / dx)``: total variation (Rudin, Osher and Fatemi, Physica D 60, 259 (1992)),
    quadratic below ``width``.

    Parameters
    ----------
    object
        (H, W) complex.
    width
        Difference from which on it counts as an edge.
    """
    dy, dx = object[1:, :-1] - object[:-1, :-1], object[:-1, 1:] - object[:-1, :-1]
    slope = 1 / (squared_modulus(dy) + squared_modulus(dx)).sqrt().clamp_min(width)
    gy, gx = dy * slope, dx * slope
    gradient, curvature = torch.zeros_like(object), torch.zeros_like(object.real)
    gradient[1:, :-1] += gy
    gradient[:-1, 1:] += gx
    gradient[:-1, :-1] -= gy + gx
    curvature[1:, :-1] += slope
    curvature[:-1, 1:] += slope
    curvature[:-1, :-1] += 2 * slope
    return gradient, 2 * curvature


class LightDescent(torch.optim.Optimizer):
    """Nesterov's momentum on gradients divided by light.

    Parameters
    ----------
    groups
        Each one parameter: ``params`` (p,), ``divisor``, a function that gives what its gradient is divided by, in its
        shape or one that spreads to it, and ``newton``, whether the quotient is a step of its own: taken damped,
        bounded and without momentum; or, in place of a divisor, ``move``, a function of the gradient and the state that
        returns what is added.
    lr
        Length of a step, of the quotient.
    momentum
        Part of the step before that goes on.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "divisor": None, "newton": False, "move": None})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if group["move"] is not None:
                    parameter.add_(group["move"](parameter.grad, self.state[parameter]))
                    continue
                quotient = parameter.grad / group["divisor"]()
                if group["newton"]:
                    parameter.sub_(quotient.clamp_(-_BOUND, _BOUND), alpha=_DAMPING)
                    continue
                state = self.state[parameter]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(parameter)
                velocity, move = state["velocity"], quotient.mul_(-group["lr"])
                velocity.mul_(group["momentum"]).add_(move)
                parameter.add_(velocity, alpha=group["momentum"]).add_(move)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state without what are functions."""
        state: dict[str, Any] = super().state_dict()
        for group in state["param_groups"]:
            group.pop("divisor")
            group.pop("move")
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state, keeping the functions."""
        functions = [{name: group[name] for name in ("divisor", "move")} for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, own in zip(self.param_groups, functions, strict=True):
            group.update(own)


_BOUND, _DAMPING = 0.3, 0.7
"""Largest step of Newton's kind, and the part of it that is taken."""
