# SPDX-License-Identifier: Apache-2.0
"""Reads and writes safetensors files; the data part starts at a multiple of 16 bytes."""

import json
import struct
from pathlib import Path

import numpy as np

KINDS = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I32": np.int32}
NAMES = {np.dtype(kind): name for name, kind in KINDS.items()}


def write(path, tensors, metadata):
    """Tensors of odd sizes come last, so that all others are 16-byte aligned too."""
    header = {"__metadata__": metadata}
    offset = 0
    ordered = sorted(tensors.items(), key=lambda item: (item[1].nbytes % 16 != 0, item[0]))
    for name, value in ordered:
        header[name] = {"dtype": NAMES[value.dtype], "shape": list(value.shape),
                        "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 16)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, value in ordered:
            f.write(np.ascontiguousarray(value).tobytes())


def read(path):
    data = Path(path).read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata
