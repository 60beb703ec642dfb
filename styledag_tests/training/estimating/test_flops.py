import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from styledag.training.estimating.flops import Flops

MODULES = {
    "convolution": (nn.Conv2d(4, 8, 3, stride=2, padding=1), (2, 4, 10, 6)),
    "transposed": (nn.ConvTranspose2d(4, 8, 4, stride=2), (2, 4, 10, 6)),
    "linear": (nn.Linear(5, 7), (2, 3, 5)),
}


def flops(module: nn.Module, shape: tuple[int, ...], *, grad: bool) -> tuple[int, int]:
    """Return the operations of a forward pass, and of a backward pass."""
    image = torch.randn(shape, requires_grad=grad)
    with Flops() as counted:
        output = module(image)
        forward = counted.total
        output.sum().backward()
    return forward, counted.total - forward


@pytest.mark.parametrize("name", MODULES)
def test_it_counts_what_torch_counts(name: str) -> None:
    module, shape = MODULES[name]
    with FlopCounterMode(display=False) as theirs:
        module(torch.randn(shape, requires_grad=True)).sum().backward()
    assert sum(flops(module, shape, grad=True)) == theirs.get_total_flops()


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_gradients_of_grouped_convolutions_cost_two_convolutions(groups: int) -> None:
    module = nn.Conv2d(8, 16, 3, padding=1, groups=groups)
    forward, backward = flops(module, (2, 8, 5, 4), grad=True)
    # Each of 2 x 16 x 5 x 4 numbers is the sum of 3 x 3 x 8 / groups products.
    assert forward == 2 * (2 * 16 * 5 * 4) * (9 * 8 // groups)
    assert backward == 2 * forward
    assert flops(module, (2, 8, 5, 4), grad=False) == (forward, forward)
