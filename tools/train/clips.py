# SPDX-License-Identifier: Apache-2.0
"""Procedural clips: simple shapes that move, on plain or gradient backgrounds, each with its prompt.

A clip is a pure function of a numpy Generator. Positions and sizes are given for a 64x64 frame and
16 frames; any subset of the frames can be rendered without the others.
"""

from dataclasses import dataclass

import numpy as np

SIZE = 64
FRAMES = 16
COLOURS = {"red": (225, 35, 40), "green": (30, 180, 60), "blue": (40, 80, 235),
           "yellow": (245, 220, 35), "purple": (165, 45, 205), "orange": (250, 135, 15)}
SHAPES = ("circle", "square", "triangle", "star")
MOTIONS = {"moves left": "move left", "moves right": "move right", "moves up": "move up",
           "moves down": "move down", "bounces": "bounce", "grows": "grow", "shrinks": "shrink"}
BACKGROUNDS = ("white background", "black background", "gray background", "dark gradient",
               "light gradient")
VOCAB = ("a an the one two on background gradient red green blue yellow purple orange circle circles "
         "square squares triangle triangles star stars moves move left right up down bounces bounce "
         "grows grow shrinks shrink white black gray dark light plain").split()
TEXT_LEN = 16


@dataclass
class Scene:
    colour: str
    shape: str
    motion: str
    count: int
    background: str
    said: bool
    prompt: str
    place: tuple
    radius: float
    shade: tuple


def encode(prompt):
    """Word numbers of a prompt, -1 beyond its end."""
    words = prompt.lower().split()
    unknown = [word for word in words if word not in VOCAB]
    if unknown:
        raise ValueError(f"the word '{unknown[0]}' is not known; known words: {' '.join(VOCAB)}")
    if len(words) > TEXT_LEN:
        raise ValueError(f"the prompt has {len(words)} words; at most {TEXT_LEN} are allowed")
    return np.array([VOCAB.index(word) for word in words] + [-1] * (TEXT_LEN - len(words)))


def describe(colour, shape, motion, count=1, background=None, article="a"):
    if article == "a" and colour[0] in "aeiou":
        article = "an"
    text = (f"two {colour} {shape}s {MOTIONS[motion]}" if count == 2
            else f"{article} {colour} {shape} {motion}")
    return f"{text} on a {background}" if background else text


# Pixels by which a place differs between clips of one prompt. What the prompt does not say has to be read off the noise,
# which a small model learns late; at 9 pixels neither motion nor shape came within the first 2,500 steps.
JITTER = 3


def draw_scene(rng, two=0.2):
    colour = str(rng.choice(list(COLOURS)))
    shape = str(rng.choice(SHAPES))
    motion = str(rng.choice(list(MOTIONS)))
    count = 2 if rng.random() < two else 1
    background = str(rng.choice(BACKGROUNDS))
    said = bool(rng.random() < 0.5)
    article = str(rng.choice(["a", "a", "a", "a", "the", "one"]))
    named = "plain background" if rng.random() < 0.2 and "gradient" not in background else background
    prompt = describe(colour, shape, motion, count, named if said else None, article)
    place = tuple(rng.uniform(-1, 1, 2))
    radius = rng.uniform(11, 13) * (0.72 if count == 2 else 1)
    shade = (rng.uniform(-8, 8), rng.uniform(-8, 8), rng.integers(0, 2))
    return Scene(colour, shape, motion, count, background, said, prompt, place, radius, shade)


def track(scene, time):
    """Centres [objects,T,2] (x, y) and radii [T] at times in 0..1."""
    a, b = scene.place
    still = np.ones_like(time)
    travel = 28 * (time - 0.5)
    radius = scene.radius * still
    if scene.motion in ("moves left", "moves right"):
        sign = 1 if scene.motion == "moves right" else -1
        x, y = 32 + 2 * a + sign * travel, (32 + JITTER * b) * still
    elif scene.motion in ("moves up", "moves down"):
        sign = 1 if scene.motion == "moves down" else -1
        x, y = (32 + JITTER * a) * still, 32 + 2 * b + sign * travel
    elif scene.motion == "bounces":
        x, y = (32 + JITTER * a) * still, 46 + b - 27 * np.abs(np.sin(2 * np.pi * time))
    else:
        x, y = (32 + JITTER * a) * still, (32 + JITTER * b) * still
        grown = time if scene.motion == "grows" else 1 - time
        radius = scene.radius * (0.4 + 0.85 * grown)
    if scene.count == 1:
        return np.stack([x, y], -1)[None], radius
    along_x = scene.motion in ("moves left", "moves right")
    pair = []
    for side in (-15, 15):
        pair.append(np.stack([x, (32 + side + b) * still] if along_x
                             else [(32 + side + a) * still, y], -1))
    return np.stack(pair), radius


def distance(shape, x, y, radius):
    """Signed distance in pixels, negative inside; sizes chosen for similar areas."""
    if shape == "circle":
        return np.hypot(x, y) - radius
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.9 * radius
    if shape == "triangle":
        side = np.abs(x) * 0.8660254 - (y - 0.08 * radius) * 0.5
        return np.maximum(side, y - 0.08 * radius) - 0.68 * radius
    outer, inner = 1.3 * radius, 0.62 * radius
    step = np.pi / 5
    length = np.hypot(x, y)
    angle = np.abs(np.mod(np.arctan2(x, -y) + step, 2 * step) - step)
    tip = np.stack([outer, 0 * outer])
    notch = np.stack([inner * np.cos(step), inner * np.sin(step)])
    edge = notch - tip
    normal = np.stack([edge[1], -edge[0]]) / np.hypot(edge[0], edge[1])
    return (length * np.cos(angle) - tip[0]) * normal[0] + (length * np.sin(angle) - tip[1]) * normal[1]


def paint_background(scene, frames):
    name, (first, second, axis) = scene.background, scene.shade
    plain = {"white background": 244, "black background": 14, "gray background": 128}
    if name in plain:
        return np.full((frames, SIZE, SIZE), plain[name] + first, np.float32)
    low, high = (15, 95) if name == "dark gradient" else (150, 240)
    ramp = np.linspace(low + first, high + second, SIZE, dtype=np.float32)
    picture = np.broadcast_to(ramp[:, None] if axis == 0 else ramp[None], (SIZE, SIZE))
    return np.broadcast_to(picture, (frames, SIZE, SIZE))


def render(scene, frames=None):
    """RGB [3,T,64,64] in [-1,1] and a map [T,64,64]: 1 on objects and three pixels around, 3 along their edges."""
    frames = np.arange(FRAMES) if frames is None else np.asarray(frames)
    centres, radius = track(scene, frames / (FRAMES - 1))
    grid = np.arange(SIZE, dtype=np.float32) + 0.5
    back = paint_background(scene, len(frames))
    nearest = np.full(back.shape, np.inf, np.float32)
    for centre in centres.astype(np.float32):
        x = grid[None, None, :] - centre[:, 0, None, None]
        y = grid[None, :, None] - centre[:, 1, None, None]
        r = radius.astype(np.float32)[:, None, None]
        nearest = np.minimum(nearest, distance(scene.shape, x, y, r))
    cover = np.clip(0.5 - nearest, 0, 1)
    colour = np.array(COLOURS[scene.colour], np.float32)[:, None, None, None]
    picture = back[None] * (1 - cover) + colour * cover
    near = np.clip(3.5 - nearest, 0, 1) + 2 * np.clip(2.5 - np.abs(nearest), 0, 1)
    return (picture / 127.5 - 1).astype(np.float32), near.astype(np.float32)


def batch(rng, size, frames, two=0.2):
    """size clips of `frames` distinct frames: clips, object maps, word numbers, frame numbers."""
    clips, maps, words, numbers = [], [], [], []
    for _ in range(size):
        scene = draw_scene(rng, two)
        chosen = np.arange(FRAMES) if frames == FRAMES else choose_frames(rng, frames)
        picture, near = render(scene, chosen)
        clips.append(picture)
        maps.append(near)
        words.append(encode(scene.prompt))
        numbers.append(chosen)
    return np.stack(clips), np.stack(maps), np.stack(words), np.stack(numbers)


def choose_frames(rng, count):
    """Half of the time an even stride, else any distinct frames in order."""
    if count > 1 and rng.random() < 0.5:
        stride = rng.integers(1, (FRAMES - 1) // (count - 1) + 1)
        start = rng.integers(0, FRAMES - stride * (count - 1))
        return start + stride * np.arange(count)
    return np.sort(rng.choice(FRAMES, count, replace=False))
