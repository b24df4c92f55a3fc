# SPDX-License-Identifier: Apache-2.0
"""Measures how well clips follow their prompts, over 48 prompts, and the held-out loss under masks.

  evaluate.py --list-prompts             the prompts, one a line
  evaluate.py --clips FOLDER             FOLDER/00 .. FOLDER/47, each with frame_0000.png ...
  evaluate.py --weights FILE             generates the clips with the PyTorch model
  evaluate.py --weights FILE --loss      held-out flow-matching loss, dense and under each mask
  evaluate.py --self-test                the checks on ground-truth clips, clean and with ragged edges
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import clips
from checker import measure, test_prompts
from export import load
from pictures import contact_sheet, read_png
from sampler import sample, to_bytes
from sparse import BlockTopk, SlidingTile
from train import LEVELS, held_out, prepare_cpu

GOALS = dict(colour=0.90, motion=0.70, shape=0.60)


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--list-prompts", action="store_true")
    what.add_argument("--clips", type=Path)
    what.add_argument("--weights", type=Path)
    what.add_argument("--self-test", action="store_true")
    p.add_argument("--loss", action="store_true")
    p.add_argument("--method", choices=("dense", "sliding_tile", "block_topk"), default="dense")
    p.add_argument("--keep-ratio", type=float, default=0.3)
    p.add_argument("--window", default="3,3,3")
    p.add_argument("--dense-steps", type=int, default=3)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--shift", type=float, default=8.0)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=48, help="only the first prompts")
    p.add_argument("--sheet", type=Path, help="write a contact sheet of the generated clips")
    return p.parse_args()


def choose_mask(args):
    if args.method == "sliding_tile":
        return SlidingTile(int(k) for k in args.window.split(","))
    return BlockTopk(args.keep_ratio) if args.method == "block_topk" else None


def score(pairs):
    """Prints one line per clip and the hit rates; pairs of (prompt, wanted, frames)."""
    hits = {name: [] for name in ("colour", "motion", "shape", "count")}
    for prompt, wanted, frames in pairs:
        found = measure(frames)
        wrong = [f"{name} {found[name]}" for name in hits if found[name] != wanted[name]]
        for name in hits:
            hits[name].append(found[name] == wanted[name])
        print(f"{prompt:58s} {'ok' if not wrong else 'found ' + ', '.join(wrong)}")
    rates = {name: float(np.mean(values)) for name, values in hits.items()}
    for name, rate in rates.items():
        goal = f", goal {GOALS[name]:.0%}" if name in GOALS else ""
        print(f"{name:7s} {sum(hits[name]):3d} of {len(hits[name])} = {rate:.1%}{goal}")
    return rates


def read_clips(folder):
    for i, (prompt, wanted) in enumerate(test_prompts()):
        files = sorted((folder / f"{i:02d}").glob("frame_*.png"))
        if not files:
            raise ValueError(f"{folder / f'{i:02d}'} has no frame_*.png; the prompt is '{prompt}'")
        yield prompt, wanted, np.stack([read_png(f) for f in files])


def generate(args):
    model, _ = load(args.weights)
    made = []
    for i, (prompt, wanted) in enumerate(test_prompts()[:args.count]):
        frames = sample(model, [prompt], [args.seed + i], args.steps, args.shift, args.guidance,
                        choose_mask(args), args.dense_steps)[0]
        made.append((prompt, wanted, frames))
    if args.sheet:
        contact_sheet(args.sheet, [frames for _, _, frames in made])
    return made


def print_loss(weights):
    model, _ = load(weights)
    masks = (None, SlidingTile((3, 3, 3)), SlidingTile((5, 5, 1)), SlidingTile((5, 3, 1)),
             BlockTopk(0.34), BlockTopk(0.3), BlockTopk(0.25), BlockTopk(0.2), BlockTopk(0.15))
    print(f"{'mask':22s} density " + " ".join(f"s={s:<6g}" for s in LEVELS) + " mean    against dense")
    for mask in masks:
        values = held_out(model, clips.FRAMES, 8, mask)
        mean = np.mean(values)
        if mask is None:
            dense = mean
        print(f"{mask.name if mask else 'dense':22s} {mask.density if mask else 1:<7.3f} "
              + " ".join(f"{v:.5f} " for v in values) + f"{mean:.5f} {mean / dense - 1:+.1%}", flush=True)


def ragged(frames, rng):
    """Every 4x4 patch shows a place about one pixel off: the mistakes a patch model makes at edges."""
    worn = frames.copy()
    for t in range(len(frames)):
        for top in range(0, clips.SIZE, 4):
            for left in range(0, clips.SIZE, 4):
                down, right = np.rint(rng.normal(0, 1, 2)).astype(int)
                rows = np.clip(np.arange(top, top + 4) + down, 0, clips.SIZE - 1)
                columns = np.clip(np.arange(left, left + 4) + right, 0, clips.SIZE - 1)
                worn[t, top:top + 4, left:left + 4] = frames[t][rows[:, None], columns]
    return worn


def self_test():
    """Ground truth of the 48 prompts, six draws each of place and size, half with ragged edges."""
    rng = np.random.default_rng(5)
    pairs = []
    for i, (prompt, wanted) in enumerate(test_prompts() * 6):
        scene = clips.draw_scene(rng)
        for name, value in wanted.items():
            setattr(scene, name, value)
        scene.radius = rng.uniform(11, 13) * (0.72 if scene.count == 2 else 1)
        frames = to_bytes(torch.from_numpy(clips.render(scene)[0])[None])[0]
        pairs.append((prompt, wanted, frames if i % 96 < 48 else ragged(frames, rng)))
    rates = score(pairs)
    return min(rates[name] for name in GOALS) >= 0.97


def main():
    args = parse()
    prepare_cpu()
    if args.list_prompts:
        print("\n".join(prompt for prompt, _ in test_prompts()))
    elif args.self_test:
        sys.exit(0 if self_test() else 1)
    elif args.clips:
        score(read_clips(args.clips))
    elif args.loss:
        print_loss(args.weights)
    else:
        score(generate(args))


if __name__ == "__main__":
    main()
