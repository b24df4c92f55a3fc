# SPDX-License-Identifier: Apache-2.0
"""Euler sampling with guidance, as `lacuna generate` does it."""

import numpy as np
import torch

import clips


def sigmas(steps, shift):
    base = 0.999 * (1 - np.arange(steps) / steps)
    return np.append(shift * base / (1 + (shift - 1) * base), 0.0)


def start_noise(seeds, frames=clips.FRAMES, size=clips.SIZE):
    shape = (3, frames, size, size)
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds])


@torch.no_grad()
def sample(model, prompts, seeds, steps=16, shift=5.0, guidance=3.0, mask=None, dense_steps=0):
    """Clips [B,T,64,64,3] uint8. The first dense_steps steps use no mask."""
    x = start_noise(seeds)
    ids = torch.from_numpy(np.stack([clips.encode(p) for p in prompts]))
    ids = torch.cat([ids, torch.full_like(ids, -1)])
    levels = sigmas(steps, shift)
    for k in range(steps):
        t = torch.full((2 * len(x),), float(np.floor(1000 * levels[k])))
        chosen = mask if k >= dense_steps else None
        with_text, without = model(torch.cat([x, x]), t, ids, mask=chosen).chunk(2)
        x = x + float(levels[k + 1] - levels[k]) * (without + guidance * (with_text - without))
    return to_bytes(x)


def to_bytes(x):
    frames = ((x + 1) * 127.5).round().clamp(0, 255).byte()
    return frames.permute(0, 2, 3, 4, 1).contiguous().numpy()
