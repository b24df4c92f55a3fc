# SPDX-License-Identifier: Apache-2.0
"""Reads colour, motion and shape off a clip without a person.

Backgrounds are neutral, so an object is where the colour saturation is at least half of what it is
inside the object. Motion comes from the track of the centroid and of the area. The shape is the one
whose silhouette, laid over the object with the same centroid and area, overlaps it most: a ragged edge
costs a little of the overlap with each, while a bounding box or a convex hull follows the last stray pixel.
"""

from collections import Counter

import numpy as np

import clips

SMALLEST_OBJECT = 20


def test_prompts():
    """The 48 prompts: every colour 8 times, every shape 12 times, every motion 6 or 7 times."""
    colours, shapes, motions = list(clips.COLOURS), clips.SHAPES, list(clips.MOTIONS)
    prompts = []
    for i in range(48):
        wanted = dict(colour=colours[i % 6], shape=shapes[(i // 6 + i) % 4], motion=motions[i * 3 % 7],
                      count=2 if i % 5 == 4 else 1)
        background = clips.BACKGROUNDS[i % 5] if i % 3 == 2 else None
        prompts.append((clips.describe(background=background, **wanted), wanted))
    return prompts


def segment(frames):
    """Mask [T,H,W] of coloured pixels and the mean colour inside; frames [T,H,W,3] uint8."""
    pixels = frames.astype(np.float32)
    chroma = pixels.max(-1) - pixels.min(-1)
    strongest = np.percentile(chroma, 99.5)
    if strongest < 50:
        return np.zeros(chroma.shape, bool), None
    inside = chroma > 0.8 * strongest
    return chroma > 0.5 * strongest, np.median(pixels[inside], 0)


def name_colour(rgb):
    """Nearest colour of the palette, by direction of the colour without its gray part."""
    def direction(value):
        value = np.asarray(value, np.float32)
        value = value - value.min()
        return value / np.linalg.norm(value)

    return min(clips.COLOURS, key=lambda c: np.linalg.norm(direction(rgb) - direction(clips.COLOURS[c])))


def components(mask):
    """Connected parts (4 neighbours) of one frame as arrays of (row, column), largest first."""
    todo = set(map(tuple, np.argwhere(mask)))
    parts = []
    while todo:
        stack, part = [todo.pop()], []
        while stack:
            r, c = stack.pop()
            part.append((r, c))
            for near in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
                if near in todo:
                    todo.remove(near)
                    stack.append(near)
        parts.append(np.array(part))
    return sorted((p for p in parts if len(p) >= SMALLEST_OBJECT), key=len, reverse=True)


def silhouettes():
    """Of each shape at radius 1: its area and the place of its centroid below the centre."""
    place = (np.arange(-200, 200) + 0.5) / 100
    x, y = np.meshgrid(place, place)
    found = {}
    for shape in clips.SHAPES:
        inside = clips.distance(shape, x, y, np.float64(1)) < 0
        found[shape] = inside.sum() / 100 ** 2, y[inside].mean()
    return found


SILHOUETTES = silhouettes()


def overlaps(points):
    """Of each shape: intersection over union of the pixels with that shape at their centroid and area."""
    low, high = points.min(0) - 3, points.max(0) + 4
    seen = np.zeros(high - low, bool)
    seen[tuple((points - low).T)] = True
    rows, columns = np.indices(seen.shape)
    row, column = (points - low).mean(0)
    found = {}
    for shape, (area, sunk) in SILHOUETTES.items():
        radius = np.sqrt(len(points) / area)
        ideal = clips.distance(shape, columns - column, rows - row + sunk * radius, radius) < 0
        found[shape] = (seen & ideal).sum() / (seen | ideal).sum()
    return found


def name_shape(points):
    found = overlaps(points)
    return max(found, key=found.get)


def name_motion(mask):
    """One of the trained motions, or 'still'."""
    area = mask.reshape(len(mask), -1).sum(1)
    seen = np.flatnonzero(area >= SMALLEST_OBJECT)
    if len(seen) < len(mask) // 2:
        return "still"
    centre = np.array([np.argwhere(mask[t]).mean(0) for t in seen])
    first, last = centre[:3].mean(0), centre[-3:].mean(0)
    down, right = last - first
    growth = area[seen[-3:]].mean() / area[seen[:3]].mean()
    scale = mask.shape[1] / 64
    if max(abs(down), abs(right)) > 9 * scale:
        if abs(right) > abs(down):
            return "moves right" if right > 0 else "moves left"
        return "moves down" if down > 0 else "moves up"
    if growth > 1.8 or growth < 1 / 1.8:
        return "grows" if growth > 1 else "shrinks"
    return "bounces" if np.ptp(centre[:, 0]) > 9 * scale else "still"


def measure(frames):
    """What the clip shows: colour, shape, motion, count. 'none' where there is no object."""
    mask, rgb = segment(frames)
    if rgb is None:
        return dict(colour="none", shape="none", motion="still", count=0)
    area = mask.reshape(len(mask), -1).sum(1)
    border = mask[:, [0, -1]].sum((1, 2)) + mask[:, :, [0, -1]].sum((1, 2))
    largest = np.argsort(-(area - 1e6 * (border > 2)), kind="stable")[:5]
    shapes, counts = Counter(), Counter()
    for t in largest:
        parts = components(mask[t])
        parts = [p for p in parts if len(p) >= 0.3 * len(parts[0])]
        shapes.update(name_shape(p) for p in parts)
        counts[len(parts)] += 1
    best = shapes.most_common(1)
    return dict(colour=name_colour(rgb), shape=best[0][0] if best else "none",
                motion=name_motion(mask), count=counts.most_common(1)[0][0])
