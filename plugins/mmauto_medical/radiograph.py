"""Radiograph-like pictures: a schematic chest, drawn in numpy for many visits at once.

Coordinates: x runs right and y down over the square [-1, 1]²; as in a real film the patient's left
lies on the viewer's right. Brightness is 0 (air) to 1 (bone, fluid).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmauto_medical.findings import CODES

SIZE = 128
_CHUNK = 16  # small enough for a processor's cache, which halves the time
_OPACITY, _EFFUSION, _HEART, _EDGE, _NODULE = (
    CODES["image"].index(name)
    for name in ("opacity", "effusion", "large heart", "collapsed edge", "nodule")
)


@dataclass(frozen=True)
class Build:
    """What all pictures of a patient share; ``(N,)`` each.

    Attributes:
        width, height: of the chest, 1 on average.
        heart: half the heart's width, as a share of the chest's half width.
        ribs: slope of the ribs.
        exposure: how much the film is over- or underexposed, 0 on average.
    """

    width: np.ndarray
    height: np.ndarray
    heart: np.ndarray
    ribs: np.ndarray
    exposure: np.ndarray

    @classmethod
    def draw(cls, patients: int, rng: np.random.Generator) -> Build:
        """One build a patient."""
        return cls(
            width=rng.uniform(0.92, 1.06, patients),
            height=rng.uniform(0.93, 1.05, patients),
            heart=rng.uniform(0.28, 0.34, patients),
            ribs=rng.uniform(0.25, 0.55, patients),
            exposure=rng.normal(0.0, 0.04, patients),
        )

    def take(self, rows: np.ndarray) -> Build:
        """The builds of ``rows``, in that order."""
        return Build(*(values[rows] for values in vars(self).values()))


def render(codes: np.ndarray, builds: Build, rng: np.random.Generator) -> np.ndarray:
    """Pictures of the image codes ``(N,)`` in those builds: ``(N, SIZE, SIZE)`` uint8."""
    pictures = np.empty((len(codes), SIZE, SIZE), dtype=np.uint8)
    for start in range(0, len(codes), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(codes)))
        chest = _Chest(codes[rows], builds.take(rows), rng)
        pictures[rows] = _expose(chest.picture(), builds.exposure[rows], rng)
    return pictures


class _Chest:
    """The chests of one chunk: geometry first, then tissue over tissue.

    Every visit draws the same random numbers whatever its code, so that the code decides nothing
    but the finding that is drawn.
    """

    def __init__(self, codes: np.ndarray, builds: Build, rng: np.random.Generator):
        count = len(codes)
        self.codes = codes
        self.x, self.y = _grid(builds, rng)
        self.slope = _cube(builds.ribs)
        self.side = _cube(rng.choice([-1.0, 1.0], count))
        self.place = rng.uniform(-1.0, 1.0, (2, count)).astype(np.float32)
        self.size = rng.uniform(0.0, 1.0, count).astype(np.float32)
        self.mottle = _smooth(rng, count, 24)
        self.cloud = _smooth(rng, count, 9)
        heart = builds.heart * np.where(codes == _HEART, 1.62, 1.0)
        self.heart = _cube(heart)
        self.dome = _cube(rng.uniform(0.38, 0.46, count))

    def picture(self) -> np.ndarray:
        """Brightness, ``(n, SIZE, SIZE)``."""
        x, y = self.x, self.y
        air = np.maximum(self._lung(-1.0), self._lung(1.0))
        # squared twice: numpy's fourth power would take most of the whole time
        torso = _fill(((x / 0.97) ** 2) ** 2 + (((y - 0.55) / 1.45) ** 2) ** 2, 0.25)
        hilum = _unit(1.0 - np.abs(np.abs(x) - 0.2) / 0.4 - np.abs(y) / 0.8)
        lung = 0.14 + (0.05 + 0.16 * hilum) * np.abs(self.mottle)
        shade: np.ndarray = 0.60 * torso * (1.0 - air) + lung * air
        for code, paint in (
            (_OPACITY, self._opacity),
            (_EFFUSION, self._effusion),
            (_EDGE, self._collapse),
            (_NODULE, self._nodule),
        ):
            rows = np.flatnonzero(self.codes == code)
            if len(rows):
                shade[rows] = paint(rows, shade[rows], air[rows])
        middle = _fill((x / 0.17) ** 2, 0.7) * _fill((y / 1.6) ** 2, 0.2)
        shade = np.maximum(shade, 0.66 * middle)
        shade = np.maximum(shade, 0.68 * self._heart_shadow())
        shade += 0.10 * self._ribs() * torso + 0.10 * self._clavicles()
        return shade

    def _lung(self, side: float) -> np.ndarray:
        x, y = self.x - side * 0.43, self.y
        outline = _fill((x / 0.36) ** 2 + ((y + 0.05) / 0.74) ** 2, 0.18)
        above = _unit((self.dome + 0.9 * x * x - y - 0.03 * side) / 0.05)
        air: np.ndarray = outline * above
        return air

    def _heart_shadow(self) -> np.ndarray:
        half = 0.8 * self.heart
        across = (self.x - 0.42 * half) / half
        down = (self.y - 0.22) / (0.62 * half + 0.16)
        tilted = across * across + down * down - 0.5 * across * down
        return _fill(tilted, 0.22)

    def _ribs(self) -> np.ndarray:
        height = self.y + self.slope * self.x * self.x - 0.10 * np.abs(self.x)
        wave = np.abs(np.mod(height * 4.4, 1.0) - 0.5)
        over_abdomen = 0.75 * _unit((self.y - 0.45) / 0.1)
        return _paint(_unit((0.19 - wave) / 0.08), 0.0, over_abdomen)

    def _clavicles(self) -> np.ndarray:
        line = np.abs(self.y + 0.68 + 0.22 * (np.abs(self.x) - 0.15))
        bone: np.ndarray = _unit((0.05 - line) / 0.03) * _unit((0.75 - np.abs(self.x)) / 0.1)
        return bone

    def _spot(self, rows: np.ndarray, across: float, down: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates around a random place in the lung of the finding's side."""
        side = self.side[rows]
        x = self.x[rows] - side * (0.45 + across * _cube(self.place[0, rows]))
        y = self.y[rows] + 0.03 - down * _cube(self.place[1, rows])
        return x, y

    def _opacity(self, rows: np.ndarray, shade: np.ndarray, air: np.ndarray) -> np.ndarray:
        x, y = self._spot(rows, 0.05, 0.25)
        radius = 0.30 + 0.10 * _cube(self.size[rows])
        ragged = (x * x + (0.8 * y) ** 2) / (radius * radius) + 0.35 * self.cloud[rows]
        dense = 0.85 * _fill(ragged, 0.9) * _unit(1.0 + 0.2 * self.mottle[rows])
        return _paint(shade, 0.72, dense * air)

    def _effusion(self, rows: np.ndarray, shade: np.ndarray, air: np.ndarray) -> np.ndarray:
        x, y = self.x[rows] * self.side[rows], self.y[rows]
        # the meniscus: fluid climbs along the outer wall
        level = 0.12 - 0.22 * _cube(self.size[rows]) - 1.1 * _unit(x - 0.35) ** 2
        fluid = _unit((y - level) / 0.08) * (x > 0.0)
        return _paint(shade, 0.68, fluid * _unit(3.0 * air))

    def _collapse(self, rows: np.ndarray, shade: np.ndarray, air: np.ndarray) -> np.ndarray:
        x, y = self.x[rows] * self.side[rows] - 0.28, self.y[rows] - 0.14
        shrunk = 0.80 + 0.15 * _cube(self.size[rows])
        lobe = (x / (0.27 * shrunk)) ** 2 + (y / (0.52 * shrunk)) ** 2
        here = air * (self.x[rows] * self.side[rows] > 0.0)
        inside = _unit((1.0 - lobe) / 0.1)
        line = _unit(1.0 - np.abs(lobe - 1.0) / 0.16)
        bare = _paint(shade, 0.02, 1.0 - inside)
        return _paint(shade, bare + 0.20 * inside + 0.45 * line, here)

    def _nodule(self, rows: np.ndarray, shade: np.ndarray, air: np.ndarray) -> np.ndarray:
        x, y = self._spot(rows, 0.12, 0.35)
        radius = 0.11 + 0.05 * _cube(self.size[rows])
        disc = _fill((x * x + y * y) / (radius * radius), 0.35)
        return _paint(shade, 0.72, disc)


def _grid(builds: Build, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotated, shifted and scaled coordinates of every pixel, ``(n, SIZE, SIZE)`` each."""
    count = len(builds.width)
    angle = _cube(rng.normal(0.0, np.radians(3.5), count))
    shift = rng.normal(0.0, 0.03, (2, count))
    axis = np.linspace(-1.0, 1.0, SIZE, dtype=np.float32)
    across, down = axis[None, None, :] - _cube(shift[0]), axis[None, :, None] - _cube(shift[1])
    cos, sin = np.cos(angle), np.sin(angle)
    x = (cos * across - sin * down) / _cube(builds.width)
    y = (sin * across + cos * down) / _cube(builds.height)
    return x, y


def _expose(shade: np.ndarray, exposure: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast and film noise; brightness to uint8."""
    count = len(shade)
    contrast = _cube(rng.uniform(0.9, 1.1, count))
    bright = _cube(exposure + rng.normal(0.0, 0.03, count))
    grain = rng.standard_normal(shade.shape, dtype=np.float32) * _cube(rng.uniform(3.0, 9.0, count))
    grey = 255.0 * ((shade + 0.06 + bright - 0.4) * contrast + 0.4) + grain
    film: np.ndarray = np.clip(grey, 0.0, 255.0).astype(np.uint8)
    return film


def _smooth(rng: np.random.Generator, count: int, knots: int) -> np.ndarray:
    """Noise without sharp edges: ``knots``² random values, interpolated linearly."""
    at = np.linspace(0.0, knots - 1.0, SIZE)
    weight = _unit(1.0 - np.abs(at[:, None] - np.arange(knots))).astype(np.float32)
    values = rng.standard_normal((count, knots, knots), dtype=np.float32)
    return weight @ values @ weight.T


def _fill(distance: np.ndarray, soft: float) -> np.ndarray:
    """1 where a shape's squared distance is below 1, falling to 0 over ``soft``."""
    return _unit((1.0 - distance) / soft)


def _paint(shade: np.ndarray, colour: np.ndarray | float, cover: np.ndarray) -> np.ndarray:
    """``colour`` laid over ``shade`` where ``cover`` is 1."""
    painted: np.ndarray = shade + (colour - shade) * cover
    return painted


def _cube(values: np.ndarray) -> np.ndarray:
    """``(n,)`` to ``(n, 1, 1)``, in the pictures' precision."""
    return values.astype(np.float32)[:, None, None]


def _unit(values: np.ndarray) -> np.ndarray:
    """The values, kept within 0 and 1."""
    kept: np.ndarray = np.clip(values, 0.0, 1.0)
    return kept
