"""How unknowns move: steps over light, their state, and the prior."""

import pytest
import torch

from ptycho_core.engines.descent import LightDescent, edge_prior


def test_the_prior_leaves_a_flat_object_and_pulls_at_noise_more_than_at_edges():
    gradient, _ = edge_prior(torch.full((9, 9), 0.7 + 0.2j), 0.02)
    assert float(gradient.abs().max()) == 0
    edge = torch.ones(9, 9, dtype=torch.complex64)
    edge[:, 5:] = 0.0
    strong, _ = edge_prior(edge, 0.02)
    weak, _ = edge_prior(1 + 0.1 * (edge - 1), 0.02)
    torch.testing.assert_close(strong, weak)  # a tenth of the height, the same pull: edges stay


def test_a_step_in_a_quadratic_valley_of_known_curvature_goes_to_its_bottom():
    place_ = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    curvature = torch.tensor([4.0, 0.5])
    optimizer = LightDescent([{"params": [place_], "divisor": lambda: curvature}], lr=1.0, momentum=0.0)
    (curvature * place_.square() / 2).sum().backward()
    optimizer.step()
    assert place_.tolist() == [0.0, 0.0]


def test_its_state_is_saved_without_functions_and_goes_on_alike():
    def descend(steps: int, state: dict | None = None, start: float = 3.0) -> tuple[float, dict]:
        at = torch.nn.Parameter(torch.tensor(start))
        optimizer = LightDescent([{"params": [at], "divisor": lambda: torch.tensor(2.0)}], lr=0.1, momentum=0.9)
        if state is not None:
            optimizer.load_state_dict(state)
        for _ in range(steps):
            optimizer.zero_grad()
            at.square().backward()
            optimizer.step()
        return at.item(), optimizer.state_dict()

    whole, _ = descend(6)
    half, state = descend(3)
    assert "divisor" not in state["param_groups"][0]
    assert descend(3, state, half)[0] == pytest.approx(whole)
