# SPDX-License-Identifier: Apache-2.0
"""The Wan2.1 text-to-video transformer, scaled down, in pixel space.

Architecture and tensor names are those of the Wan2.1 T2V DiT; what differs is scale (width, depth,
head_dim 64), the patch (1,4,4) on RGB instead of (1,2,2) on latents, the RoPE base, the text encoder
(an embedding table over a closed vocabulary with a learned position per slot), and one addition: an
absolute position per token beside RoPE, `position_embedding`. RoPE knows distances only, and
where a moving object starts and ends depends on the place in the clip.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from sparse import attend


@dataclass
class Config:
    """Everything that fixes the shapes of the tensors and the meaning of the positions."""

    dim: int = 128
    layers: int = 6
    heads: int = 2
    vocab: int = 48
    channels: int = 3
    patch: int = 4
    freq_dim: int = 256
    text_len: int = 16
    text_dim: int = 64
    rope_theta: float = 100.0
    rope_split: tuple = (24, 20, 20)
    position_waves: int = 8
    frames: int = 16

    def to_dict(self):
        return asdict(self)


def rope_table(cfg, frames, rows, cols):
    """exp(i * position * frequency) for tokens in raster order; frames may be [B, T] or [T]."""
    frames = torch.as_tensor(frames, dtype=torch.float64)
    if frames.dim() == 1:
        frames = frames[None]
    batch, count = frames.shape
    rows = torch.as_tensor(rows, dtype=torch.float64)
    cols = torch.as_tensor(cols, dtype=torch.float64)
    shape = (batch, count, len(rows), len(cols))
    axes = (frames[:, :, None, None], rows[None, None, :, None], cols[None, None, None, :])
    angles = []
    for position, width in zip(axes, cfg.rope_split):
        omega = cfg.rope_theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
        angles.append(position.expand(shape)[..., None] * omega)
    angle = torch.cat(angles, -1).reshape(batch, count * len(rows) * len(cols), -1)
    return torch.polar(torch.ones_like(angle), angle)


def position_features(cfg, frames, length, rows, cols):
    """cos(pi m u), m = 1..position_waves, of the relative places u = (i + 0.5) / n: [B,N,3*waves]."""
    frames = torch.as_tensor(frames, dtype=torch.float64)
    frames = frames[None] if frames.dim() == 1 else frames
    places = ((frames + 0.5) / length, (torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols)
    wave = torch.arange(1, cfg.position_waves + 1)
    f, h, w = (torch.cos(math.pi * wave * u.double()[..., None]) for u in places)
    shape = (frames.shape[0], frames.shape[1], rows, cols, cfg.position_waves)
    parts = (f[:, :, None, None], h[None, None, :, None], w[None, None, None])
    return torch.cat([part.expand(shape) for part in parts], -1).flatten(1, 3)


def rotate(x, table):
    """Interleaved RoPE: the pair (2j, 2j+1) is one complex number. x [B,N,H,D], table [B,N,D/2]."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table[:, :, None]).flatten(-2)


class RmsNorm(nn.Module):
    """RMS norm over the full width, all heads together."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.o = nn.Linear(dim, dim)
        self.norm_q = RmsNorm(dim)
        self.norm_k = RmsNorm(dim)

    def forward(self, x, context=None, table=None, mask=None):
        source = x if context is None else context
        q = self.norm_q(self.q(x)).unflatten(-1, (self.heads, -1))
        k = self.norm_k(self.k(source)).unflatten(-1, (self.heads, -1))
        v = self.v(source).unflatten(-1, (self.heads, -1))
        if table is not None:
            q, k = rotate(q, table), rotate(k, table)
        y = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask)
        return self.o(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        dim = cfg.dim
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))
        self.self_attn = Attention(dim, cfg.heads)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.cross_attn = Attention(dim, cfg.heads)
        self.ffn = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"),
                                 nn.Linear(4 * dim, dim))

    def forward(self, x, e0, context, table, mask):
        m = (self.modulation + e0).unbind(1)
        m = [part[:, None] for part in m]
        width = x.shape[-1:]
        y = F.layer_norm(x, width, eps=1e-6) * (1 + m[1]) + m[0]
        x = x + self.self_attn(y, table=table, mask=mask) * m[2]
        x = x + self.cross_attn(self.norm3(x), context=context)
        y = F.layer_norm(x, width, eps=1e-6) * (1 + m[4]) + m[3]
        return x + self.ffn(y) * m[5]


class Head(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.head = nn.Linear(cfg.dim, cfg.patch ** 2 * cfg.channels)
        self.modulation = nn.Parameter(torch.zeros(1, 2, cfg.dim))

    def forward(self, x, e):
        shift, scale = (self.modulation + e[:, None]).unbind(1)
        y = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        return self.head(y * (1 + scale[:, None]) + shift[:, None])


class TextEncoder(nn.Module):
    """ids [B, text_len], -1 beyond the prompt; those rows are zeros."""

    def __init__(self, cfg):
        super().__init__()
        self.embedding = nn.Embedding(cfg.vocab, cfg.text_dim)
        self.position = nn.Embedding(cfg.text_len, cfg.text_dim)

    def forward(self, ids):
        rows = self.embedding(ids.clamp(min=0)) + self.position.weight
        return rows * (ids >= 0)[..., None]


class Model(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        dim = cfg.dim
        self.patch_embedding = nn.Conv3d(cfg.channels, dim, (1, cfg.patch, cfg.patch),
                                         stride=(1, cfg.patch, cfg.patch))
        self.text_encoder = TextEncoder(cfg)
        self.text_embedding = nn.Sequential(nn.Linear(cfg.text_dim, dim),
                                            nn.GELU(approximate="tanh"), nn.Linear(dim, dim))
        self.time_embedding = nn.Sequential(nn.Linear(cfg.freq_dim, dim), nn.SiLU(),
                                            nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.head = Head(cfg)
        self.position_embedding = nn.Linear(3 * cfg.position_waves, dim, bias=False)

    def embed_time(self, t):
        half = self.cfg.freq_dim // 2
        steps = torch.arange(half, dtype=torch.float64, device=t.device)
        angle = t.double()[:, None] * 10000.0 ** (-steps / half)
        waves = torch.cat([angle.cos(), angle.sin()], -1)
        e = self.time_embedding(waves.to(self.head.modulation.dtype))
        return e, self.time_projection(e).unflatten(-1, (6, -1))

    def embed_text(self, ids):
        return self.text_embedding(self.text_encoder(ids))

    def embed_patches(self, x):
        """[B,C,T,H,W] -> [B,N,dim]; a patch is flattened (channel, row, column), channel slowest."""
        p = self.cfg.patch
        b, c, t, h, w = x.shape
        y = x.reshape(b, c, t, h // p, p, w // p, p).permute(0, 2, 3, 5, 1, 4, 6)
        y = y.reshape(b, t * (h // p) * (w // p), c * p * p)
        return F.linear(y, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)

    def place_patches(self, y, shape):
        """[B,N,p*p*C] -> [B,C,T,H,W]; the head's rows are (row, column, channel), channel fastest."""
        p = self.cfg.patch
        b, c, t, h, w = shape
        y = y.reshape(b, t, h // p, w // p, p, p, c).permute(0, 6, 1, 2, 4, 3, 5)
        return y.reshape(shape)

    def forward(self, x, t, ids, frames=None, mask=None, tap=None):
        """Velocity of x [B,3,T,H,W] at model timesteps t [B].

        frames: numbers of the given frames, [T] or [B,T], in a clip of cfg.frames; None: all of them.
        """
        grid = (x.shape[2], x.shape[3] // self.cfg.patch, x.shape[4] // self.cfg.patch)
        length = grid[0] if frames is None else self.cfg.frames
        frames = torch.arange(grid[0]) if frames is None else frames
        table = rope_table(self.cfg, frames, torch.arange(grid[1]), torch.arange(grid[2]))
        place = position_features(self.cfg, frames, length, grid[1], grid[2]).to(x.device, x.dtype)
        table = table.to(x.device, torch.complex128 if x.dtype == torch.float64 else torch.complex64)
        e, e0 = self.embed_time(t)
        context = self.embed_text(ids)
        tokens = self.embed_patches(x) + self.position_embedding(place)
        if mask is not None:
            order = mask.order(grid, x.device)
            tokens, table = tokens[:, order], table[:, order]
        for index, block in enumerate(self.blocks):
            before = tokens
            tokens = block(tokens, e0, context, table, mask)
            if tap is not None:
                tap(index, before, tokens, context)
        y = self.head(tokens, e)
        if mask is not None:
            y = y[:, torch.argsort(order)]
        return self.place_patches(y, x.shape)


def initialise(model):
    """Starting point: patches pass through to the head, and half of the heads already look around.

    Equal biases on q and k make the score of two tokens a sum of cosines of their distance, so those
    heads begin as a local average. Without it the first phase only learns to denoise patches alone.
    """
    cfg = model.cfg
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(model.text_encoder.embedding.weight)
    nn.init.normal_(model.text_encoder.position.weight, std=0.7)
    nn.init.normal_(model.time_projection[1].weight, std=0.02)
    patch = model.patch_embedding
    with torch.no_grad():
        inputs = cfg.channels * cfg.patch ** 2
        places = 3 * cfg.position_waves
        columns, apart = torch.linalg.qr(torch.randn(cfg.dim, inputs + places))[0].split([inputs, places], 1)
        model.position_embedding.weight.copy_(0.8 * apart)
        patch.weight.copy_(columns.view_as(patch.weight))
        patch.bias.zero_()
        p, c = cfg.patch, cfg.channels
        back = columns.T.reshape(c, p, p, cfg.dim).permute(1, 2, 0, 3).reshape(-1, cfg.dim)
        # The last layer norm divides by the row's deviation, about sqrt(48/dim) for unit noise.
        model.head.head.weight.copy_(back * math.sqrt(c * p * p / cfg.dim))
        for index, block in enumerate(model.blocks):
            start_block(block, index, cfg)


def start_block(block, index, cfg):
    depth = (2 * cfg.layers) ** -0.5
    block.modulation.normal_(std=0.02)
    block.modulation[:, 2] += 0.5
    block.modulation[:, 5] += 0.5
    block.self_attn.o.weight.mul_(depth)
    block.ffn[2].weight.mul_(depth)
    nn.init.zeros_(block.cross_attn.o.weight)
    frame_width = cfg.rope_split[0]
    local = torch.zeros(cfg.heads, cfg.dim // cfg.heads)
    for head in range((cfg.heads + 1) // 2):
        local[head, (0 if (index + head) % 2 else frame_width)::2] = 1.2
    for linear in (block.self_attn.q, block.self_attn.k):
        linear.weight.mul_(0.7)
        linear.bias.copy_(local.flatten())
