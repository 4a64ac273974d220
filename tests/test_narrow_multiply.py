# SPDX-License-Identifier: Apache-2.0
"""The high multiply of 16x16 partial products equals the one of 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.c_project import run

PROGRAM = """
#include "ek_requantize.h"
#include <stdio.h>

static const int32_t edges[] = {INT32_MIN, INT32_MIN + 1, -(1 << 30) - 1, -(1 << 30), -65537, -65536,
  -65535, -32769, -32768, -3, -2, -1, 0, 1, 2, 3, 32767, 32768, 65535, 65536, 65537, (1 << 30) - 1,
  1 << 30, (1 << 30) + 1, INT32_MAX - 1, INT32_MAX};
enum { EDGES = sizeof edges / sizeof edges[0] };

static int differs(int32_t x, int32_t m) {
  const int32_t wide = (int32_t)(((int64_t)x * m + ((int64_t)1 << 30)) >> 31);
  const int both_least = x == INT32_MIN && m == INT32_MIN;
  return !both_least && ek_doubling_high_multiply_16x16(x, m) != wide;
}

int main(void) {
  int failures = 0;
  uint32_t state = 1;
  for (int a = 0; a < EDGES; a++)
    for (int b = 0; b < EDGES; b++)
      failures += differs(edges[a], edges[b]);
  for (int i = 0; i < 3000000; i++) {
    state = state * 1664525u + 1013904223u;
    const int32_t x = (int32_t)state >> (i % 24);
    state = state * 1664525u + 1013904223u;
    failures += differs(x, (int32_t)state);
    /* The products around a tie: x * m = 2^30 (2 n + 1) + small. */
    failures += differs((int32_t)(state >> 2 << (i % 16)), (1 << 30) + i % 3 - 1);
    failures += differs(edges[i % EDGES], (int32_t)state);
  }
  printf("%d\\n", failures);
  return failures != 0;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_narrow_product_equals_wide_one(
    compiler: str, repository: Path, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program(compiler)
    source = tmp_path / "multiply.c"
    source.write_text(PROGRAM, "ascii")
    program = tmp_path / "multiply"
    run([compiler, "-O2", "-std=c99", f"-I{repository / 'runtime_c'}", source, "-o", program])
    run([program])
