# SPDX-License-Identifier: Apache-2.0
"""The attention kernels on a CPU beside ggml's flash attention: results/attend.json and docs/benchmarks.md.

  ./dev peers python3 tools/bench/attend.py --measure vectors256 vectors512 sparse    a few minutes each, on two idle cores
  python3 tools/bench/attend.py --markdown                                            prints the page (./dev docs)
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "attend.json"

SHAPES = "1x1x2048x64,1x4x2048x64,1x1x2048x128"
SPARSE_SHAPES = "1x1x4096x64,1x1x4096x128"
GOALS = {("scalar", "256", "64"): 11, ("scalar", "256", "128"): 9, ("scalar", "512", "64"): 17,
         ("scalar", "512", "128"): 13, ("coopmat", "256", "64"): 2.4, ("coopmat", "256", "128"): 2.0}
SPARSE_GOALS = {("scalar", 0.25): 1.08, ("scalar", 0.1): 1.25, ("coopmat", 0.25): 1.06, ("coopmat", 0.1): 1.12}


def bench(width, *arguments):
    command = ["lacuna", "bench", "attend", "--format", "jsonl", *arguments]
    print(f"LP_NATIVE_VECTOR_WIDTH={width}", *command, flush=True)
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                            env=os.environ | {"LP_NATIVE_VECTOR_WIDTH": width}).stdout
    return [json.loads(line) for line in output.splitlines()]


MEASURES = {
    "vectors256": lambda: bench("256", "--tier", "scalar,coopmat", "--shape", SHAPES, "--density", "1", "--repeat", "5",
                                "--peer", "ggml=ggml_attention"),
    "vectors512": lambda: bench("512", "--tier", "scalar", "--shape", SHAPES, "--density", "1", "--repeat", "5",
                                "--peer", "ggml=ggml_attention"),
    "sparse": lambda: bench("256", "--tier", "scalar,coopmat", "--shape", SPARSE_SHAPES, "--density", "0.25,0.1",
                            "--repeat", "15"),
}


def table(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
                     + ["| " + " | ".join(row) + " |" for row in rows])


def dense_rows(results):
    for width in ("256", "512"):
        rows = results.get(f"vectors{width}", [])
        for row in rows:
            if row["tier"] == "ggml":
                continue
            peer = next(r for r in rows if r["tier"] == "ggml" and r["shape"] == row["shape"])
            goal = GOALS[row["tier"], width, row["shape"].split("x")[3]]
            yield [row["tier"], row["shape"], width, f"{row['ms']:.1f}", f"{row['gflops']:.1f}", f"{peer['ms']:.0f}",
                   f"{peer['ms'] / row['ms']:.1f}x", f"{goal}x", f"{row['error_max']:.1e}"]


def sparse_rows(results):
    for row in results.get("sparse", []):
        if row["mask"] != "dense":
            asked = 0.25 if row["density"] > 0.2 else 0.1
            yield [row["tier"], row["shape"], f"{row['density']:.3f}", f"{row['ms']:.1f}", f"{row['speedup']:.2f}x",
                   f"{row['time_over_density']:.2f}", f"{SPARSE_GOALS[row['tier'], asked]}", f"{row['error_max']:.1e}"]


def markdown(results):
    rows = [row for name in MEASURES for row in results.get(name, [])]
    yield "# Benchmarks\n"
    yield ("Attention alone, fp16, each case checked against double precision before it is timed. All programs of a table took\n"
           "turns in one run; times are medians. Random blocks of 64 tokens; what methods cost is in [methods.md](methods.md).\n")
    yield f"The device is {rows[0]['driver']}: a CPU. No figure of a GPU has been taken yet.\n" if rows else ""
    yield "## Dense, beside ggml's flash attention on the same device\n"
    yield table(["tier", "B x H x N x D", "vector bits", "ms", "GFLOP/s", "ggml-vulkan ms", "faster by", "goal", "max error"],
                dense_rows(results))
    yield "\n## Sparse, beside dense\n"
    yield table(["tier", "B x H x N x D", "density", "ms", "speed-up", "time / (density x dense)", "goal", "max error"],
                sparse_rows(results))
    yield ("\nMade by `./dev peers python3 tools/bench/attend.py --measure vectors256 vectors512 sparse` and `./dev docs`\n"
           "from [results/attend.json](../results/attend.json).")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--measure", nargs="+", choices=MEASURES)
    what.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.measure or ():
        results[name] = MEASURES[name]()
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if args.markdown:
        print("\n".join(markdown(results)))


if __name__ == "__main__":
    main()
