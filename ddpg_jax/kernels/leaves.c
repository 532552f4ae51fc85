/* What an update does to each number of a tree of arrays: norms, Adam, the step of targets; as one kernel for all
   leaves, on all threads, where XLA has a few for each leaf, mostly one after the other. */

#include <math.h>

#include "ffi.h"
#include "pool.h"

enum { CHUNK = 4096 };

/* A tree of n leaves, given as k n arguments: all leaves of one kind, then all of the next. */
typedef struct {
  const ffi_buffers *args, *rets;
  int64_t leaves, before; /* before: arguments that come before the first leaf */
} tree;

/* A stretch of one leaf. */
typedef struct {
  int64_t leaf, begin, size;
} stretch;

static int64_t leaf_size(const tree *tree, int64_t leaf) {
  const ffi_buffer *buffer = tree->args->buffers[tree->before + leaf];
  int64_t size = 1;
  for (int64_t d = 0; d < buffer->rank; d++) size *= buffer->dims[d];
  return size;
}

static int64_t count_chunks(const tree *tree) {
  int64_t chunks = 0;
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) chunks += (leaf_size(tree, leaf) + CHUNK - 1) / CHUNK;
  return chunks;
}

static stretch find_chunk(const tree *tree, int64_t chunk) {
  for (int64_t leaf = 0;; leaf++) {
    int64_t size = leaf_size(tree, leaf), chunks = (size + CHUNK - 1) / CHUNK;
    if (chunk < chunks) {
      int64_t begin = chunk * CHUNK, left = size - begin;
      return (stretch){leaf, begin, left < CHUNK ? left : CHUNK};
    }
    chunk -= chunks;
  }
}

/* Argument or result number `kind` of the leaf that the stretch is of. */
static float *argument(const tree *tree, stretch part, int64_t kind) {
  return (float *)tree->args->buffers[tree->before + kind * tree->leaves + part.leaf]->data + part.begin;
}

static float *result(const tree *tree, stretch part, int64_t kind) {
  return (float *)tree->rets->buffers[kind * tree->leaves + part.leaf]->data + part.begin;
}

static void squares_chunk(const void *work, int64_t task, float *memory, int first) {
  const tree *tree = work;
  stretch part = find_chunk(tree, task);
  const float *x = argument(tree, part, 0);
  float sums[64] = {0};
  int64_t i = 0;
  for (; i + 64 <= part.size; i += 64)
    for (int j = 0; j < 64; j++) sums[j] += x[i + j] * x[i + j];
  for (; i < part.size; i++) sums[i % 64] += x[i] * x[i];
  for (int width = 32; width; width /= 2)
    for (int j = 0; j < width; j++) sums[j] += sums[j + width];
  ((float *)tree->rets->buffers[0]->data)[task] = sums[0];
  (void)memory, (void)first;
}

/* m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate m / (sqrt(v c) + eps), g clipped and with the
   penalty's gradient; both corrections of the bias are in rate and c. */
static void adam_chunk(const void *work, int64_t task, float *memory, int first) {
  const tree *tree = work;
  stretch part = find_chunk(tree, task);
  const float *s = tree->args->buffers[0]->data;
  float scale = s[0], decay = s[1], rate = s[2], correction = s[3], b1 = s[4], b2 = s[5], eps = s[6];
  const float *g = argument(tree, part, 0), *p = argument(tree, part, 1);
  const float *m = argument(tree, part, 2), *v = argument(tree, part, 3);
  float *new_p = result(tree, part, 0), *new_m = result(tree, part, 1), *new_v = result(tree, part, 2);
#pragma GCC ivdep
  for (int64_t i = 0; i < part.size; i++) {
    float d = g[i] * scale + decay * p[i];
    float mean = b1 * m[i] + (1 - b1) * d, variance = b2 * v[i] + (1 - b2) * d * d;
    new_p[i] = p[i] - rate * mean / (sqrtf(variance * correction) + eps);
    new_m[i] = mean, new_v[i] = variance;
  }
  (void)memory, (void)first;
}

static void follow_chunk(const void *work, int64_t task, float *memory, int first) {
  const tree *tree = work;
  stretch part = find_chunk(tree, task);
  float tau = *(const float *)tree->args->buffers[0]->data;
  const float *p = argument(tree, part, 0), *target = argument(tree, part, 1);
  float *moved = result(tree, part, 0);
#pragma GCC ivdep
  for (int64_t i = 0; i < part.size; i++) moved[i] = tau * p[i] + (1 - tau) * target[i];
  (void)memory, (void)first;
}

/* A task for each chunk of each leaf. */
static ffi_error *share_leaves(ffi_frame *frame, void (*run)(const void *, int64_t, float *, int), int64_t before,
                               int64_t kinds) {
  if (ffi_asks_version(frame)) return NULL;
  tree tree = {&frame->args, &frame->rets, (frame->args.size - before) / kinds, before};
  return share_work(frame, run, &tree, count_chunks(&tree), 1);
}

/* squares(x...) -> sums of squares of all chunks */
ffi_error *ddpg_jax_squares(ffi_frame *frame) { return share_leaves(frame, squares_chunk, 0, 1); }

/* adam([scale, decay, rate, correction, b1, b2, eps], g..., p..., m..., v...) -> p..., m..., v... */
ffi_error *ddpg_jax_adam(ffi_frame *frame) { return share_leaves(frame, adam_chunk, 1, 4); }

/* follow(tau, p..., target...) -> target... */
ffi_error *ddpg_jax_follow(ffi_frame *frame) { return share_leaves(frame, follow_chunk, 1, 2); }
