/* Multilayer perceptrons of ReLU layers: what the passes forward (forward.c) and backward (backward.c) share.

   A layer is cut up among threads: forward by columns of its weights, backward by rows of them, so that no thread adds
   to what another one found, but for a few outputs or inputs. Between deeper layers h and dz go through memory; the
   layer of a few inputs is computed by every thread for itself. Activations h [B, N] and the loss's gradients dz at
   their inputs lie in panels (vectors.h); a block of rows goes through a layer while it is in the cache. */

#ifndef DDPG_JAX_NETWORK_H
#define DDPG_JAX_NETWORK_H

#include "ffi.h"
#include "pool.h"
#ifdef __AMX_BF16__
#include "product_amx.h"
#else
#include "product_f32.h"
#endif

enum { BLOCK = 256, MOST_LAYERS = 16, FEW_INPUTS = 32, AREA = PANEL * PANEL };

/* A network of L layers: sizes of inputs, of hidden layers, of outputs; and what belongs to each layer. */
typedef struct {
  int layers, layer;     /* the layer that the tasks are about, from 1 */
  int is_first_repeated; /* every thread computes the first layer for itself; its h is not stored */
  int64_t rows, stored, shares, sizes[MOST_LAYERS + 1]; /* shares: at most, of a layer */
  const float *x, *d_out, *w[MOST_LAYERS], *b[MOST_LAYERS];
  float *h[MOST_LAYERS], *dz[MOST_LAYERS], *out, *dx, *dw[MOST_LAYERS], *db[MOST_LAYERS];
  float *parts; /* of out or dx: what every share finds, to be added */
} mlp;

/* Rows of a layer that are together in the cache, and the thread's memory for its work on them. */
typedef struct {
  int64_t begin, rows;
  float *h; /* forward: own columns of the layer, in panels that lie `stride` rows apart */
  int64_t stride;
  float *x, *first, /* first: h of the first layer, and later its dz */
      *left, *left_back, *right, *dz, *w_first, *w_last;
} block;

/* Shares of so many columns, and the panels of one of them: one share at least, since biases are computed with them. */
static inline int64_t count_shares(const mlp *net, int64_t columns) {
  return columns ? least(net->shares, panels(columns)) : 1;
}
static inline range panels_of(const mlp *net, int64_t columns, int64_t share) {
  return share_of(panels(columns), count_shares(net, columns), share);
}
static inline int is_last_hidden(const mlp *net) { return net->layer == net->layers - 1; }
static inline int is_first_here(const mlp *net) { return net->layer == 2 && net->is_first_repeated; }

/* Places in the thread's memory for a task; returns their size. */
static int64_t place(const mlp *net, block *at, float *memory) {
  int64_t below = panels(net->sizes[net->layer - 1]), own = panels(net->sizes[net->layer]);
  int64_t most = below > own ? below : own, rows = least(net->stored, BLOCK), size = 0;
  struct {
    float **place;
    int64_t size;
  } parts[] = {
      {&at->x, panels(net->sizes[0]) * rows * PANEL},
      {&at->first, below * rows * PANEL},
      {&at->left, operand_size(most * rows * PANEL)},
      {&at->left_back, operand_size(own * rows * PANEL)},
      {&at->right, operand_size(most * AREA + rows * PANEL)},
      {&at->dz, own * rows * PANEL},
      {&at->w_first, net->sizes[0] * below * PANEL},
      {&at->w_last, net->sizes[net->layers] * own * PANEL},
  };
  for (unsigned int i = 0; i < sizeof parts / sizeof *parts; i++) {
    *parts[i].place = memory + size;
    size += (parts[i].size + LANES - 1) / LANES * LANES;
  }
  return size;
}

/* Rows of x in panels; what is beyond the last row or column is 0. */
static const float *put_inputs(const mlp *net, const block *at) {
  int64_t inputs = net->sizes[0];
  memset(at->x, 0, panels(inputs) * at->rows * PANEL * sizeof *at->x);
  for (int64_t r = 0; r < least(at->rows, net->rows - at->begin); r++)
    for (int64_t p = 0; p < panels(inputs); p++)
      for (int64_t j = p * PANEL; j < least(inputs, (p + 1) * PANEL); j++)
        at->x[(p * at->rows + r) * PANEL + j % PANEL] = net->x[(at->begin + r) * inputs + j];
  return at->x;
}

/* Panels of the first layer, of few inputs, in float32: into `first`, or as a left operand if there is one. */
static const float *first_layer(const mlp *net, const block *at, range own, float *left) {
  int64_t inputs = net->sizes[0], outputs = net->sizes[1];
  put_inputs(net, at);
  for (int64_t p = own.begin; p < own.end; p++) {
    float w[FEW_INPUTS + 1][PANEL] __attribute__((aligned(64))) = {{0}};
    int64_t width = least(PANEL, outputs - p * PANEL) * sizeof(float);
    for (int64_t i = 0; i < inputs; i++) memcpy(w[i], net->w[0] + i * outputs + p * PANEL, width);
    memcpy(w[FEW_INPUTS], net->b[0] + p * PANEL, width);
    for (int64_t r = 0; r < at->rows; r += TILE) {
      vector h[TILE][WIDE];
      for (int i = 0; i < TILE * WIDE; i++) h[i / WIDE][i % WIDE] = ((vector *)w[FEW_INPUTS])[i % WIDE];
      for (int64_t k = 0; k < inputs; k += PANEL)
        add_product(at->x + k * at->rows + r * PANEL, PANEL, 1, w[k], least(PANEL, inputs - k), h, TILE);
      for (int i = 0; i < TILE * WIDE; i++) h[i / WIDE][i % WIDE] = relu(h[i / WIDE][i % WIDE]);
      for (int i = 0; !left && i < TILE; i++) copy_row(at->first + (p * at->rows + r + i) * PANEL, h[i]);
      for (int i = 0; left && i < TILE; i++) put_left(left, at->rows, p, r + i, h[i]);
    }
  }
  return at->first;
}

/* What comes into the layer, in panels that lie `stride` rows apart; at least those that are asked for. */
static const float *inputs_of(const mlp *net, const block *at, range own, int64_t *stride) {
  *stride = at->rows;
  if (net->layer == 1) return put_inputs(net, at);
  if (is_first_here(net)) return first_layer(net, at, own, NULL);
  *stride = net->stored;
  return net->h[net->layer - 1] + at->begin * PANEL;
}

/* Lane i plus lane i ^ size. */
ALWAYS_INLINE vector fold(vector x, int size) {
  bits other;
  for (int i = 0; i < LANES; i++) other[i] = i ^ size;
  return x + __builtin_shuffle(x, other);
}

/* Sum over lanes. */
ALWAYS_INLINE float total(vector x) {
  if (LANES == 16) x = fold(x, 8);
  return fold(fold(fold(x, 4), 2), 1)[0];
}

/* out [rows, few] = values W^T, of weights [few][count panels]: inner products. */
static void inner_products(float *out, int64_t few, const float *values, int64_t stride, const float *w, int64_t count,
                           int64_t rows) {
  enum { TOGETHER = 4 };
  for (int64_t r = 0; r < rows; r += TOGETHER)
    for (int64_t j = 0; j < few; j++) {
      vector sums[TOGETHER] = {{0}};
      for (int64_t p = 0; p < count; p++) {
        const vector *v = (const vector *)(values + (p * stride + r) * PANEL);
        const vector *row_of_w = (const vector *)(w + (j * count + p) * PANEL);
        for (int i = 0; i < TOGETHER * WIDE; i++) sums[i / WIDE] += v[i] * row_of_w[i % WIDE];
      }
      for (int i = 0; i < TOGETHER; i++) out[(r + i) * few + j] = total(sums[i]);
    }
}

/* The last layer's weights of own inputs, as [outputs][panels]. */
static void put_last_weights(const mlp *net, const block *at, range own) {
  int64_t outputs = net->sizes[net->layers], columns = (own.end - own.begin) * PANEL;
  int64_t there = least(columns, net->sizes[net->layer] - own.begin * PANEL);
  const float *w = net->w[net->layer] + own.begin * PANEL * outputs;
  memset(at->w_last, 0, outputs * columns * sizeof *w);
  for (int64_t i = 0; i < there; i++)
    for (int64_t j = 0; j < outputs; j++) at->w_last[j * columns + i] = w[i * outputs + j];
}

/* What a call is about, from its arguments x, W1, b1, ..., WL, bL, which begin at number `first`; with so many shares
   of each layer at most. */
static mlp describe(ffi_frame *frame, int64_t first, int64_t shares) {
  ffi_buffer **args = frame->args.buffers + first;
  mlp net = {.shares = shares, .rows = args[0]->dims[0], .x = args[0]->data, .sizes = {args[0]->dims[1]}};
  int64_t count = frame->args.size - first - 1;
  for (int64_t i = 1; i < count && args[i]->rank == 2; i += 2) {
    int l = net.layers++;
    net.w[l] = args[i]->data, net.b[l] = args[i + 1]->data, net.sizes[l + 1] = args[i]->dims[1];
  }
  net.stored = panels(net.rows) * PANEL;
  net.is_first_repeated = net.layers > 2 && net.sizes[0] <= FEW_INPUTS;
  return net;
}

/* h of the stored layers, of which the last may be missing where nobody will differentiate. */
static void place_hidden(mlp *net, ffi_buffer **buffers, int64_t count) {
  for (int l = net->is_first_repeated ? 2 : 1; count-- > 0; l++) net->h[l] = (*buffers++)->data;
}

static ffi_error *run_layer(ffi_frame *frame, const mlp *net, void (*task)(const void *, int64_t, float *, int),
                            int64_t shares) {
  block nowhere;
  return share_work(frame, task, net, shares, place(net, &nowhere, NULL));
}

/* to [size] = the sum of what the shares found, whose parts lie `stride` apart. */
static void add_parts(float *to, const float *parts, int64_t shares, int64_t stride, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    float sum = parts[i];
    for (int64_t share = 1; share < shares; share++) sum += parts[share * stride + i];
    to[i] = sum;
  }
}

#endif
