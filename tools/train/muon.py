# SPDX-License-Identifier: Apache-2.0
"""Muon: momentum whose matrix updates are made orthogonal by a Newton-Schulz iteration."""

import torch
import torch.distributed as dist


def orthogonalise(stack, steps=5):
    """[K,m,n] with m <= n: every matrix replaced by one with singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = stack / (stack.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Matrices of one shape are handled as one stack; with several ranks each takes a share."""

    def __init__(self, params, lr=2e-3, momentum=0.95, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        world = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if world > 1 else 0
        for group in self.param_groups:
            updates = [self.direction(p, group["momentum"]) for p in group["params"]]
            shapes = sorted({u.shape for u in updates})
            done = []
            for shape in shapes:
                members = [i for i, u in enumerate(updates) if u.shape == shape]
                stack = torch.stack([updates[i] for i in members])
                out = torch.zeros_like(stack)
                out[rank::world] = orthogonalise(stack[rank::world])
                done.append((members, out))
            if world > 1:
                flat = torch.cat([out.flatten() for _, out in done])
                dist.all_reduce(flat)
                parts = flat.split([out.numel() for _, out in done])
                done = [(m, p.view_as(out)) for (m, out), p in zip(done, parts)]
            for members, out in done:
                for i, update in zip(members, out):
                    self.apply(group["params"][i], update, group)

    def direction(self, p, momentum):
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1 - momentum)
        update = p.grad.lerp(state["momentum"], momentum)
        return update.T if update.shape[0] > update.shape[1] else update

    @staticmethod
    def apply(p, update, group):
        p.mul_(1 - group["lr"] * group["weight_decay"])
        update = update.T if p.shape[0] > p.shape[1] else update
        # Scaled so that the root mean square of the update is that of Adam, about 0.2.
        p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)
