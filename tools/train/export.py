# SPDX-License-Identifier: Apache-2.0
"""Writes the averaged weights of a checkpoint as fp16 safetensors, or the golden tensors of the tests.

`python3 tools/train/export.py` writes models/lacuna-shapes.safetensors;
`python3 tools/train/export.py --golden tests/golden` writes a tiny random model and its golden tensors.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import clips
import safetensors
from model import Config, Model
from train import default_folder

FORMAT = "lacuna-wan-t2v-pixel-1"
ROOT = Path(__file__).resolve().parents[2]


def metadata(cfg, shift, guidance, steps, frames=clips.FRAMES, size=clips.SIZE):
    values = dict(format=FORMAT, dim=cfg.dim, layers=cfg.layers, heads=cfg.heads,
                  head_dim=cfg.dim // cfg.heads, ffn_dim=4 * cfg.dim, channels=cfg.channels,
                  patch=f"1,{cfg.patch},{cfg.patch}", freq_dim=cfg.freq_dim, text_len=cfg.text_len,
                  text_dim=cfg.text_dim, rope_split=",".join(map(str, cfg.rope_split)),
                  rope_theta=f"{cfg.rope_theta:g}",
                  position_waves=cfg.position_waves, frames=frames, height=size, width=size,
                  shift=shift, guidance=guidance, steps=steps, vocab=json.dumps(clips.VOCAB))
    return {name: str(value) for name, value in values.items()}


def half(state):
    arrays = {name: value.numpy().astype(np.float16) for name, value in state.items()}
    bad = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    if bad:
        raise ValueError(f"{bad[0]} has values beyond the range of fp16")
    return arrays


def load(path):
    """The model in a safetensors file, in fp32."""
    tensors, meta = safetensors.read(path)
    cfg = Config(dim=int(meta["dim"]), layers=int(meta["layers"]), heads=int(meta["heads"]),
                 position_waves=int(meta["position_waves"]),
                 vocab=len(json.loads(meta["vocab"])), rope_theta=float(meta["rope_theta"]))
    model = Model(cfg)
    model.load_state_dict({n: torch.from_numpy(v.astype(np.float32)) for n, v in tensors.items()})
    return model, meta


def export(args):
    saved = torch.load(args.checkpoints / "last.pt", map_location="cpu", weights_only=True)
    cfg = Config(**saved["config"])
    args.out.parent.mkdir(parents=True, exist_ok=True)
    meta = metadata(cfg, args.shift, args.guidance, args.steps)
    meta["trained_steps"] = str(saved["step"])
    safetensors.write(args.out, half(saved["ema"]), meta)
    print(f"{args.out}: step {saved['step']}, {args.out.stat().st_size} bytes")


def randomise(model):
    """Every tensor takes part: no zero bias, no unit norm weight, no closed gate."""
    for name, p in model.named_parameters():
        if p.dim() >= 2 and "modulation" not in name and "text_encoder" not in name:
            p.data.normal_(std=p[0].numel() ** -0.5)
        elif name.endswith("weight") and p.dim() == 1:
            p.data.normal_(1.0, 0.2)
        else:
            p.data.normal_(std=0.3)


def write_golden(folder):
    """A model of two layers and, from its fp16-rounded weights in fp64, what each part must give."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    cfg = Config(dim=128, layers=2, heads=2, vocab=len(clips.VOCAB))
    model = Model(cfg)
    randomise(model)
    weights = half(model.state_dict())
    safetensors.write(folder / "dit_tiny.safetensors", weights,
                      metadata(cfg, shift=5, guidance=3, steps=4, frames=4, size=16))
    model = model.double()
    model.load_state_dict({n: torch.from_numpy(v.astype(np.float64)) for n, v in weights.items()})
    prompt = "two blue squares bounce on a dark gradient"
    ids = torch.from_numpy(clips.encode(prompt))[None]
    x = torch.randn(1, 3, 4, 16, 16).half().double()
    t = torch.tensor([731.0], dtype=torch.float64)
    golden = {}

    def tap(index, before, after, context):
        golden[f"blocks.{index}.in"], golden[f"blocks.{index}.out"] = before[0], after[0]
        golden["context"] = context[0]

    with torch.no_grad():
        golden["velocity"] = model(x, t, ids, tap=tap)[0]
        golden["velocity_no_prompt"] = model(x, t, torch.full_like(ids, -1))[0]
        e, e0 = model.embed_time(t)
    golden.update(x=x[0], time_embedding=e[0], time_projection=e0[0], timestep=t)
    arrays = {name: value.numpy().astype(np.float32) for name, value in golden.items()}
    arrays["ids"] = ids[0].numpy().astype(np.int32)
    safetensors.write(folder / "dit_golden.safetensors", arrays,
                      {"prompt": prompt, "weights": "dit_tiny.safetensors"})
    print(f"{folder}: velocity of deviation {golden['velocity'].std().item():.3f}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--checkpoints", type=Path, default=default_folder())
    p.add_argument("--out", type=Path, default=ROOT / "models" / "lacuna-shapes.safetensors")
    p.add_argument("--golden", type=Path, help="write the golden tensors to this folder instead")
    p.add_argument("--shift", type=float, default=8.0)
    p.add_argument("--guidance", type=float, default=2.0)
    p.add_argument("--steps", type=int, default=10)
    args = p.parse_args()
    write_golden(args.golden) if args.golden else export(args)


if __name__ == "__main__":
    main()
