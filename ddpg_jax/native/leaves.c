/* What an update does to each number of a tree of arrays: norms, Adam, the step of targets; as one kernel for all
   leaves, on all threads, where XLA has a few for each leaf, mostly one after the other. */

#include <math.h>

#include "ffi.h"
#include "pool.h"
#include "vectors.h"

enum { SUMS = 64, PAGE = 1024 };

/* A tree of n leaves, given as k n arguments: all leaves of one kind, then all of the next. */
typedef struct {
  const ffi_buffers *args, *rets;
  int64_t leaves, before, threads; /* before: arguments that come before the first leaf */
  float *squares;                  /* of each thread's share */
} tree;

/* A stretch of one leaf. */
typedef struct {
  int64_t leaf, begin, size;
} stretch;

/* What one thread has of a leaf: whole pages, since a core's prefetching takes lines of a page from the other core that
   is writing them (three times as slow for Adam whose threads had columns, benchmarks/NOTES.md). */
static stretch share_of_leaf(const tree *tree, int64_t leaf, int64_t share) {
  const ffi_buffer *buffer = tree->args->buffers[tree->before + leaf];
  int64_t size = 1;
  for (int64_t d = 0; d < buffer->rank; d++) size *= buffer->dims[d];
  range own = share_of((size + PAGE - 1) / PAGE, tree->threads, share);
  int64_t begin = own.begin * PAGE, end = least(own.end * PAGE, size);
  return (stretch){leaf, begin, end - begin};
}

/* Argument or result number `kind` of the leaf that the stretch is of. */
static float *argument(const tree *tree, stretch part, int64_t kind) {
  return (float *)tree->args->buffers[tree->before + kind * tree->leaves + part.leaf]->data + part.begin;
}

static float *result(const tree *tree, stretch part, int64_t kind) {
  return (float *)tree->rets->buffers[kind * tree->leaves + part.leaf]->data + part.begin;
}

static void add_squares(const float *x, int64_t size, float sums[SUMS]) {
  int64_t i = 0;
  for (; i + SUMS <= size; i += SUMS)
    for (int j = 0; j < SUMS; j++) sums[j] += x[i + j] * x[i + j];
  for (; i < size; i++) sums[i % SUMS] += x[i] * x[i];
}

static void squares_task(const void *work, int64_t share, float *memory, int first) {
  const tree *tree = work;
  float sums[SUMS] = {0};
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    stretch part = share_of_leaf(tree, leaf, share);
    add_squares(argument(tree, part, 0), part.size, sums);
  }
  for (int width = SUMS / 2; width; width /= 2)
    for (int j = 0; j < width; j++) sums[j] += sums[j + width];
  tree->squares[share] = sums[0];
  (void)memory, (void)first;
}

/* m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate m / (sqrt(v c) + eps), g clipped and with the
   penalty's gradient; both corrections of the bias are in rate and c. */
static void adam_task(const void *work, int64_t share, float *memory, int first) {
  const tree *tree = work;
  const float *s = tree->args->buffers[0]->data;
  float scale = s[0], decay = s[1], rate = s[2], correction = s[3], b1 = s[4], b2 = s[5], eps = s[6];
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    stretch part = share_of_leaf(tree, leaf, share);
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
  }
  (void)memory, (void)first;
}

static void follow_task(const void *work, int64_t share, float *memory, int first) {
  const tree *tree = work;
  float tau = *(const float *)tree->args->buffers[0]->data;
  for (int64_t leaf = 0; leaf < tree->leaves; leaf++) {
    stretch part = share_of_leaf(tree, leaf, share);
    const float *p = argument(tree, part, 0), *target = argument(tree, part, 1);
    float *moved = result(tree, part, 0);
#pragma GCC ivdep
    for (int64_t i = 0; i < part.size; i++) moved[i] = tau * p[i] + (1 - tau) * target[i];
  }
  (void)memory, (void)first;
}

static tree describe(ffi_frame *frame, int64_t before, int64_t kinds) {
  return (tree){&frame->args, &frame->rets, (frame->args.size - before) / kinds, before, count_threads(frame), NULL};
}

/* norm(x...) -> the Euclidean norm over all leaves */
ffi_error *ddpg_jax_norm(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  tree tree = describe(frame, 0, 1);
  tree.squares = ddpg_jax_reserve(OF_CALLS, tree.threads);
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
