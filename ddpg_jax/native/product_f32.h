/* Products of matrices by multiply-add of vectors, with operands as they are.

   A left operand [rows, PANEL steps] lies in panels, [steps][rows][PANEL]; a right one [PANEL steps, PANEL] as
   [steps][PANEL][PANEL]. */

#ifndef DDPG_JAX_PRODUCT_H
#define DDPG_JAX_PRODUCT_H

#include "tile.h"

static inline int has_products(void) { return 1; }

static inline void begin_products(void) {}
static inline void end_products(void) {}

/* Floats that an operand of so many numbers takes. */
static inline int64_t operand_size(int64_t numbers) { return numbers; }

/* A panel's columns of one row of a left operand. */
ALWAYS_INLINE void put_left(float *left, int64_t rows, int64_t step, int64_t row, const vector *values) {
  copy_row(left + (step * rows + row) * PANEL, values);
}

/* Rows `row` and `row` + 1 of a step of a right operand. */
ALWAYS_INLINE void put_right(float *right, int64_t step, int64_t row, const vector *one, const vector *other) {
  float *to = right + (step * PANEL + row) * PANEL;
  copy_row(to, one), copy_row(to + PANEL, other);
}

/* A panel of rows as step p of a left operand. */
static void put_panel(float *left, int64_t rows, int64_t p, const float *panel) {
  if (panel != left + p * rows * PANEL) memcpy(left + p * rows * PANEL, panel, rows * PANEL * sizeof *left);
}

/* Where to make a panel that will be a step of a left operand: there, or else elsewhere. */
static inline float *room_for_panel(float *left, int64_t rows, int64_t p, float *elsewhere) {
  (void)elsewhere;
  return left + p * rows * PANEL;
}

/* A panel of rows as a right operand: itself, or made of it in `right`. */
static inline const float *as_right(float *right, const float *panel, int64_t rows) {
  (void)right, (void)rows;
  return panel;
}

/* `tile` rows of a block, which is [PANEL, PANEL] = so many rows of a left operand times a right one. */
ALWAYS_INLINE void multiply_rows(float *block, const float *left, int64_t rows, const float *right, int64_t steps,
                                 int tile) {
  vector sum[TALL][WIDE] = {{{0}}};
  for (int64_t step = 0; step < steps; step++)
    add_product(left + step * rows * PANEL, PANEL, 1, right + step * PANEL * PANEL, PANEL, sum, tile);
  for (int i = 0; i < tile; i++) copy_row(block + i * PANEL, sum[i]);
}

/* block [PANEL, PANEL] = so many rows of a left operand, from `row` on, times a right one. */
static void multiply(float *block, const float *left, int64_t rows, int64_t row, const float *right, int64_t steps) {
  int64_t i = 0;
  left += row * PANEL;
  for (; i + TALL <= PANEL; i += TALL) multiply_rows(block + i * PANEL, left + i * PANEL, rows, right, steps, TALL);
  if (i < PANEL) multiply_rows(block + i * PANEL, left + i * PANEL, rows, right, steps, PANEL % TALL);
}

#endif
