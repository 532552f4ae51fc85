/* Products of matrices by multiply-add of vectors, with operands as they are.

   A left operand [rows, 32 steps] lies in panels, [steps][rows][32]; a right one [32 steps, 32] as [steps][32][32]. */

#ifndef DDPG_JAX_PRODUCT_H
#define DDPG_JAX_PRODUCT_H

#include "tile.h"

static inline int products_are_supported(void) { return __builtin_cpu_supports(CPU) && __builtin_cpu_supports("fma"); }

static inline void begin_products(void) {}
static inline void end_products(void) {}

/* Floats that an operand of so many numbers takes. */
static inline int64_t operand_size(int64_t numbers) { return numbers; }

/* 32 columns of one row of a left operand. */
ALWAYS_INLINE void put_left(float *left, int64_t rows, int64_t step, int64_t row, const vector *values) {
  memcpy(left + (step * rows + row) * PANEL, values, PANEL * sizeof *left);
}

/* Rows `row` and `row` + 1 of a step of a right operand. */
ALWAYS_INLINE void put_right(float *right, int64_t step, int64_t row, const vector *one, const vector *other) {
  float *to = right + (step * PANEL + row) * PANEL;
  memcpy(to, one, PANEL * sizeof *right), memcpy(to + PANEL, other, PANEL * sizeof *right);
}

/* block [32, 32] = 32 rows of a left operand, from `row` on, times a right one. */
static void multiply(float *block, const float *left, int64_t rows, int64_t row, const float *right, int64_t steps) {
  for (int64_t i = 0; i < PANEL; i += TILE) {
    vector sum[TILE][WIDE] = {{{0}}};
    for (int64_t step = 0; step < steps; step++)
      add_product(left + (step * rows + row + i) * PANEL, PANEL, 1, right + step * PANEL * PANEL, PANEL, sum);
    memcpy(block + i * PANEL, sum, sizeof sum);
  }
}

#endif
