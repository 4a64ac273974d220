# SPDX-License-Identifier: Apache-2.0
"""expf, expm1f, tanhf and erfcf bit for bit as the C library computes them under TFLite.

TFLite fills its int8 tables with these float32 functions, and the last bit of a result decides about
rounding ties. expm1f, tanhf and erfcf are those of Sun's fdlibm (glibc up to 2.40, musl, newlib,
bionic); expf is Arm's optimized routine, which computes in double. All take and give float32 arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from edgekit.ir import Array

_EXP_STEPS = 32
_EXP_POLYNOMIAL = tuple(
    float.fromhex(text)
    for text in ("0x1.c6af84b912394p-5", "0x1.ebfce50fac4f3p-3", "0x1.62e42ff0c52d6p-1")
)
_ERX = 8.4506291151e-01  # erf(1) in float32
_EFC_NEAR = (
    (1.2837916613e-01, -3.2504209876e-01, -2.8481749818e-02, -5.7702702470e-03, -2.3763017452e-05),
    (
        1.0,
        3.9791721106e-01,
        6.5022252500e-02,
        5.0813062117e-03,
        1.3249473704e-04,
        -3.9602282413e-06,
    ),
)
_EFC_ONE = (
    (-2.3621185683e-03, 4.1485610604e-01, -3.7220788002e-01, 3.1834661961e-01)
    + (-1.1089469492e-01, 3.5478305072e-02, -2.1663755178e-03),
    (1.0, 1.0642088205e-01, 5.4039794207e-01, 7.1828655899e-02, 1.2617121637e-01)
    + (1.3637083583e-02, 1.1984500103e-02),
)
_EFC_MIDDLE = (
    (-9.8649440333e-03, -6.9385856390e-01, -1.0558626175e01, -6.2375331879e01)
    + (-1.6239666748e02, -1.8460508728e02, -8.1287437439e01, -9.8143291473e00),
    (1.0, 1.9651271820e01, 1.3765776062e02, 4.3456588745e02, 6.4538726807e02)
    + (4.2900814819e02, 1.0863500214e02, 6.5702495575e00, -6.0424413532e-02),
)
_EFC_FAR = (
    (-9.8649431020e-03, -7.9928326607e-01, -1.7757955551e01, -1.6063638306e02)
    + (-6.3756646729e02, -1.0250950928e03, -4.8351919556e02),
    (1.0, 3.0338060379e01, 3.2579251099e02, 1.5367296143e03, 3.1998581543e03)
    + (2.5530502930e03, 4.7452853394e02, -2.2440952301e01),
)
_LN2_HIGH, _LN2_LOW, _INVERSE_LN2 = 6.9313812256e-01, 9.0580006145e-06, 1.4426950216e00
_EXPM1_Q = (1.0, -3.3333335072e-02, 1.5873016091e-03, -7.9365076090e-05) + (
    4.0082177293e-06,
    -2.0109921195e-07,
)


def _quietly(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Every branch is computed for all values, so some overflow where they are not taken."""

    @functools.wraps(function)
    def quiet(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(np.asarray(x, np.float32))

    return quiet


def _single(value: float) -> np.float32:
    return np.float32(value)


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """c0 + x (c1 + x (c2 + ...)), every step rounded to float32."""
    result: Array = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = _single(coefficient) + x * result
    return result


@_quietly
def expf(x: Array) -> Array:
    """2^(k/32) 2^r with a cubic in r, in double, rounded once."""
    z = x.astype(np.float64) * (float.fromhex("0x1.71547652b82fep+0") * _EXP_STEPS)
    k = np.rint(z)
    r = z - k
    c0, c1, c2 = (c / _EXP_STEPS ** (3 - i) for i, c in enumerate(_EXP_POLYNOMIAL))
    value = (c0 * r + c1) * (r * r) + (c2 * r + 1.0)
    result: Array = (value * np.exp2(np.clip(k, -8192.0, 8192.0) / _EXP_STEPS)).astype(np.float32)
    return result


@_quietly
def expm1f(x: Array) -> Array:
    """exp(x) - 1: x = k ln2 + r, and a rational function of r."""
    magnitude, negative = np.abs(x), x < 0
    reduced = magnitude > _single(0.5 * np.log(2.0))
    near = reduced & (magnitude < _single(1.5 * np.log(2.0)))
    sign = np.where(negative, _single(-1.0), _single(1.0))
    bounded = np.clip(x, _single(-30.0), _single(200.0))
    k = np.trunc(_single(_INVERSE_LN2) * bounded + _single(0.5) * sign)
    k = np.where(near, sign, np.where(reduced, k, _single(0.0)))
    high, low = bounded - k * _single(_LN2_HIGH), k * _single(_LN2_LOW)
    r = np.where(reduced, high - low, x)
    c = np.where(reduced, (high - r) - low, _single(0.0))
    result = _expm1_of_parts(r, c, k)
    result = np.where(magnitude < _single(2.0**-25), x, result)
    result = np.where(negative & (magnitude >= _single(27 * np.log(2.0))), _single(-1.0), result)
    return np.where(x > _single(8.8721679688e01), _single(np.inf), result)


def _expm1_of_parts(r: Array, c: Array, k: Array) -> Array:
    """2^k exp(r + c) - 1, by the cases of fdlibm."""
    half, one, two = _single(0.5), _single(1.0), _single(2.0)
    half_r = half * r
    square = r * half_r
    ratio = _polynomial(square, _EXPM1_Q)
    t = _single(3.0) - ratio * half_r
    e = square * ((ratio - t) / (_single(6.0) - r * t))
    unscaled = r - (r * e - square)
    e = (r * (e - c) - c) - square
    power = k.astype(np.int32)
    tiny = np.ldexp(one, -power).astype(np.float32)
    doubled = np.where(r < _single(-0.25), -two * (e - (r + half)), one + two * (r - e))
    below = np.ldexp((one - tiny) - (e - r), power)
    above = np.ldexp((r - (e + tiny)) + one, power)
    extreme = np.ldexp(one - (e - r), power) - one
    choices = [k == 0, k == -1, k == 1, (k <= -2) | (k > 56), k < 23]
    values = [unscaled, half * (r - e) - half, doubled, extreme, below]
    return np.select(choices, values, above).astype(np.float32)


@_quietly
def tanhf(x: Array) -> Array:
    magnitude, one, two = np.abs(x), _single(1.0), _single(2.0)
    far = one - two / (expm1f(two * magnitude) + two)
    t = expm1f(-two * magnitude)
    near = -t / (t + two)
    value = np.where(magnitude >= one, far, near)
    value = np.where(magnitude >= _single(22.0), one, value)
    return np.where(magnitude < _single(2.0**-55), x, np.copysign(value, x)).astype(np.float32)


@_quietly
def erfcf(x: Array) -> Array:
    """1 - erf(x): four rational functions."""
    magnitude, one, two, half = np.abs(x), _single(1.0), _single(2.0), _single(0.5)
    square = x * x
    y = _polynomial(square, _EFC_NEAR[0]) / _polynomial(square, _EFC_NEAR[1])
    near = np.where(x < _single(0.25), one - (x + x * y), half - (x * y + (x - half)))
    s = magnitude - one
    ratio = _polynomial(s, _EFC_ONE[0]) / _polynomial(s, _EFC_ONE[1])
    around_one = np.where(x >= 0, (one - _single(_ERX)) - ratio, one + (_single(_ERX) + ratio))
    tail = _erfc_tail(magnitude)
    tail = np.where(magnitude >= _single(28.0), _single(0.0), tail)
    outer = np.where(x > 0, tail, two - tail)
    outer = np.where(x <= _single(-6.0), two, outer)
    choices = [magnitude < _single(0.84375), magnitude < _single(1.25)]
    return np.select(choices, [near, around_one], outer).astype(np.float32)


def _erfc_tail(magnitude: Array) -> Array:
    """exp(-x^2) R(1/x^2) / x for 1.25 <= x < 28; z is x without its low bits, so that z^2 is exact."""
    magnitude = np.clip(magnitude, _single(1.0), _single(28.0))
    s = _single(1.0) / (magnitude * magnitude)
    middle = _polynomial(s, _EFC_MIDDLE[0]) / _polynomial(s, _EFC_MIDDLE[1])
    far = _polynomial(s, _EFC_FAR[0]) / _polynomial(s, _EFC_FAR[1])
    ratio = np.where(magnitude < _single(1.0 / 0.35), middle, far)
    z = (magnitude.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    first = expf(-z * z - _single(0.5625))
    second = expf((z - magnitude) * (z + magnitude) + ratio)
    return first * second / magnitude
