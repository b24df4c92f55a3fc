# SPDX-License-Identifier: Apache-2.0
"""A peer for `lacuna bench attend --peer "torch=python3 tools/bench/torch_attention.py"`.

PyTorch's scaled_dot_product_attention, on CUDA where there is one (backend by --backend), else on the CPU.
The protocol is in apps/lacuna/peer.h. On a CPU fp16 is computed as fp32, because PyTorch's fp16 kernels
for CPUs are slower than that; the description says so.
"""

import argparse
import contextlib
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = dict(flash=SDPBackend.FLASH_ATTENTION, cudnn=SDPBackend.CUDNN_ATTENTION,
                efficient=SDPBackend.EFFICIENT_ATTENTION, math=SDPBackend.MATH)


class Attention:
    def __init__(self, shape, dtype, backend):
        self.cuda = torch.cuda.is_available()
        kind = torch.float16 if dtype == "f16" and self.cuda else torch.float32
        device = "cuda" if self.cuda else "cpu"
        torch.manual_seed(1)
        self.qkv = [torch.randn(shape, device=device, dtype=kind) for _ in range(3)]
        self.context = (lambda: sdpa_kernel(BACKENDS[backend])) if backend else contextlib.nullcontext
        where = torch.cuda.get_device_name() if self.cuda else f"CPU, {torch.get_num_threads()} threads"
        self.description = f"PyTorch {torch.__version__} SDPA {backend or 'default'}, {kind}, {where}"

    def run(self):
        with torch.no_grad(), self.context():
            if not self.cuda:
                begin = time.perf_counter()
                F.scaled_dot_product_attention(*self.qkv)
                return 1000 * (time.perf_counter() - begin)
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            F.scaled_dot_product_attention(*self.qkv)
            end.record()
            end.synchronize()
            return begin.elapsed_time(end)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", choices=BACKENDS)
    args = parser.parse_args()
    attention = None
    for line in sys.stdin:
        question = json.loads(line)
        if "shape" in question:
            attention = Attention(question["shape"], question["dtype"], args.backend)
            attention.run()
            answer = dict(description=attention.description)
        else:
            answer = dict(ms=attention.run())
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
