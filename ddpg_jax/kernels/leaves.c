/* What an update does to each number of a tree of arrays: norms, Adam, the step of targets; as one kernel for all
   leaves, on all threads, where XLA has a few for each leaf, mostly one after the other. */

#include <math.h>

#include "ffi.h"
#include "pool.h"
#include "vectors.h"

enum { SUMS = 64 };

/* A tree of n leaves, given as k n arguments: all leaves of one kind, then all of the next. */
typedef struct {
  const ffi_buffers *args, *rets;
  int64_t leaves, before, threads; /* before: arguments that come before the first leaf */
  float *squares;                  /* of each thread's share */
} tree;

/* A share of a leaf: columns (of the last dimension) in all rows, which lie `stride` apart from `offset` on. */
typedef struct {
  int64_t leaf, offset, rows, width, stride;
} piece;

/* What one thread has of a leaf, by the rule of mlp.c; a leaf of few columns is all the first thread's. */
static piece share_of_leaf(const tree *tree, int64_t leaf, int64_t share) {
  const ffi_buffer *buffer = tree->args->buffers[tree->before + leaf];
  int64_t rows = 1, columns = buffer->rank ? buffer->dims[buffer->rank - 1] : 1;
  for (int64_t d = 0; d < buffer->rank - 1; d++) rows *= buffer->dims[d];
  int64_t shares = least(tree->threads, panels(columns));
  if (share >= shares) return (piece){leaf, 0, 0, 0, columns};
  if (shares == 1) return (piece){leaf, 0, 1, rows * columns, rows * columns};
  range own = share_of(panels(columns), shares, share);
  int64_t begin = own.begin * PANEL;
  return (piece){leaf, begin, rows, least(own.end * PANEL, columns) - begin, columns};
}

/* Argument or result number `kind` of the leaf that the piece is of. */
static float *argument(const tree *tree, piece part, int64_t kind) {
  return (float *)tree->args->buffers[tree->before + kind * tree->leaves + part.leaf]->data + part.offset;
}

static float *result(const tree *tree, piece part, int64_t kind) {
  return (float *)tree->rets->buffers[kind * tree->leaves + part.leaf]->data + part.offset;
}

static void add_squares(const float *x, int64_t size, float sums[SUMS]) {
  int64_t i = 0;
  for (; i + SUMS <= size; i += SUMS)
    for (int j = 0; j < SUMS; j++) sums[j] += x[i + j] * x[i + j];
  for (; i < size; i++) sums[i % SUMS] += x[i] * x[i];
}

static void squares_task(const void *work, int64_t share, float *memory) {
  const tree *tree = work;
  float sums[SUMS] = {0};
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    piece part = share_of_leaf(tree, leaf, share);
    for (int64_t row = 0; row < part.rows; row++)
      add_squares(argument(tree, part, 0) + row * part.stride, part.width, sums);
  }
  for (int width = SUMS / 2; width; width /= 2)
    for (int j = 0; j < width; j++) sums[j] += sums[j + width];
  tree->squares[share] = sums[0];
  (void)memory;
}

/* m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate m / (sqrt(v c) + eps), g clipped and with the
   penalty's gradient; both corrections of the bias are in rate and c. */
static void adam_task(const void *work, int64_t share, float *memory) {
  const tree *tree = work;
  const float *s = tree->args->buffers[0]->data;
  float scale = s[0], decay = s[1], rate = s[2], correction = s[3], b1 = s[4], b2 = s[5], eps = s[6];
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    piece part = share_of_leaf(tree, leaf, share);
    for (int64_t row = 0, at = 0; row < part.rows; row++, at += part.stride) {
      const float *g = argument(tree, part, 0) + at, *p = argument(tree, part, 1) + at;
      const float *m = argument(tree, part, 2) + at, *v = argument(tree, part, 3) + at;
      float *new_p = result(tree, part, 0) + at, *new_m = result(tree, part, 1) + at;
      float *new_v = result(tree, part, 2) + at;
#pragma GCC ivdep
      for (int64_t i = 0; i < part.width; i++) {
        float d = g[i] * scale + decay * p[i];
        float mean = b1 * m[i] + (1 - b1) * d, variance = b2 * v[i] + (1 - b2) * d * d;
        new_p[i] = p[i] - rate * mean / (sqrtf(variance * correction) + eps);
        new_m[i] = mean, new_v[i] = variance;
      }
    }
  }
  (void)memory;
}

static void follow_task(const void *work, int64_t share, float *memory) {
  const tree *tree = work;
  float tau = *(const float *)tree->args->buffers[0]->data;
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    piece part = share_of_leaf(tree, leaf, share);
    for (int64_t row = 0, at = 0; row < part.rows; row++, at += part.stride) {
      const float *p = argument(tree, part, 0) + at, *target = argument(tree, part, 1) + at;
      float *moved = result(tree, part, 0) + at;
#pragma GCC ivdep
      for (int64_t i = 0; i < part.width; i++) moved[i] = tau * p[i] + (1 - tau) * target[i];
    }
  }
  (void)memory;
}

static tree describe(ffi_frame *frame, int64_t before, int64_t kinds) {
  return (tree){&frame->args, &frame->rets, (frame->args.size - before) / kinds, before, count_threads(frame), NULL};
}

/* norm(x...) -> the Euclidean norm over all leaves */
ffi_error *ddpg_jax_norm(ffi_frame *frame) {
  static _Thread_local arena shared;
  if (ffi_asks_version(frame)) return NULL;
  tree tree = describe(frame, 0, 1);
  tree.squares = reserve(&shared, tree.threads);
  if (!tree.squares) return no_memory(frame);
  ffi_error *error = share_work(frame, squares_task, &tree, tree.threads, 1);
  float sum = 0;
  for (int64_t share = 0; !error && share < tree.threads; share++) sum += tree.squares[share];
  *(float *)frame->rets.buffers[0]->data = sqrtf(sum);
  return error;
}

/* adam([scale, decay, rate, correction, b1, b2, eps], g..., p..., m..., v...) -> p..., m..., v... */
ffi_error *ddpg_jax_adam(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  tree tree = describe(frame, 1, 4);
  return share_work(frame, adam_task, &tree, tree.threads, 1);
}

/* follow(tau, p..., target...) -> target... */
ffi_error *ddpg_jax_follow(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  tree tree = describe(frame, 1, 2);
  return share_work(frame, follow_task, &tree, tree.threads, 1);
}
