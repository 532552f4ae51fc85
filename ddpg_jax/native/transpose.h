/* Transposition of blocks of PANEL by PANEL. */

#ifndef DDPG_JAX_TRANSPOSE_H
#define DDPG_JAX_TRANSPOSE_H

#include "vectors.h"

/* A step of a square's transposition: every second group of `size` lanes changes places with one `size` rows below. */
ALWAYS_INLINE void exchange(vector square[LANES], int size) {
  bits low, high;
  for (int i = 0; i < LANES; i++) {
    low[i] = i & size ? LANES + i - size : i;
    high[i] = i & size ? LANES + i : i + size;
  }
  for (int i = 0; i < LANES; i++) {
    if (i & size) continue;
    vector above = square[i], below = square[i + size];
    square[i] = __builtin_shuffle(above, below, low);
    square[i + size] = __builtin_shuffle(above, below, high);
  }
}

/* to [PANEL, PANEL] = the transposed [height, width] of rows that lie `stride` apart; 0 beyond them. */
static void transpose(float *to, const float *from, int64_t stride, int64_t height, int64_t width) {
  float whole[PANEL * PANEL] __attribute__((aligned(64)));
  if (height < PANEL || width < PANEL) {
    memset(whole, 0, sizeof whole);
    for (int64_t i = 0; i < height; i++) memcpy(whole + i * PANEL, from + i * stride, width * sizeof *to);
    from = whole, stride = PANEL;
  }
  for (int64_t row = 0; row < PANEL; row += LANES)
    for (int64_t column = 0; column < PANEL; column += LANES) {
      vector square[LANES];
      for (int64_t i = 0; i < LANES; i++) square[i] = *(const vector *)(from + (row + i) * stride + column);
      exchange(square, 1), exchange(square, 2), exchange(square, 4);
      if (LANES == 16) exchange(square, 8 % LANES);
      for (int64_t i = 0; i < LANES; i++) *(vector *)(to + (column + i) * PANEL + row) = square[i];
    }
}

#endif
