/* Multilayer perceptrons of ReLU layers, forward and backward, each as one kernel on all threads.

   Each thread has columns of its own in every layer, which it multiplies, differentiates and (leaves.c) changes, so
   that weights stay in the cache of their core. A few inputs' layer is computed by every thread for itself; what a
   thread needs of the others' columns in deeper layers goes through memory. Activations h [B, N] and the loss's
   gradients dz at their inputs lie in panels of 32 columns, [N/32][rows][32]; a block of rows goes through a layer
   while it is in the cache. */

#include "ffi.h"
#include "pool.h"
#ifdef __AMX_BF16__
#include "product_amx.h"
#else
#include "product_f32.h"
#endif
#include "transpose.h"

enum { BLOCK = 256, MOST_LAYERS = 16, AREA = PANEL * PANEL };

/* A network of L layers: sizes of inputs, of hidden layers, of outputs; and what belongs to each layer. */
typedef struct {
  int layers, layer;     /* the layer that the tasks are about, from 1 */
  int is_first_repeated; /* every thread computes the first layer for itself; its h is not stored */
  int64_t rows, stored, sizes[MOST_LAYERS + 1], shares[MOST_LAYERS + 1]; /* shares: that a layer's panels are cut into */
  const float *x, *d_out, *w[MOST_LAYERS], *b[MOST_LAYERS];
  float *h[MOST_LAYERS], *out, *dx, *dw[MOST_LAYERS], *db[MOST_LAYERS];
  float *parts, *parts_above, *parts_first; /* every share's sums: of outputs or dz; of the layer above; of layer 1 */
} mlp;

/* Rows of a layer that are together in the cache, and the thread's memory for its work on them. */
typedef struct {
  int64_t begin, rows;
  float *h; /* the layer's own columns, in panels that lie `stride` apart */
  int64_t stride;
  float *x, *first, /* first: h of the first layer, and later its dz */
      *left, *right, *dz, *w_first, *w_last;
} block;

static inline range columns_of(const mlp *net, int64_t share) {
  return share_of(panels(net->sizes[net->layer]), net->shares[net->layer], share);
}
static inline int is_last_hidden(const mlp *net) { return net->layer == net->layers - 1; }
static inline int is_first_here(const mlp *net) { return net->layer == 2 && net->is_first_repeated; }
static inline int goes_below(const mlp *net) { return net->layer > 1 || net->dx; }

/* Places in the thread's memory for a task; returns their size. */
static int64_t place(const mlp *net, block *at, float *memory) {
  int l = net->layer;
  int64_t below = panels(net->sizes[l - 1]), own = panels(net->sizes[l]) / net->shares[l] + 1;
  int64_t rows = least(net->stored, BLOCK), inputs = panels(net->sizes[0]), size = 0;
  struct {
    float **place;
    int64_t size;
  } parts[] = {
      {&at->x, inputs * rows * PANEL},
      {&at->first, below * rows * PANEL},
      {&at->left, operand_size((below > own ? below : own) * rows * PANEL)},
      {&at->right, operand_size((below > own ? below : own) * AREA + rows * PANEL)},
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

/* A panel of the columns of weights [inputs, outputs] as a right operand. */
static void put_weights(float *right, const float *w, int64_t inputs, int64_t outputs, int64_t p) {
  int64_t width = least(PANEL, outputs - p * PANEL);
  for (int64_t k = 0; k < panels(inputs) * PANEL; k += 2) {
    vector rows[2][WIDE] = {{{0}}};
    for (int64_t i = 0; i < least(2, inputs - k); i++) {
      const float *from = w + (k + i) * outputs + p * PANEL;
      if (width == PANEL) memcpy(rows[i], from, sizeof rows[i]);
      else memcpy(rows[i], from, width * sizeof *from);
    }
    put_right(right, k / PANEL, k % PANEL, rows[0], rows[1]);
  }
}

/* A panel of the transposed weights, those of 32 inputs, with own columns as steps. */
static void put_transposed_weights(float *right, const float *w, int64_t inputs, int64_t outputs, range own,
                                   int64_t q) {
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t p = own.begin; p < own.end; p++) {
    transpose(square, w + q * PANEL * outputs + p * PANEL, outputs, least(PANEL, inputs - q * PANEL),
              least(PANEL, outputs - p * PANEL));
    for (int64_t i = 0; i < PANEL; i += 2)
      put_right(right, p - own.begin, i, (vector *)(square + i * PANEL), (vector *)(square + (i + 1) * PANEL));
  }
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

/* The first layer, of at most 32 inputs, in float32. */
static const float *first_layer(const mlp *net, const block *at) {
  int64_t inputs = net->sizes[0], outputs = net->sizes[1];
  put_inputs(net, at);
  for (int64_t p = 0; p < panels(outputs); p++) {
    float w[PANEL + 1][PANEL] __attribute__((aligned(64))) = {{0}};
    int64_t width = least(PANEL, outputs - p * PANEL) * sizeof(float);
    for (int64_t i = 0; i < inputs; i++) memcpy(w[i], net->w[0] + i * outputs + p * PANEL, width);
    memcpy(w[PANEL], net->b[0] + p * PANEL, width);
    for (int64_t r = 0; r < at->rows; r += TILE) {
      vector sum[TILE][WIDE], *h = (vector *)(at->first + (p * at->rows + r) * PANEL);
      for (int i = 0; i < TILE; i++) memcpy(sum[i], w[PANEL], sizeof sum[i]);
      add_product(at->x + r * PANEL, PANEL, 1, w[0], inputs, sum);
      for (int i = 0; i < TILE; i++)
        for (int j = 0; j < WIDE; j++) h[WIDE * i + j] = relu(sum[i][j]);
    }
  }
  return at->first;
}

/* What comes into the layer, in panels that lie `stride` rows apart. */
static const float *inputs_of(const mlp *net, const block *at, int64_t *stride) {
  *stride = at->rows;
  if (net->layer == 1) return put_inputs(net, at);
  if (is_first_here(net)) return first_layer(net, at);
  *stride = net->stored;
  return net->h[net->layer - 1] + at->begin * PANEL;
}

/* Panels as a left operand. */
static void put_rows(float *left, const float *values, int64_t stride, int64_t count, int64_t rows) {
  for (int64_t p = 0; p < count; p++)
    for (int64_t r = 0; r < rows; r++) put_left(left, rows, p, r, (vector *)(values + (p * stride + r) * PANEL));
}

/* Panels as a transposed left operand: their columns are its rows. */
static void put_columns(float *left, const float *values, int64_t stride, int64_t count, int64_t rows) {
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t p = 0; p < count; p++)
    for (int64_t r = 0; r < rows; r += PANEL) {
      transpose(square, values + (p * stride + r) * PANEL, PANEL, PANEL, PANEL);
      for (int64_t i = 0; i < PANEL; i++)
        put_left(left, count * PANEL, r / PANEL, p * PANEL + i, (vector *)(square + i * PANEL));
    }
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

/* The first layer's weights, whose rows are padded with 0. */
static void put_first_weights(const mlp *net, const block *at) {
  int64_t outputs = net->sizes[1], padded = panels(outputs) * PANEL;
  memset(at->w_first, 0, net->sizes[0] * padded * sizeof *at->w_first);
  for (int64_t i = 0; i < net->sizes[0]; i++)
    memcpy(at->w_first + i * padded, net->w[0] + i * outputs, outputs * sizeof *at->w_first);
}

/* h = max(0, h_below W + b) in own columns. */
static void hidden_layer(const mlp *net, const block *at, range own) {
  int l = net->layer;
  int64_t steps = panels(net->sizes[l - 1]);
  float square[AREA] __attribute__((aligned(64))), bias[PANEL] __attribute__((aligned(64)));
  for (int64_t p = own.begin; p < own.end; p++) {
    memset(bias, 0, sizeof bias);
    memcpy(bias, net->b[l - 1] + p * PANEL, least(PANEL, net->sizes[l] - p * PANEL) * sizeof *bias);
    put_weights(at->right, net->w[l - 1], net->sizes[l - 1], net->sizes[l], p);
    vector *h = (vector *)(at->h + (p - own.begin) * at->stride * PANEL);
    for (int64_t r = 0; r < at->rows; r += PANEL, h += PANEL * WIDE) {
      multiply(square, at->left, at->rows, r, at->right, steps);
      for (int i = 0; i < PANEL * WIDE; i++) h[i] = relu(((vector *)square)[i] + ((vector *)bias)[i % WIDE]);
    }
  }
}

static void forward_task(const void *work, int64_t share, float *memory, int first) {
  const mlp *net = work;
  int l = net->layer;
  int64_t steps = panels(net->sizes[l - 1]), outputs = net->sizes[net->layers], stride;
  range own = columns_of(net, share);
  block at;
  place(net, &at, memory);
  begin_products();
  if (is_last_hidden(net)) put_last_weights(net, &at, own);
  for (at.begin = 0; at.begin < net->stored; at.begin += BLOCK) {
    at.rows = least(BLOCK, net->stored - at.begin);
    at.h = net->h[l] ? net->h[l] + (own.begin * net->stored + at.begin) * PANEL : at.dz;
    at.stride = net->h[l] ? net->stored : at.rows;
    if (first || net->stored > BLOCK) { /* otherwise they are still there */
      const float *inputs = inputs_of(net, &at, &stride);
      put_rows(at.left, inputs, stride, steps, at.rows);
    }
    hidden_layer(net, &at, own);
    if (is_last_hidden(net))
      inner_products(net->parts + (share * net->stored + at.begin) * outputs, outputs,
                     at.h, at.stride, at.w_last, own.end - own.begin, at.rows);
  }
  end_products();
}

/* dz = (d_out W^T) [h > 0] of the last hidden layer. */
static void last_layer_back(const mlp *net, const block *at, range own) {
  int64_t outputs = net->sizes[net->layers], count = own.end - own.begin;
  for (int64_t p = 0; p < count; p++) {
    const vector *h = (const vector *)(net->h[net->layer] + ((own.begin + p) * net->stored + at->begin) * PANEL);
    vector *dz = (vector *)(at->dz + p * at->rows * PANEL);
    for (int64_t r = 0; r < at->rows; r++, h += WIDE, dz += WIDE) {
      vector sum[WIDE] = {{0}};
      for (int64_t j = 0; at->begin + r < net->rows && j < outputs; j++) {
        const vector *w = (const vector *)(at->w_last + (j * count + p) * PANEL);
        float d = net->d_out[(at->begin + r) * outputs + j];
        for (int i = 0; i < WIDE; i++) sum[i] += d * w[i];
      }
      for (int i = 0; i < WIDE; i++) dz[i] = relu_back(sum[i], h[i]);
    }
  }
}

/* dz of a layer whose h was stored = the sum of what the shares of the layer above found, [h > 0]. */
static void hidden_layer_back(const mlp *net, const block *at, range own) {
  int l = net->layer;
  int64_t above = panels(net->sizes[l]) * net->stored * WIDE;
  for (int64_t p = own.begin; p < own.end; p++) {
    int64_t from = (p * net->stored + at->begin) * WIDE;
    const vector *parts = (const vector *)net->parts_above + from, *h = (const vector *)net->h[l] + from;
    vector *dz = (vector *)(at->dz + (p - own.begin) * at->rows * PANEL);
    for (int64_t i = 0; i < at->rows * WIDE; i++) {
      vector sum = parts[i];
      for (int64_t share = 1; share < net->shares[l + 1]; share++) sum += parts[share * above + i];
      dz[i] = relu_back(sum, h[i]);
    }
  }
}

/* to [height, width], which lie `stride` apart, = values [height][32], added to what is there if `adds`. */
static void put_block(float *to, int64_t stride, const float *values, int64_t height, int64_t width, int adds) {
  for (int64_t i = 0; i < height; i++)
    for (int64_t j = 0; j < width; j++) to[i * stride + j] = (adds ? to[i * stride + j] : 0) + values[i * PANEL + j];
}

/* dW = h_below^T dz and db = the sum of dz over rows, in own columns; `left` holds the columns of h_below. */
static void weights_gradient(const mlp *net, const block *at, range own) {
  int l = net->layer, adds = at->begin > 0;
  int64_t inputs = net->sizes[l - 1], outputs = net->sizes[l], steps = at->rows / PANEL;
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t p = own.begin; p < own.end; p++) {
    const vector *dz = (const vector *)(at->dz + (p - own.begin) * at->rows * PANEL);
    vector sum[WIDE] = {{0}};
    for (int64_t r = 0; r < at->rows; r += 2) {
      put_right(at->right, r / PANEL, r % PANEL, dz + r * WIDE, dz + (r + 1) * WIDE);
      for (int i = 0; i < WIDE; i++) sum[i] += dz[r * WIDE + i] + dz[(r + 1) * WIDE + i];
    }
    int64_t width = least(PANEL, outputs - p * PANEL);
    put_block(net->db[l - 1] + p * PANEL, 0, (float *)sum, 1, width, adds);
    for (int64_t k = 0; k < inputs; k += PANEL) {
      multiply(square, at->left, panels(inputs) * PANEL, k, at->right, steps);
      put_block(net->dw[l - 1] + k * outputs + p * PANEL, outputs, square, least(PANEL, inputs - k), width, adds);
    }
  }
}

/* The last layer's, of own inputs: dW = h^T d_out; the first share's also has db, the sum of d_out over rows. */
static void last_gradient(const mlp *net, const block *at, range own) {
  int l = net->layer, adds = at->begin > 0;
  int64_t outputs = net->sizes[l + 1], rows = least(at->rows, net->rows - at->begin);
  const float *d_out = net->d_out + at->begin * outputs;
  for (int64_t j = 0; j < outputs; j++) {
    for (int64_t p = own.begin; p < own.end; p++) {
      const vector *h = (const vector *)(net->h[l] + (p * net->stored + at->begin) * PANEL);
      vector sum[WIDE] = {{0}};
      for (int64_t r = 0; r < rows; r++)
        for (int i = 0; i < WIDE; i++) sum[i] += d_out[r * outputs + j] * h[WIDE * r + i];
      float *dw = net->dw[l] + p * PANEL * outputs + j;
      for (int64_t i = 0; i < least(PANEL, net->sizes[l] - p * PANEL); i++)
        dw[i * outputs] = (adds ? dw[i * outputs] : 0) + ((float *)sum)[i];
    }
    float bias = adds ? net->db[l][j] : 0;
    for (int64_t r = 0; r < rows; r++) bias += d_out[r * outputs + j];
    if (own.begin == 0) net->db[l][j] = bias;
  }
}

/* What own columns add to the loss's gradient at the layer below: dz W^T; `left` holds dz. */
static void rows_below(const mlp *net, const block *at, range own, int64_t share) {
  int l = net->layer;
  int64_t below = net->sizes[l - 1], steps = own.end - own.begin;
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t q = 0; q < panels(below); q++) {
    put_transposed_weights(at->right, net->w[l - 1], below, net->sizes[l], own, q);
    for (int64_t r = 0; r < at->rows; r += PANEL) {
      multiply(square, at->left, at->rows, r, at->right, steps);
      if (is_first_here(net)) {
        vector *first = (vector *)(at->first + (q * at->rows + r) * PANEL);
        for (int i = 0; i < PANEL * WIDE; i++) first[i] = relu_back(((vector *)square)[i], first[i]);
      } else if (l == 1)
        put_block(net->parts + (share * net->stored + at->begin + r) * below + q * PANEL, below, square, PANEL,
                  least(PANEL, below - q * PANEL), 0);
      else
        memcpy(net->parts + ((share * panels(below) + q) * net->stored + at->begin + r) * PANEL, square,
               sizeof square);
    }
  }
}

/* What own columns of the second layer add to the first layer's gradients, [inputs + 1][columns], the last is db. */
static void first_gradient(const mlp *net, const block *at, int64_t share) {
  int64_t inputs = net->sizes[0], count = panels(net->sizes[1]), adds = at->begin > 0;
  float *part = net->parts_first + share * (inputs + 1) * count * PANEL;
  for (int64_t p = 0; p < count; p++) {
    const float *dz = at->first + p * at->rows * PANEL;
    vector db[WIDE] = {{0}};
    for (int64_t r = 0; r < at->rows; r++)
      for (int i = 0; i < WIDE; i++) db[i] += ((const vector *)dz)[r * WIDE + i];
    put_block(part + (inputs * count + p) * PANEL, 0, (float *)db, 1, PANEL, adds);
    for (int64_t i = 0; i < inputs; i += TILE) {
      vector sum[TILE][WIDE] = {{{0}}};
      add_product(at->x + i, 1, PANEL, dz, at->rows, sum);
      put_block(part + (i * count + p) * PANEL, count * PANEL, (float *)sum, least(TILE, inputs - i), PANEL, adds);
    }
  }
}

/* What they add to dx. */
static void first_inputs_back(const mlp *net, const block *at, int64_t share) {
  int64_t inputs = net->sizes[0], count = panels(net->sizes[1]);
  inner_products(net->parts + (share * net->stored + at->begin) * inputs, inputs, at->first, at->rows,
                 at->w_first, count, at->rows);
}

static void backward_task(const void *work, int64_t share, float *memory, int first) {
  const mlp *net = work;
  int l = net->layer;
  int64_t below = panels(net->sizes[l - 1]), stride;
  range own = columns_of(net, share);
  block at;
  place(net, &at, memory);
  begin_products();
  if (is_last_hidden(net)) put_last_weights(net, &at, own);
  if (is_first_here(net) && net->dx) put_first_weights(net, &at);
  for (at.begin = 0; at.begin < net->stored; at.begin += BLOCK) {
    at.rows = least(BLOCK, net->stored - at.begin);
    const float *inputs = inputs_of(net, &at, &stride);
    if (is_last_hidden(net)) last_layer_back(net, &at, own);
    else hidden_layer_back(net, &at, own);
    if (net->dw[0]) {
      put_columns(at.left, inputs, stride, below, at.rows);
      weights_gradient(net, &at, own);
      if (is_last_hidden(net)) last_gradient(net, &at, own);
    }
    if (!goes_below(net)) continue;
    put_rows(at.left, at.dz, at.rows, own.end - own.begin, at.rows);
    rows_below(net, &at, own, share);
    if (is_first_here(net) && net->dw[0]) first_gradient(net, &at, share);
    if (is_first_here(net) && net->dx) first_inputs_back(net, &at, share);
  }
  end_products();
  (void)first;
}

/* What a call is about, from its arguments x, W1, b1, ..., WL, bL, which begin at number `first`; with so many shares
   of each layer. */
static mlp describe(ffi_frame *frame, int64_t first, int64_t shares) {
  ffi_buffer **args = frame->args.buffers + first;
  mlp net = {.rows = args[0]->dims[0], .x = args[0]->data, .sizes = {args[0]->dims[1]}};
  int64_t count = frame->args.size - first - 1;
  for (int64_t i = 1; i < count && args[i]->rank == 2; i += 2) {
    int l = net.layers++;
    net.w[l] = args[i]->data, net.b[l] = args[i + 1]->data, net.sizes[l + 1] = args[i]->dims[1];
    net.shares[l + 1] = least(shares, panels(net.sizes[l + 1]));
  }
  net.stored = panels(net.rows) * PANEL;
  net.is_first_repeated = net.layers > 2 && net.sizes[0] <= PANEL;
  return net;
}

/* h of the stored layers, of which the last may be missing where nobody will differentiate. */
static void place_hidden(mlp *net, ffi_buffer **buffers, int64_t count) {
  for (int l = net->is_first_repeated ? 2 : 1; count-- > 0; l++) net->h[l] = (*buffers++)->data;
}

/* Memory for what the shares of a layer find, and of the one above it; NULL if there is none. */
static float *shared_memory(mlp *net) {
  static _Thread_local arena shared;
  int64_t most = 0, first = (net->sizes[0] + 1) * panels(net->sizes[1]) * PANEL;
  for (int l = 1; l < net->layers; l++) {
    int64_t widest = panels(net->sizes[l - 1]) * PANEL + net->sizes[net->layers];
    if (most < net->shares[l] * widest * net->stored) most = net->shares[l] * widest * net->stored;
  }
  net->parts = reserve(&shared, 2 * most + net->shares[2] * first);
  net->parts_above = net->parts + most, net->parts_first = net->parts_above + most;
  return net->parts;
}

static ffi_error *run_layer(ffi_frame *frame, mlp *net, void (*task)(const void *, int64_t, float *, int)) {
  block nowhere;
  return share_work(frame, task, net, net->shares[net->layer], place(net, &nowhere, NULL));
}

/* to [size] = the sum of what the shares found, whose parts lie `stride` apart. */
static void add_parts(float *to, const float *parts, int64_t shares, int64_t stride, int64_t size) {
  for (int64_t i = 0; i < size; i++) {
    float sum = parts[i];
    for (int64_t share = 1; share < shares; share++) sum += parts[share * stride + i];
    to[i] = sum;
  }
}

/* forward(x, W1, b1, ..., WL, bL) -> out, h of the stored layers[, but the last] */
ffi_error *ddpg_jax_mlp_forward(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  /* Two shares for each thread, since a thread that Python has been keeping busy comes late; where the inputs must be
     made ready for each of them, one. */
  int64_t fits = frame->args.buffers[0]->dims[0] <= BLOCK;
  mlp net = describe(frame, 0, count_threads(frame) * (fits ? 2 : 1));
  net.out = frame->rets.buffers[0]->data;
  place_hidden(&net, frame->rets.buffers + 1, frame->rets.size - 1);
  if (!shared_memory(&net)) return no_memory(frame);
  for (net.layer = net.is_first_repeated ? 2 : 1; net.layer < net.layers; net.layer++) {
    ffi_error *error = run_layer(frame, &net, forward_task);
    if (error) return error;
  }
  int64_t outputs = net.sizes[net.layers];
  add_parts(net.out, net.parts, net.shares[net.layers - 1], net.stored * outputs, net.rows * outputs);
  for (int64_t i = 0; i < net.rows * outputs; i++) net.out[i] += net.b[net.layers - 1][i % outputs];
  return NULL;
}

/* The first layer's gradients from what the shares of the second found. */
static void add_first_gradients(const mlp *net) {
  int64_t inputs = net->sizes[0], outputs = net->sizes[1], padded = panels(outputs) * PANEL;
  for (int64_t i = 0; i <= inputs; i++)
    add_parts(i < inputs ? net->dw[0] + i * outputs : net->db[0], net->parts_first + i * padded, net->shares[2],
              (inputs + 1) * padded, outputs);
}

/* backward(d_out, x, W1, b1, ..., WL, bL, h of the stored layers) -> [dx][, dW1, db1, ..., dWL, dbL] */
ffi_error *ddpg_jax_mlp_backward(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  mlp net = describe(frame, 1, count_threads(frame));
  ffi_buffer **results = frame->rets.buffers;
  net.d_out = frame->args.buffers[0]->data;
  int64_t before = 2 + 2 * net.layers;
  place_hidden(&net, frame->args.buffers + before, frame->args.size - before);
  if (frame->rets.size % 2) net.dx = (*results++)->data;
  for (int l = 0; l < net.layers && frame->rets.size > 1; l++)
    net.dw[l] = results[2 * l]->data, net.db[l] = results[2 * l + 1]->data;
  if (!shared_memory(&net)) return no_memory(frame);
  int lowest = net.is_first_repeated ? 2 : 1;
  for (net.layer = net.layers - 1; net.layer >= lowest; net.layer--) {
    ffi_error *error = run_layer(frame, &net, backward_task);
    if (error) return error;
    float *parts = net.parts_above;
    net.parts_above = net.parts, net.parts = parts;
  }
  int64_t size = net.rows * net.sizes[0];
  if (net.dx) add_parts(net.dx, net.parts_above, net.shares[lowest], net.stored * net.sizes[0], size);
  if (net.is_first_repeated && net.dw[0]) add_first_gradients(&net);
  return NULL;
}

/* Whether this processor has the instructions that this file was compiled for. */
int ddpg_jax_supported(void) { return products_are_supported(); }
