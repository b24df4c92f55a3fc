# SPDX-License-Identifier: Apache-2.0
"""Attention over all keys or over the key blocks a method keeps, defined as in the library.

Both sparse methods work on tokens in tile order: tiles of (4,4,4) tokens, raster over tiles, raster
inside a tile. A tile is one block of 64 tokens. Only the kept blocks are gathered, so the time falls
with the density.
"""

import math

import torch
import torch.nn.functional as F

TILE = (4, 4, 4)
BLOCK = 64


def tile_order(grid, device="cpu"):
    """order[i] = raster index of the token at place i of the tile order."""
    if any(n % t for n, t in zip(grid, TILE)):
        raise ValueError(f"token grid {grid} must be a multiple of the tile {TILE} in each dimension")
    index = torch.arange(math.prod(grid), device=device)
    f, h, w = (n // t for n, t in zip(grid, TILE))
    index = index.reshape(f, TILE[0], h, TILE[1], w, TILE[2])
    return index.permute(0, 2, 4, 1, 3, 5).flatten()


def window(n, k):
    """keep[q][kv] of one dimension with n tiles and a window of k tiles, clamped at the borders."""
    half = k // 2
    if 2 * half + 1 >= n:
        return torch.ones(n, n, dtype=torch.bool)
    q = torch.arange(n)
    centre = q.clamp(half, n - 1 - half)
    return (q[None] - centre[:, None]).abs() <= half


class SlidingTile:
    def __init__(self, windows=(3, 3, 3)):
        self.windows = tuple(windows)
        self.name = "sliding_tile " + "x".join(map(str, self.windows))

    def order(self, grid, device):
        tiles = [n // t for n, t in zip(grid, TILE)]
        f, h, w = (window(n, k) for n, k in zip(tiles, self.windows))
        blocks = math.prod(tiles)
        keep = (f[:, None, None, :, None, None] & h[None, :, None, None, :, None]
                & w[None, None, :, None, None, :]).reshape(blocks, blocks)
        self.kept = keep.nonzero()[:, 1].reshape(blocks, -1).to(device)
        self.density = self.kept.shape[1] / blocks
        return tile_order(grid, device)

    def select(self, q, k):
        return self.kept.expand(q.shape[0], q.shape[1], -1, -1)


class BlockTopk:
    def __init__(self, keep_ratio=0.3, local_radius=0):
        self.keep_ratio = keep_ratio
        self.local_radius = local_radius
        self.name = f"block_topk {keep_ratio:g}"

    def order(self, grid, device):
        blocks = math.prod(grid) // BLOCK
        place = torch.arange(blocks, device=device)
        self.local = (place[:, None] - place).abs() <= self.local_radius
        self.count = min(blocks, max(math.ceil(self.keep_ratio * blocks - 1e-9),
                                     int(self.local.sum(1).max())))
        self.density = self.count / blocks
        return tile_order(grid, device)

    @torch.no_grad()
    def select(self, q, k):
        mean_q = q.unflatten(2, (-1, BLOCK)).mean(3)
        mean_k = k.unflatten(2, (-1, BLOCK)).mean(3)
        score = (mean_q @ mean_k.transpose(-1, -2)).masked_fill(self.local, math.inf)
        # A stable sort gives ties to the lower index; topk does not promise that.
        best = score.sort(dim=-1, descending=True, stable=True).indices[..., :self.count]
        return best.sort(-1).values


def attend(q, k, v, mask):
    """q, k, v [B,H,N,D]. With a mask the tokens must be in tile order."""
    if mask is None:
        return F.scaled_dot_product_attention(q, k, v)
    kept = mask.select(q, k)
    b, h, n, d = q.shape
    blocks = n // BLOCK
    first = torch.arange(b * h, device=q.device).reshape(b, h, 1, 1) * blocks
    flat = (kept + first).flatten()

    def gather(x):
        rows = x.reshape(b * h * blocks, BLOCK * d).index_select(0, flat)
        return rows.reshape(b * h, blocks, -1, d)

    y = F.scaled_dot_product_attention(q.reshape(b * h, blocks, BLOCK, d), gather(k), gather(v))
    return y.reshape(b, h, n, d)
