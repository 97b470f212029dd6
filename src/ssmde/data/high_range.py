"""Frames of high dynamic range (PQ, HLG) as the usual 8 bits: FFmpeg's filter is not in PyAV."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

WHITE = 203.0  # cd/m2 of white paper, ITU-R BT.2408
PEAK = 1000.0  # cd/m2 of the displays that HLG, and most PQ, is made for
KNEE = 0.6  # of white: below it tones stay, above they bend to fit the peak
BT2020 = 9  # FFmpeg's number of the wide primaries
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
"""Linear RGB of BT.2020 to that of BT.709 (ITU-R BT.2087)."""


def _pq(v: Float32[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Light of SMPTE ST 2084 values in [0, 1], white is 1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = v ** (1 / m2)
    return 10_000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg(v: Float32[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Light of the scene of ARIB STD-B67 values in [0, 1], in [0, 1]."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12)


@dataclass(frozen=True, slots=True)
class _Curve:
    name: str
    light: Float32[np.ndarray, " 65536"]


_STEPS = np.linspace(0, 1, 65536, dtype=np.float32)
CURVES = {
    16: _Curve("PQ", _pq(_STEPS).astype(np.float32)),
    18: _Curve("HLG", _hlg(_STEPS).astype(np.float32)),
}
"""By FFmpeg's number of the transfer curve."""
_S = np.linspace(0, 1, 4096)
_CURVE = np.where(_S <= 0.0031308, 12.92 * _S, 1.055 * _S ** (1 / 2.4) - 0.055)
ENCODED = (255 * _CURVE).round().astype(np.uint8)
"""Bytes of light in [0, 1], by the sRGB curve."""


def to_standard_range(
    pixels: UInt16[np.ndarray, "h w 3"], curve: int, primaries: int
) -> UInt8[np.ndarray, "h w 3"]:
    """RGB of a film of standard range: what is brighter than white is bent below it.

    Args:
        pixels: RGB of 16 bits, by the curve.
        curve: Key of `CURVES`.
        primaries: FFmpeg's number; those of BT.2020 are taken to BT.709.
    """
    light = CURVES[curve].light[pixels]
    if CURVES[curve].name == "HLG":  # the display raises it, ITU-R BT.2100
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * (PEAK / WHITE * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
    if primaries == BT2020:
        light = np.maximum(light @ TO_709.T, 0)
    # Moebius: slope 1 at the knee, 1 at the peak; one factor a pixel keeps the hue.
    top, peak = light.max(axis=2, keepdims=True), PEAK / WHITE
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    bent = (b * b + 2 * b * KNEE + KNEE**2) / (b - a) * (top + a) / (top + b)
    light = light * np.where(top > KNEE, bent / np.maximum(top, 1e-6), 1)
    return ENCODED[(light.clip(0, 1) * (len(ENCODED) - 1) + 0.5).astype(np.int32)]
