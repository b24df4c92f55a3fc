# SPDX-License-Identifier: Apache-2.0
"""Trains the bundled model: `python3 tools/train/train.py --minutes 110`. See README.md.

On a CPU it starts one process per worker, each with one thread: attention of small heads runs several
times faster that way than with threads inside the operators. Time is counted step by step and long
pauses are left out, so a stopped process keeps its place in the schedule. Everything is seeded by
(seed, step, worker).
"""

import argparse
import ctypes
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# Read when the libraries load; the workers are forks and inherit it.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import clips
from model import Config, Model, initialise
from muon import Muon
from sparse import BlockTopk, SlidingTile


@dataclass
class Stage:
    """A share of the schedule: how many clips of how many frames, and how late the times lie."""

    name: str
    share: float
    clips: int
    frames: int
    shift: float
    two: float
    sparse: float = 0.0  # the share of the steps under a mask


# Single frames teach what a prompt looks like at each moment of the clip, at a fraction of the cost of whole clips; the
# later stages only have to make the frames agree. The place of an object can be read off the noise up to s of about 0.95
# (one frame) or 0.985 (sixteen), so only later times teach what the prompt says about it: hence the high shifts.
# The second half goes over the same ground at lower times and a lower rate: edges are decided there, places are not. The
# last stage is for the masks: the better the model became, the more a mask that it had hardly seen cost it.
STAGES = (Stage("one frame", 42.5, 16, 1, 8.0, 0.15),
          Stage("four frames", 21.3, 8, 4, 12.0, 0.20),
          Stage("full", 21.2, 2, 16, 14.0, 0.25, 0.75),
          Stage("one frame, edges", 16.0, 16, 1, 4.0, 0.15),
          Stage("four frames, edges", 24.0, 8, 4, 6.0, 0.20),
          Stage("full, edges", 15.0, 2, 16, 8.0, 0.25, 0.75),
          Stage("full, sparse", 22.0, 2, 16, 6.0, 0.25, 0.9))
ENDS = (np.cumsum([s.share for s in STAGES]) / sum(s.share for s in STAGES)).tolist()
CONSTANT_PART, FIRST_HALF, SECOND_HALF = 0.56 * ENDS[2], ENDS[2], ENDS[5]
HELD_OUT_SEED = 990_000_000
LEVELS = (0.3, 0.6, 0.85, 0.95, 0.99)


def default_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lacuna" / "train"


def parse(argv=None):
    here = Path(__file__).resolve().parent
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--checkpoints", type=Path, default=default_folder())
    p.add_argument("--log", type=Path, default=here / "log" / "train.jsonl")
    p.add_argument("--minutes", type=float, default=162, help="length of the whole schedule")
    p.add_argument("--steps", help="steps of each stage, as 900,700,600,400: instead of minutes")
    p.add_argument("--workers", type=int, default=0, help="0: one per CPU core, at most 2")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--dim", type=int, default=128)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--matrix-rate", type=float, default=3e-3)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--ema", type=float, default=0.995)
    p.add_argument("--object-weight", type=float, default=2.0)
    return p.parse_args(argv)


class Schedule:
    """Where the run is: by minutes of counted time or by given step numbers per stage."""

    def __init__(self, args):
        self.args = args
        self.steps = [int(n) for n in args.steps.split(",")] if args.steps else None
        self.clock = 0.0
        self.recent = []

    def progress(self, step):
        if not self.steps:
            return float(self.clock) / (60 * self.args.minutes)
        starts = [0.0, *ENDS]
        for i, count in enumerate(self.steps):
            if step < count:
                return float(starts[i] + (starts[i + 1] - starts[i]) * step / count)
            step -= count
        return 1.0

    def stage(self, progress):
        return STAGES[min(int(np.searchsorted(ENDS, progress, side="right")), len(STAGES) - 1)]

    def count(self, seconds):
        """A pause (a stopped process, a sleeping machine) counts as an ordinary step."""
        usual = float(np.median(self.recent)) if len(self.recent) >= 5 else seconds
        self.recent = (self.recent + [min(seconds, 6 * usual)])[-20:]
        self.clock += min(seconds, 6 * usual)


def rate_factor(step, progress):
    """Warm-up, constant, then a drop to 60 % and from there straight down to 2 %; the second half
    starts at 40 %, the last stage at 30 %.

    Late in the constant part the averaged weights had two thirds of the held-out loss of the last ones:
    the rate, not the model, was what held the loss up.
    """
    if progress < CONSTANT_PART:
        return min(1.0, (step + 1) / 60)
    if progress < FIRST_HALF:
        return 0.02 + 0.58 * (FIRST_HALF - progress) / (FIRST_HALF - CONSTANT_PART)
    if progress < SECOND_HALF:
        return 0.01 + 0.39 * (SECOND_HALF - progress) / (SECOND_HALF - FIRST_HALF)
    return 0.01 + 0.29 * (1 - progress) / (1 - SECOND_HALF)


def draw_mask(rng, stage):
    """Dense, sliding tile or top-k, drawn anew for every step."""
    if rng.random() >= stage.sparse:
        return None
    if rng.random() < 0.15:
        return SlidingTile((3, 3, 3))
    return BlockTopk(float(rng.uniform(0.25, 0.36)))


def shifted(u, k):
    return k * u / (1 + (k - 1) * u)


def make_batch(args, stage, step, rank, world):
    rng = np.random.default_rng([args.seed, step, rank])
    shared = np.random.default_rng([args.seed, step])
    u = (shared.permutation(stage.clips) + shared.random(stage.clips)) / stage.clips
    size = stage.clips // world
    x, near, words, frames = clips.batch(rng, size, stage.frames, stage.two)
    words[rng.random(size) < 0.1] = -1
    s = shifted(u[rank * size:(rank + 1) * size], stage.shift).astype(np.float32)
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    return [torch.from_numpy(a) for a in (x, near, words, frames, s, noise)]


def velocity_loss(model, batch, mask, object_weight):
    """Per-clip loss of v = noise - data at x_s = (1-s) data + s noise; objects weigh more."""
    x, near, words, frames, s, noise = batch
    level = s[:, None, None, None, None]
    v = model((1 - level) * x + level * noise, 1000 * s, words, frames, mask)
    square = (v - (noise - x)).square().mean(1)
    weight = 1 + object_weight * near
    return (square * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)


@torch.no_grad()
def held_out(model, frames, count=8, mask=None):
    """Plain mean square error per level on clips that are never trained on."""
    rng = np.random.default_rng(HELD_OUT_SEED + frames)
    x, near, words, numbers = [torch.from_numpy(a) for a in clips.batch(rng, count, frames)]
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    device = next(model.parameters()).device
    x, near, words, noise = (a.to(device) for a in (x, near, words, noise))
    result = []
    for level in LEVELS:
        s = torch.full((count,), level, device=device)
        result.append(velocity_loss(model, (x, near, words, numbers, s, noise), mask, 0.0).mean().item())
    return result


class Trainer:
    def __init__(self, args, rank, world, device):
        self.args, self.rank, self.world, self.device = args, rank, world, device
        torch.manual_seed(args.seed)
        cfg = Config(dim=args.dim, layers=args.layers, heads=args.dim // 64, vocab=len(clips.VOCAB))
        self.model = Model(cfg)
        initialise(self.model)
        self.model.to(device)
        self.ema = Model(cfg).to(device)
        self.ema.load_state_dict(self.model.state_dict())
        matrices, rest = [], []
        for name, p in self.model.named_parameters():
            (matrices if name.startswith("blocks.") and p.dim() == 2 else rest).append(p)
        self.optimisers = (Muon(matrices, lr=args.matrix_rate),
                           torch.optim.AdamW(rest, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0))
        self.schedule = Schedule(args)
        self.step = 0
        self.file = args.checkpoints / "last.pt"
        self.stop_file = args.checkpoints / "stop"
        if self.file.exists():
            self.load()

    def load(self):
        saved = torch.load(self.file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.ema.load_state_dict(saved["ema"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)
        self.step, self.schedule.clock = saved["step"], saved["clock"]

    def save(self):
        if self.rank:
            return
        self.args.checkpoints.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_suffix(".partial")
        torch.save(dict(model=self.model.state_dict(), ema=self.ema.state_dict(),
                        optimisers=[o.state_dict() for o in self.optimisers], step=self.step,
                        clock=float(self.schedule.clock), config=self.model.cfg.to_dict()), partial)
        partial.replace(self.file)

    def average_gradients(self):
        params = list(self.model.parameters())
        if self.world > 1:
            flat = torch.cat([p.grad.flatten() for p in params])
            dist.all_reduce(flat)
            for p, part in zip(params, flat.div_(self.world).split([p.numel() for p in params])):
                p.grad.copy_(part.view_as(p))
        return torch.nn.utils.clip_grad_norm_(params, 1.0)

    def advance(self, progress):
        args, stage = self.args, self.schedule.stage(progress)
        mask = draw_mask(np.random.default_rng([args.seed, self.step, 77]), stage)
        batch = [a.to(self.device) if i != 3 else a for i, a in
                 enumerate(make_batch(args, stage, self.step, self.rank, self.world))]
        losses = velocity_loss(self.model, batch, mask, args.object_weight)
        losses.mean().backward()
        norm = self.average_gradients()
        factor = rate_factor(self.step, progress)
        for optimiser, rate in zip(self.optimisers, (args.matrix_rate, args.rate)):
            optimiser.param_groups[0]["lr"] = rate * factor
            optimiser.step()
            optimiser.zero_grad()
        decay = min(args.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.model.parameters()), 1 - decay)
        self.step += 1
        return stage, losses.mean().item(), norm.item(), factor

    def agree(self, seconds):
        """All workers follow the clock of the first one, and stop together when the stop file is there."""
        shared = torch.tensor([seconds, float(self.stop_file.exists())], dtype=torch.float64)
        if self.world > 1:
            dist.broadcast(shared, 0)
        return shared.tolist()

    def run(self):
        sums, started, saved, last = [], time.time(), time.monotonic(), None
        while (progress := self.schedule.progress(self.step)) < 1:
            begin = time.monotonic()
            stage, loss, norm, factor = self.advance(progress)
            sums.append((loss, norm))
            if self.step % 250 == 0 and self.rank == 0:
                levels = held_out(self.ema, min(4, stage.frames if stage.frames < 16 else 4))
                self.write(dict(step=self.step, held_out=[round(v, 4) for v in levels],
                                frames=min(4, stage.frames)))
            seconds, stop = self.agree(time.monotonic() - begin)
            self.schedule.count(seconds)
            if self.step % 20 == 0:
                mean = np.mean(sums, 0)
                self.write(dict(step=self.step, stage=stage.name, clock=round(self.schedule.clock, 1),
                                wall=round(time.time() - started, 1), loss=round(float(mean[0]), 5),
                                norm=round(float(mean[1]), 3), rate=round(factor, 4)))
                sums = []
            if time.monotonic() - saved > 240 or (last and last != stage.name):
                self.save()
                saved = time.monotonic()
            last = stage.name
            if stop:
                break
        self.save()

    def write(self, record):
        if self.rank == 0:
            self.args.log.parent.mkdir(parents=True, exist_ok=True)
            with open(self.args.log, "a") as f:
                f.write(json.dumps(record) + "\n")


def prepare_cpu():
    """Keep freed memory: without this every operator pays for fresh pages."""
    torch.set_num_threads(1)
    libc = ctypes.CDLL("libc.so.6")
    mmap_threshold, trim_threshold = -3, -1
    libc.mallopt(mmap_threshold, 1 << 30)
    libc.mallopt(trim_threshold, (1 << 31) - 1)


def worker(rank, world, args, meeting):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        prepare_cpu()
    if world > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
    Trainer(args, rank, world, device).run()
    if world > 1:
        dist.destroy_process_group()


def main():
    args = parse()
    world = 1 if torch.cuda.is_available() else args.workers or min(2, os.cpu_count())
    if world == 1:
        return worker(0, 1, args, None)
    with tempfile.TemporaryDirectory() as folder:
        mp.start_processes(worker, (world, args, Path(folder) / "meeting"), nprocs=world,
                           start_method="fork")


if __name__ == "__main__":
    main()
