/* Vectors of the processor that a build is for, and panels: arrays are cut into columns of two vectors,
   [columns/PANEL][rows][PANEL], so that the sums of a tile stay in registers, and a panel of weights in the first cache. */

#ifndef DDPG_JAX_VECTORS_H
#define DDPG_JAX_VECTORS_H

#include <stdint.h>
#include <string.h>

/* TALL: rows of a panel whose sums the registers hold; TILE: those of which a panel's rows are a multiple, too. UNROLL:
   steps of the inner loop at a time; with 3 or 5 GCC no longer keeps the sums in registers (benchmarks/NOTES.md). */
#ifdef __AVX512F__
enum { LANES = 16, TILE = 8, TALL = 8, UNROLL = 1 };
#else
enum { LANES = 8, TILE = 4, TALL = 6, UNROLL = 4 };
#endif

enum { WIDE = 2, PANEL = WIDE * LANES };
#define ALWAYS_INLINE static inline __attribute__((always_inline))
typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* A panel's columns of a row; vector by vector, since compilers move memory by halves of them, for which a load waits. */
ALWAYS_INLINE void copy_row(float *to, const void *from) {
  for (int j = 0; j < WIDE; j++) ((vector *)to)[j] = ((const vector *)from)[j];
}

/* Whether this processor has the instructions that this file was compiled with. */
static inline int has_vectors(void) {
#ifdef __AVX512F__
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl")) return 0;
  if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq")) return 0;
#endif
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }

/* What one of so many threads takes: the same from call to call, so that its core finds it where it left it. */
typedef struct {
  int64_t begin, end;
} range;

static inline range share_of(int64_t count, int64_t shares, int64_t share) {
  return (range){share * count / shares, (share + 1) * count / shares};
}

/* ReLU, which lets nan through as it must be seen; and its derivative times d. */
static inline vector relu(vector z) { return (vector)((bits)z & ~(z < 0)); }
static inline vector relu_back(vector d, vector h) { return (vector)((bits)d & (h > 0)); }

#endif
