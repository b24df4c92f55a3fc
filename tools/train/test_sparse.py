# SPDX-License-Identifier: Apache-2.0
"""The gathered attention against a full score matrix with the method's definition written out."""

import math
import unittest

import torch

from sparse import BLOCK, TILE, BlockTopk, SlidingTile, attend, tile_order


def attend_dense(q, k, v, keep):
    score = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    return torch.softmax(score.masked_fill(~keep, -math.inf), -1) @ v


class Sparse(unittest.TestCase):
    grid = (8, 16, 12)

    def setUp(self):
        torch.manual_seed(0)
        shape = (2, 2, math.prod(self.grid), 16)
        self.q, self.k, self.v = (torch.randn(shape, dtype=torch.float64) for _ in range(3))

    def test_order_is_tiles_then_tokens(self):
        order = tile_order(self.grid)
        self.assertEqual(order[:5].tolist(), [0, 1, 2, 3, 12])
        self.assertEqual(order[BLOCK].item(), 4)
        self.assertEqual(sorted(order.tolist()), list(range(math.prod(self.grid))))

    def test_sliding_tile(self):
        for windows in ((3, 3, 3), (1, 3, 1), (1, 2, 5)):
            mask = SlidingTile(windows)
            order = mask.order(self.grid, "cpu")
            place = torch.stack(torch.unravel_index(order, self.grid))
            tile = place // torch.tensor(TILE)[:, None]
            keep = torch.ones(len(order), len(order), dtype=torch.bool)
            for axis, k in enumerate(windows):
                n, half = self.grid[axis] // TILE[axis], k // 2
                if 2 * half + 1 < n:
                    centre = tile[axis].clamp(half, n - 1 - half)
                    keep &= (tile[axis][None] - centre[:, None]).abs() <= half
            expected = attend_dense(self.q, self.k, self.v, keep)
            self.assertTrue(torch.allclose(attend(self.q, self.k, self.v, mask), expected, atol=1e-12))
            self.assertAlmostEqual(mask.density, keep.double().mean().item())

    def test_block_topk(self):
        mask = BlockTopk(0.3, local_radius=1)
        mask.order(self.grid, "cpu")
        blocks = math.prod(self.grid) // BLOCK
        means = [x.unflatten(2, (blocks, BLOCK)).mean(3) for x in (self.q, self.k)]
        score = means[0] @ means[1].transpose(-1, -2)
        keep = torch.zeros(score.shape, dtype=torch.bool)
        for b, h, i in torch.cartesian_prod(*map(torch.arange, score.shape[:3])).tolist():
            ranked = sorted(range(blocks), key=lambda j: (abs(i - j) > 1, -score[b, h, i, j].item(), j))
            keep[b, h, i, ranked[:math.ceil(0.3 * blocks)]] = True
        keep = keep.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)
        expected = attend_dense(self.q, self.k, self.v, keep)
        self.assertTrue(torch.allclose(attend(self.q, self.k, self.v, mask), expected, atol=1e-12))

    def test_ties_go_to_the_lower_block(self):
        mask = BlockTopk(0.5)
        mask.order(self.grid, "cpu")
        kept = mask.select(torch.zeros_like(self.q), self.k)
        self.assertEqual(kept[0, 0, 0].tolist(), list(range(mask.count)))
        self.assertEqual(kept[0, 0, -1].tolist(), [*range(mask.count - 1), 23])


if __name__ == "__main__":
    unittest.main()
