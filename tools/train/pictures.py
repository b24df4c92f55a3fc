# SPDX-License-Identifier: Apache-2.0
"""Just enough PNG: writes 8-bit RGB, reads 8-bit RGB and RGBA without interlacing."""

import struct
import zlib
from pathlib import Path

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def write_png(path, picture):
    """picture [H,W,3] uint8."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], 1)

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    Path(path).write_bytes(SIGNATURE + chunk(b"IHDR", header)
                           + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b""))


def read_png(path):
    """[H,W,3] uint8; an alpha channel is dropped."""
    data = Path(path).read_bytes()
    if not data.startswith(SIGNATURE):
        raise ValueError(f"{path} is not a PNG file")
    place, packed, header = len(SIGNATURE), b"", None
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8:place + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        place += size + 12
    width, height, depth, colour, _, _, interlace = header
    if depth != 8 or colour not in (2, 6) or interlace:
        raise ValueError(f"{path} has depth {depth}, colour type {colour}, interlace {interlace}; "
                         "only 8-bit RGB or RGBA without interlace is read")
    channels = 3 if colour == 2 else 4
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    return unfilter(rows, channels).reshape(height, width, channels)[..., :3]


def unfilter(rows, channels):
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    result = []
    for row in rows:
        kind, line = row[0], row[1:].copy()
        if kind == 2:
            line += above
        elif kind:
            line = unfilter_along(kind, line, above, channels)
        result.append(line)
        above = line
    return np.stack(result)


def unfilter_along(kind, line, above, channels):
    """Filters that need the pixel to the left: sub, average and Paeth."""
    line, above = line.astype(int), above.astype(int)
    for i in range(len(line)):
        left = line[i - channels] if i >= channels else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + above[i]) // 2
        else:
            corner = above[i - channels] if i >= channels else 0
            choices = (left, above[i], corner)
            base = left + above[i] - corner
            guess = min(choices, key=lambda value: abs(base - value))
        line[i] = (line[i] + guess) & 255
    return line.astype(np.uint8)


def contact_sheet(path, clips, columns=16):
    """One row per clip, every frame beside the next."""
    rows = []
    for frames in clips:
        chosen = frames[np.linspace(0, len(frames) - 1, min(columns, len(frames))).astype(int)]
        rows.append(np.concatenate(list(np.pad(chosen, ((0, 0), (1, 1), (1, 1), (0, 0)))), 1))
    write_png(path, np.concatenate(rows, 0))
