"""AdamW without the compiler takes the steps of PyTorch's, bit for bit."""

import torch
from torch import Tensor, nn

from asugnn.adamw import AdamW


def trained(optimiser: type[torch.optim.Optimizer], fused: bool) -> Tensor:
    """The weights after thirty steps under a schedule, with the state stored and read again on the way."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
    made = optimiser(network.parameters(), lr=0.01, weight_decay=0.1, fused=fused)
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
        assert torch.equal(trained(AdamW, fused), trained(torch.optim.AdamW, fused))
