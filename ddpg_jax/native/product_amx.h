/* Products of matrices by AMX, which multiplies bfloat16 and adds in float32, as exact as those of float32.

   A float32 has 24 significant bits and is the sum of three bfloat16 of 8 each: x = x0 + x1 + x2. Of the nine products
   of parts the six largest are added, x0 y0, x0 y1, x1 y0, x0 y2, x2 y0 and x1 y1; the others are below 2^-24 of the
   first, a float32's own rounding (Henry, Tang and Heinecke, 2019, "Leveraging the bfloat16 Artificial Intelligence
   Datatype For Higher-Precision Computations"). What is not finite becomes nan.

   A left operand [rows, 32 steps] lies as [steps][part][rows][32] bfloat16, a right one [32 steps, 32] as
   [steps][part][half of the columns][16][16][2], in pairs of rows: as the tiles read them. */

#ifndef DDPG_JAX_PRODUCT_H
#define DDPG_JAX_PRODUCT_H

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tile.h"

enum { PARTS = 3, EDGE = 16, ROW_BYTES = 64, TILE_BYTES = 1024 };
enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
typedef uint16_t halves __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* The processor has the tiles, and the kernel lets this process use them. */
static inline int has_products(void) {
  unsigned int a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  if (!(d & AMX_BF16) || !(d & AMX_TILE)) return 0;
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* All eight tiles of this thread: 16 rows of 64 bytes. */
static inline void begin_products(void) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
  } tiles = {.palette = 1};
  for (int tile = 0; tile < 8; tile++) tiles.columns[tile] = ROW_BYTES, tiles.rows[tile] = EDGE;
  _tile_loadconfig(&tiles);
}

static inline void end_products(void) { _tile_release(); }

/* Floats that an operand of so many numbers takes. */
static inline int64_t operand_size(int64_t numbers) { return numbers * PARTS / 2; }

/* x as three bfloat16, each in the upper half of a float. */
ALWAYS_INLINE void split(vector x, words part[PARTS]) {
  for (int i = 0; i < PARTS - 1; i++) {
    part[i] = ((words)x + 0x8000) & 0xffff0000;
    x -= (vector)part[i];
  }
  part[PARTS - 1] = (words)x;
}

/* 32 columns of one row of a left operand. */
ALWAYS_INLINE void put_left(float *left, int64_t rows, int64_t step, int64_t row, const vector *values) {
  words low[PARTS], high[PARTS];
  halves upper;
  for (int i = 0; i < 2 * LANES; i++) upper[i] = 2 * i + 1;
  split(values[0], low), split(values[1], high);
  for (int part = 0; part < PARTS; part++)
    *(halves *)(left + ((step * PARTS + part) * rows + row) * EDGE) =
        __builtin_shuffle((halves)low[part], (halves)high[part], upper);
}

/* Rows `row` and `row` + 1 of a step of a right operand. */
ALWAYS_INLINE void put_right(float *right, int64_t step, int64_t row, const vector *one, const vector *other) {
  for (int half = 0; half < 2; half++) {
    words low[PARTS], high[PARTS];
    split(one[half], low), split(other[half], high);
    for (int part = 0; part < PARTS; part++)
      *(words *)(right + (((step * PARTS + part) * 2 + half) * EDGE + row / 2) * EDGE) = low[part] >> 16 | high[part];
  }
}

/* A panel of rows as step p of a left operand. */
static void put_panel(float *left, int64_t rows, int64_t p, const float *panel) {
  for (int64_t r = 0; r < rows; r++) put_left(left, rows, p, r, (const vector *)(panel + r * PANEL));
}

/* Where to make a panel that will be a step of a left operand: there, or else elsewhere. */
static inline float *room_for_panel(float *left, int64_t rows, int64_t p, float *elsewhere) {
  (void)left, (void)rows, (void)p;
  return elsewhere;
}

/* A panel of rows as a right operand: itself, or made of it in `right`. */
static inline const float *as_right(float *right, const float *panel, int64_t rows) {
  for (int64_t r = 0; r < rows; r += 2, panel += 2 * PANEL)
    put_right(right, r / PANEL, r % PANEL, (const vector *)panel, (const vector *)(panel + PANEL));
  return right;
}

/* Tiles 4 and 5 are of the left operand, 6 and 7 of the right one, 0 to 3 hold the sums. */
#define LOAD_LEFT(from) \
  _tile_loadd(4, from, ROW_BYTES); \
  _tile_loadd(5, (from) + TILE_BYTES, ROW_BYTES)
#define LOAD_RIGHT(from) \
  _tile_loadd(6, from, ROW_BYTES); \
  _tile_loadd(7, (from) + TILE_BYTES, ROW_BYTES)
#define ADD_PRODUCTS() \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7)

/* block [32, 32] = 32 rows of a left operand, from `row` on, times a right one. */
static void multiply(float *block, const float *left, int64_t rows, int64_t row, const float *right, int64_t steps) {
  const char *x = (const char *)(left + row * EDGE), *y = (const char *)right;
  int64_t part_of_x = rows * ROW_BYTES, part_of_y = 2 * TILE_BYTES;
  atomic_signal_fence(memory_order_seq_cst); /* the compiler does not know that tiles read memory */
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; step++, x += PARTS * part_of_x, y += PARTS * part_of_y) {
    LOAD_LEFT(x);
    LOAD_RIGHT(y + 2 * part_of_y);
    ADD_PRODUCTS();
    LOAD_RIGHT(y + part_of_y);
    ADD_PRODUCTS();
    LOAD_RIGHT(y);
    ADD_PRODUCTS();
    LOAD_LEFT(x + 2 * part_of_x);
    ADD_PRODUCTS();
    LOAD_LEFT(x + part_of_x);
    ADD_PRODUCTS();
    LOAD_RIGHT(y + part_of_y);
    ADD_PRODUCTS();
  }
  _tile_stored(0, block, 4 * PANEL);
  _tile_stored(1, block + EDGE, 4 * PANEL);
  _tile_stored(2, block + EDGE * PANEL, 4 * PANEL);
  _tile_stored(3, block + EDGE * PANEL + EDGE, 4 * PANEL);
}

#endif
