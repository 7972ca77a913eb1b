"""Optimisers without the compiler take the steps of PyTorch's, bit for bit."""

import pytest
import torch
from torch import Tensor, nn

from asugnn.optimisers import SGD, AdamW


def trained(optimiser: type[torch.optim.Optimizer], **arguments: float) -> Tensor:
    """The weights after thirty steps under a schedule, with the state stored and read again on the way."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
    made = optimiser(network.parameters(), lr=0.01, weight_decay=0.1, **arguments)
    schedule = torch.optim.lr_scheduler.OneCycleLR(made, 0.01, total_steps=30)
    for step in range(30):
        made.zero_grad()
        network(torch.randn(9, 5)).square().mean().backward()
        made.step()
        schedule.step()
        if step == 10:
            made.load_state_dict(made.state_dict())
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_its_steps_are_those_of_pytorch():
    for fused in (False, True):
        assert torch.equal(trained(AdamW, fused=fused), trained(torch.optim.AdamW, fused=fused))
    assert torch.equal(trained(SGD, momentum=0.9), trained(torch.optim.SGD, momentum=0.9))


def test_a_differentiable_step_is_refused():
    with pytest.raises(ValueError, match="not differentiable here"):
        AdamW([nn.Parameter(torch.ones(1))], differentiable=True)
