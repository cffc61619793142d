"""Softmax regression, for heads that are fitted to the features of a network that is ready."""

import torch
import torch.nn.functional as F


def softmax_regression(x: torch.Tensor, labels: torch.Tensor, start: torch.Tensor, decay: float, steps: int):
    """Weight and bias that minimise cross-entropy plus `decay` times the squared distance of the weight from `start`,
    [classes, features]. L-BFGS, no randomness."""
    weight = start.clone().requires_grad_()
    bias = torch.zeros(len(start), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = F.cross_entropy(x @ weight.T + bias, labels) + decay * (weight - start).square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    print(f"largest gradient {weight.grad.abs().max():.1e} at a loss of {loss():.4f}")
    return weight.detach(), bias.detach()
