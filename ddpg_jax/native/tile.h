/* The inner loop of products whose sums stay in registers. */

#ifndef DDPG_JAX_TILE_H
#define DDPG_JAX_TILE_H

#include "vectors.h"

/* sum [tile, PANEL] += sum over s of a[i row + s step] b[s, PANEL]. */
ALWAYS_INLINE void add_product(const float *a, int64_t row, int64_t step, const float *b, int64_t count,
                               vector sum[][WIDE], int tile) {
#pragma GCC unroll UNROLL
  for (int64_t s = 0; s < count; s++, a += step, b += PANEL) {
    vector row_of_b[WIDE];
    for (int j = 0; j < WIDE; j++) row_of_b[j] = ((const vector *)b)[j];
    for (int i = 0; i < tile; i++)
      for (int j = 0; j < WIDE; j++) sum[i][j] += a[i * row] * row_of_b[j];
  }
}

#endif
