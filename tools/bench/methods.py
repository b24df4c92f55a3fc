# SPDX-License-Identifier: Apache-2.0
"""Every method on the bundled model and at the size of Wan 480p: results/methods.json and its tables.

  ./dev exec python3 tools/bench/methods.py --measure wan clip    runs the tool: about 10 minutes each on two CPU cores
  python3 tools/bench/methods.py --markdown                       prints the tables, for docs/methods.md (./dev docs)

The clip is that of `./dev demo`: sparse after 3 dense steps of 10, compared with the dense clip of the same noise.
At the size of Wan 480p (21x30x52 tokens, one head of 128 channels) q, k and v are random, so that the time and
the density are real and the selection of a method that looks at q and k is not.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "methods.json"

CLIP = ["streaming radius=2", "sliding_tile tile=4x4x4 window=3x3x3", "neighborhood window=9x11x11",
        "grat tile=4x4x4", "radial block=64 decay=1", "axial axis=spatial radius=2", "svg1 density=0.3",
        "svg1 density=0.3 rows=16", "sparse_vdit heads=multi_diagonal density=0.3", "rainfusion heads=temporal",
        "rainfusion2 block=64 keep_ratio=0.34", "paro block=64", "block_topk keep_ratio=0.34", "jenga block=64", "vorta"]

GRID = "21x30x52"
SHAPE = "1x1x32760x128"
WAN = ["streaming radius=2", "sliding_tile tile=7x6x4 window=3x3x3", "neighborhood window=9x15x25 stride=3x5x5",
       "grat tile=3x6x13", "radial", "axial axis=spatial radius=2", "svg1 density=0.3",
       "svg1 heads=spatial density=0.3", "svg1 heads=temporal density=0.3",
       "sparse_vdit heads=multi_diagonal density=0.25", "rainfusion heads=temporal", "rainfusion2", "paro",
       "block_topk keep_ratio=0.25", "jenga", "vorta", "vorta heads=sliding"]


def save(results):
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def lacuna(*arguments):
    print("lacuna", *arguments, flush=True)
    return subprocess.run(["lacuna", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def generate(text):
    method, *settings = text.split()
    options = [word for setting in settings for word in ("--set", setting)]
    with tempfile.TemporaryDirectory() as folder:
        report = json.loads(lacuna(
            "generate", "--model", str(ROOT / "models/lacuna-shapes.safetensors"), "--prompt", "a red circle moves right",
            "--seed", "1", "--steps", "10", "--guidance", "2", "--dense-steps", "3", "--compare", "dense", "--json",
            "--method", method, *options, "-o", f"{folder}/clip.apng"))
    report = report[0] if isinstance(report, list) else report
    keys = ("method", "device", "driver", "density", "attention_speedup", "step_speedup", "psnr", "ssim", "dense", "sparse")
    return {key: report[key] for key in keys}


def measure_clip(results, only):
    clips = {clip["method"]: clip for clip in results.get("clip", [])}
    for text in CLIP:
        if only in text:
            clips[text] = generate(text)
            save(results | dict(clip=list(clips.values()))) # an interrupted run keeps what it has
    return [clips[text] for text in CLIP if text in clips]


def measure_wan():
    methods = [word for text in WAN for word in ("--method", text)]
    lines = lacuna("bench", "attend", "--shape", SHAPE, "--grid", GRID, *methods, "--density", "1", "--repeat", "3",
                   "--format", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def table(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
                     + ["| " + " | ".join(row) + " |" for row in rows])


def markdown(results):
    clip, wan = results.get("clip"), results.get("wan")
    if clip:
        yield from clip_table(clip)
    if wan:
        yield from wan_table(wan)
    yield "\nMade by `./dev exec python3 tools/bench/methods.py --measure wan clip` and `./dev docs`."


def clip_table(clip):
    yield "## Measured: the demo's clip\n"
    yield (f"On {clip[0]['driver']}. Sparse against dense from the same noise, 16 frames of 64x64, 4096 tokens, 10 steps of\n"
           "which the first 3 are dense. Times are self-attention per step, medians over the steps of one run.\n")
    yield table(["method", "density", "speed-up", "whole step", "PSNR dB", "SSIM"],
                [[f"`{r['method']}`", f"{r['density']:.3f}", f"{r['attention_speedup']:.2f}x", f"{r['step_speedup']:.2f}x",
                  f"{r['psnr']:.1f}", f"{r['ssim']:.3f}"] for r in clip])


def wan_table(wan):
    yield "\n## Measured: one head at the size of Wan 480p\n"
    yield (f"On {wan[0]['driver']}. {GRID} = 32,760 tokens, D = 128, fp16, medians of 3 turns. Order and selection are the passes\n"
           "before the kernel, as a share of dense attention (goal: 5 % at most). The error is the largest against double\n"
           "precision under the same mask.\n")
    yield table(["method", "density", "ms", "speed-up", "time / (density x dense)", "order + selection / dense", "max error"],
                [[f"`{r['mask']}`", f"{r['density']:.3f}", f"{r['ms']:.0f}",
                  f"{r['speedup']:.2f}x" if r["speedup"] else "", f"{r['time_over_density']:.2f}" if r["speedup"] else "",
                  f"{100 * r['overhead_of_dense']:.2f} %" if r["speedup"] else "", f"{r['error_max']:.1e}"] for r in wan])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--measure", nargs="+", choices=("wan", "clip"))
    what.add_argument("--markdown", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT", help="clips of methods with this text; the others are kept")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.measure or ():
        results[name] = measure_wan() if name == "wan" else measure_clip(results, args.only)
        save(results)
    if args.markdown:
        print("\n".join(markdown(results)))


if __name__ == "__main__":
    main()
