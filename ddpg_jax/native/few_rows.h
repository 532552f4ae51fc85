/* The pass forward of a few rows, as of those that act: in the calling thread, weights read where they lie.

   It takes as long as reading the weights; to make them ready for a faster product would take longer. XLA's own product
   goes on in another of its threads, and with it the program, away from what is in the cache. */

#ifndef DDPG_JAX_FEW_ROWS_H
#define DDPG_JAX_FEW_ROWS_H

#include "network.h"

/* FEW: from so many rows on, the products of many are faster. SUMS: vectors in registers. */
enum { FEW = 16, TOGETHER = 4, SUMS = LANES };

/* Columns of z [rows, outputs] = h W + b, a block of them in registers; `rows` and `wide` are known to the compiler. */
ALWAYS_INLINE void affine_block(float *z, const float *h, const float *w, const float *b, int64_t inputs,
                                int64_t outputs, int rows, int wide) {
  vector sums[SUMS];
  for (int i = 0; i < rows * wide; i++) memcpy(&sums[i], b + i % wide * LANES, sizeof *sums);
  for (int64_t k = 0; k < inputs; k++)
    for (int j = 0; j < wide; j++) {
      vector weights = *(const vector *)(w + k * outputs + j * LANES);
      for (int r = 0; r < rows; r++) sums[r * wide + j] += h[r * inputs + k] * weights;
    }
  for (int i = 0; i < rows * wide; i++) memcpy(z + i / wide * outputs + i % wide * LANES, &sums[i], sizeof *sums);
}

static void affine_rows(float *z, const float *h, const float *w, const float *b, int64_t inputs, int64_t outputs,
                        int64_t rows) {
  int64_t at = 0;
  if (rows == TOGETHER)
    for (int width = SUMS / TOGETHER * LANES; at + width <= outputs; at += width)
      affine_block(z + at, h, w + at, b + at, inputs, outputs, TOGETHER, SUMS / TOGETHER);
  for (int64_t r = 0; r < rows; r++, z += outputs, h += inputs) {
    int64_t j = at;
    for (; j + SUMS * LANES <= outputs; j += SUMS * LANES)
      affine_block(z + j, h, w + j, b + j, inputs, outputs, 1, SUMS);
    for (; j + LANES <= outputs; j += LANES) affine_block(z + j, h, w + j, b + j, inputs, outputs, 1, 1);
    for (; j < outputs; j++) {
      z[j] = b[j];
      for (int64_t k = 0; k < inputs; k++) z[j] += h[k] * w[k * outputs + j];
    }
  }
}

static ffi_error *forward_few(ffi_frame *frame, const mlp *net) {
  int64_t widest = 0, layers = net->layers;
  for (int l = 1; l < layers; l++) widest = widest > net->sizes[l] ? widest : net->sizes[l];
  float *memory = ddpg_jax_reserve(OF_CALLS, 2 * TOGETHER * widest);
  if (!memory) return no_memory(frame);
  for (int64_t r = 0; r < net->rows; r += TOGETHER) {
    int64_t rows = least(TOGETHER, net->rows - r);
    const float *h = net->x + r * net->sizes[0];
    for (int l = 0; l < layers; l++) {
      int64_t inputs = net->sizes[l], outputs = net->sizes[l + 1];
      float *z = l == layers - 1 ? net->out + r * outputs : memory + l % 2 * TOGETHER * widest;
      affine_rows(z, h, net->w[l], net->b[l], inputs, outputs, rows);
      for (int64_t i = 0; l < layers - 1 && i < rows * outputs; i++) z[i] = z[i] < 0 ? 0 : z[i];
      h = z;
    }
  }
  return NULL;
}

#endif
