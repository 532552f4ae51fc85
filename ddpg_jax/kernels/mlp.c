/* Multilayer perceptrons of ReLU layers, forward and backward, each as one kernel on all threads.

   Activations h [B, N] and the loss's gradients dz at their inputs lie in panels of 32 columns, [N/32][rows][32], and
   weights are brought into the same form first, so that every product reads its operands in the order in which they
   lie. Rows are independent of each other: a block of them goes through all layers while it is in the cache. */

#include <string.h>

#include "ffi.h"
#include "pool.h"

/* TILE rows of a panel are what the registers hold as sums of a product. */
#ifdef __AVX512F__
#define CPU "avx512f"
enum { LANES = 16, TILE = 8 };
#else
#define CPU "avx2"
enum { LANES = 8, TILE = 2 };
#endif

enum { PANEL = 32, WIDE = PANEL / LANES, ROWS = 8, ROWS_IN_CACHE = 256, MOST_LAYERS = 16 };
#define ALWAYS_INLINE static inline __attribute__((always_inline))
typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* A network of L layers: sizes of inputs, of hidden layers, of outputs; and what belongs to each layer. */
typedef struct {
  int layers;
  int64_t rows, block, stride, sizes[MOST_LAYERS + 1]; /* stride: rows of a panel */
  const float *x, *d_out, *w[MOST_LAYERS], *b[MOST_LAYERS];
  float *h[MOST_LAYERS], *dz[MOST_LAYERS], *packed[MOST_LAYERS];
  float *out, *dx, *dw[MOST_LAYERS], *db[MOST_LAYERS];
} mlp;

static inline int64_t panels(int64_t columns) { return (columns + PANEL - 1) / PANEL; }
/* Rows that are kept: full tiles. */
static inline int64_t stored(int64_t rows) { return (rows + ROWS - 1) / ROWS * ROWS; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
/* ReLU, which lets nan through as it must be seen; and its derivative times d. */
static inline vector relu(vector z) { return (vector)((bits)z & ~(z < 0)); }
static inline vector relu_back(vector d, vector h) { return (vector)((bits)d & (h > 0)); }

/* sum [TILE, 32] += sum over s of a[i row + s step] b[s, 32]. */
ALWAYS_INLINE void multiply(const float *a, int64_t row, int64_t step, const float *b, int64_t count,
                            vector sum[TILE][WIDE]) {
  for (int64_t s = 0; s < count; s++, a += step, b += PANEL) {
    vector row_of_b[WIDE];
    for (int j = 0; j < WIDE; j++) row_of_b[j] = ((const vector *)b)[j];
    for (int i = 0; i < TILE; i++)
      for (int j = 0; j < WIDE; j++) sum[i][j] += a[i * row] * row_of_b[j];
  }
}

/* [TILE, 32] of rows of a [N/32][stored][32] times packed weights b [N][32]. */
ALWAYS_INLINE void multiply_rows(const mlp *net, const float *a, int64_t size, const float *b,
                                 vector sum[TILE][WIDE]) {
  memset(sum, 0, TILE * WIDE * sizeof(vector));
  for (int64_t k = 0; k < size; k += PANEL, a += net->stride * PANEL, b += PANEL * PANEL)
    multiply(a, PANEL, 1, b, least(PANEL, size - k), sum);
}

/* Columns 32 p to 32 p + 31 of weights [inputs, outputs], one after the other; columns beyond the last are 0. */
static void pack(float *to, const float *w, int64_t inputs, int64_t outputs, int64_t p) {
  int64_t width = least(PANEL, outputs - p * PANEL);
  for (int64_t k = 0; k < inputs; k++, to += PANEL)
    for (int64_t j = 0; j < PANEL; j++) to[j] = j < width ? w[k * outputs + p * PANEL + j] : 0;
}

/* A step of a square's transposition: every second group of `size` lanes changes places with one `size` rows below. */
ALWAYS_INLINE void exchange(vector square[LANES], int size) {
  bits low, high;
  for (int i = 0; i < LANES; i++) {
    low[i] = i & size ? LANES + i - size : i;
    high[i] = i & size ? LANES + i : i + size;
  }
  for (int i = 0; i < LANES; i++) {
    if (i & size) continue;
    vector above = square[i], below = square[i + size];
    square[i] = __builtin_shuffle(above, below, low);
    square[i + size] = __builtin_shuffle(above, below, high);
  }
}

/* The same of the transposed weights, square by square, each transposed by exchanges of halves, quarters and so on. */
static void pack_transposed(float *to, const float *w, int64_t inputs, int64_t outputs, int64_t p) {
  for (int64_t n = 0; n < outputs; n += LANES)
    for (int64_t part = 0; part < PANEL; part += LANES) {
      int64_t height = least(LANES, inputs - p * PANEL - part), width = least(LANES, outputs - n);
      const float *from = w + (p * PANEL + part) * outputs + n;
      vector square[LANES] = {{0}};
      for (int64_t i = 0; i < height; i++)
        if (width < LANES) memcpy(square + i, from + i * outputs, width * sizeof *from);
        else square[i] = *(const vector *)(from + i * outputs);
      exchange(square, 1), exchange(square, 2), exchange(square, 4);
      if (LANES == 16) exchange(square, 8 % LANES);
      for (int64_t i = 0; i < width; i++) *(vector *)(to + (n + i) * PANEL + part) = square[i];
    }
}

/* Weights of the last layer [inputs, outputs] as [outputs][inputs], rounded up with zeros. */
static void pack_last(float *to, const float *w, int64_t inputs, int64_t outputs) {
  int64_t stored = panels(inputs) * PANEL;
  for (int64_t j = 0; j < outputs; j++)
    for (int64_t k = 0; k < stored; k++) to[j * stored + k] = k < inputs ? w[k * outputs + j] : 0;
}

/* Rows of x [B, I] in panels; what is beyond the last row or column is 0. */
static void pack_inputs(const mlp *net, int64_t begin, int64_t end) {
  int64_t inputs = net->sizes[0];
  for (int64_t p = 0; p < panels(inputs); p++) {
    float *to = net->h[0] + (p * net->stride + begin) * PANEL;
    int64_t width = least(PANEL, inputs - p * PANEL);
    memset(to, 0, (end - begin) * PANEL * sizeof *to);
    for (int64_t r = begin; r < least(end, net->rows); r++, to += PANEL)
      for (int64_t j = 0; j < width; j++) to[j] = net->x[r * inputs + p * PANEL + j];
  }
}

/* h = max(0, h_before W + b) of one layer and some rows. */
static void hidden_layer(const mlp *net, int l, int64_t begin, int64_t end) {
  int64_t inputs = net->sizes[l - 1], outputs = net->sizes[l];
  for (int64_t p = 0; p < panels(outputs); p++) {
    float bias[PANEL] __attribute__((aligned(64)));
    for (int64_t j = 0; j < PANEL; j++) bias[j] = p * PANEL + j < outputs ? net->b[l - 1][p * PANEL + j] : 0;
    for (int64_t r = begin; r < end; r += TILE) {
      vector sum[TILE][WIDE];
      multiply_rows(net, net->h[l - 1] + r * PANEL, inputs, net->packed[l - 1] + p * inputs * PANEL, sum);
      vector *h = (vector *)(net->h[l] + (p * net->stride + r) * PANEL);
      for (int i = 0; i < TILE; i++)
        for (int j = 0; j < WIDE; j++) h[WIDE * i + j] = relu(sum[i][j] + ((vector *)bias)[j]);
    }
  }
}

/* out = h W + b, without ReLU; few columns, each an inner product. */
static void last_layer(const mlp *net, int64_t begin, int64_t end) {
  int l = net->layers - 1;
  int64_t inputs = panels(net->sizes[l]), outputs = net->sizes[l + 1];
  for (int64_t r = begin; r < least(end, net->rows); r++)
    for (int64_t j = 0; j < outputs; j++) {
      const float *w = net->packed[l] + j * inputs * PANEL;
      vector sums[WIDE] = {{0}};
      for (int64_t p = 0; p < inputs; p++)
        for (int i = 0; i < WIDE; i++)
          sums[i] += ((vector *)(net->h[l] + (p * net->stride + r) * PANEL))[i] * ((const vector *)w)[WIDE * p + i];
      for (int i = 1; i < WIDE; i++) sums[0] += sums[i];
      float sum = net->b[l][j];
      for (int i = 0; i < LANES; i++) sum += sums[0][i];
      net->out[r * outputs + j] = sum;
    }
}

/* Where the packed weights of each layer lie in memory; returns where they end. */
static float *place_packed(mlp *net, float *memory) {
  for (int l = 0; l < net->layers; l++) {
    net->packed[l] = memory;
    memory += panels(net->sizes[l]) * panels(net->sizes[l + 1]) * PANEL * PANEL;
  }
  return memory;
}

/* Without memory of XLA's for them, the activations of one block of rows from `begin` on lie in the thread's own. */
static void place_activations(mlp *net, float *memory, int64_t begin) {
  net->stride = net->block;
  for (int l = 0; l < net->layers; l++) {
    net->h[l] = memory - begin * PANEL;
    memory += panels(net->sizes[l]) * net->block * PANEL;
  }
}

/* Floats of both. */
static int64_t working_memory(const mlp *net) {
  int64_t floats = 0;
  for (int l = 0; l < net->layers; l++)
    floats += panels(net->sizes[l]) * PANEL * (panels(net->sizes[l + 1]) * PANEL + net->block);
  return floats;
}

static void forward_rows(const void *work, int64_t task, float *memory, int first) {
  mlp net = *(const mlp *)work;
  int last = net.layers - 1;
  int64_t begin = task * net.block, end = least(begin + net.block, stored(net.rows));
  memory = place_packed(&net, memory);
  if (!net.h[0]) place_activations(&net, memory, begin);
  if (first) {
    for (int l = 0; l < last; l++)
      for (int64_t p = 0; p < panels(net.sizes[l + 1]); p++)
        pack(net.packed[l] + p * net.sizes[l] * PANEL, net.w[l], net.sizes[l], net.sizes[l + 1], p);
    pack_last(net.packed[last], net.w[last], net.sizes[last], net.sizes[last + 1]);
  }
  pack_inputs(&net, begin, end);
  for (int l = 1; l < net.layers; l++) hidden_layer(&net, l, begin, end);
  last_layer(&net, begin, end);
}

/* dz = (d_out W^T) [h > 0] below the last layer. */
static void last_layer_back(const mlp *net, int64_t begin, int64_t end) {
  int l = net->layers - 1;
  int64_t inputs = panels(net->sizes[l]), outputs = net->sizes[l + 1];
  for (int64_t p = 0; p < inputs; p++)
    for (int64_t r = begin; r < end; r++) {
      int64_t at = (p * net->stride + r) * PANEL;
      const vector *h = (const vector *)(net->h[l] + at);
      vector *dz = (vector *)(net->dz[l] + at), sum[WIDE] = {{0}};
      for (int64_t j = 0; r < net->rows && j < outputs; j++) {
        const vector *w = (const vector *)(net->packed[l] + (j * inputs + p) * PANEL);
        float d = net->d_out[r * outputs + j];
        for (int i = 0; i < WIDE; i++) sum[i] += d * w[i];
      }
      for (int i = 0; i < WIDE; i++) dz[i] = relu_back(sum[i], h[i]);
    }
}

/* dz of the layer below = (dz W^T) [h > 0], or dx, which has no ReLU. */
static void hidden_layer_back(const mlp *net, int l, int64_t begin, int64_t end) {
  int64_t inputs = net->sizes[l - 1], outputs = net->sizes[l];
  for (int64_t p = 0; p < panels(inputs); p++)
    for (int64_t r = begin; r < end; r += TILE) {
      vector sum[TILE][WIDE];
      multiply_rows(net, net->dz[l] + r * PANEL, outputs, net->packed[l - 1] + p * outputs * PANEL, sum);
      if (l == 1) {
        for (int64_t i = 0; i < least(TILE, net->rows - r); i++)
          for (int64_t j = 0; j < least(PANEL, inputs - p * PANEL); j++)
            net->dx[(r + i) * inputs + p * PANEL + j] = ((float *)sum[i])[j];
        continue;
      }
      int64_t at = (p * net->stride + r) * PANEL;
      const vector *h = (const vector *)(net->h[l - 1] + at);
      vector *dz = (vector *)(net->dz[l - 1] + at);
      for (int i = 0; i < TILE; i++)
        for (int j = 0; j < WIDE; j++) dz[WIDE * i + j] = relu_back(sum[i][j], h[WIDE * i + j]);
    }
}

static void backward_rows(const void *work, int64_t task, float *memory, int first) {
  mlp net = *(const mlp *)work;
  int last = net.layers - 1, lowest = net.dx ? 0 : 1;
  int64_t begin = task * net.block, end = least(begin + net.block, stored(net.rows));
  place_packed(&net, memory);
  if (first) {
    for (int l = lowest; l < last; l++)
      for (int64_t p = 0; p < panels(net.sizes[l]); p++)
        pack_transposed(net.packed[l] + p * net.sizes[l + 1] * PANEL, net.w[l], net.sizes[l], net.sizes[l + 1], p);
    pack_last(net.packed[last], net.w[last], net.sizes[last], net.sizes[last + 1]);
  }
  last_layer_back(&net, begin, end);
  for (int l = last; l > lowest; l--) hidden_layer_back(&net, l, begin, end);
}

/* dw [32 rows, 32 columns] = h^T dz, summed over as many rows at a time as stay in the cache. */
static void weights_gradient(const mlp *net, int l, int64_t p, int64_t q) {
  int64_t inputs = net->sizes[l], outputs = net->sizes[l + 1];
  const float *h = net->h[l] + p * net->stride * PANEL, *dz = net->dz[l + 1] + q * net->stride * PANEL;
  int64_t height = least(PANEL, inputs - p * PANEL), width = least(PANEL, outputs - q * PANEL);
  float *dw = net->dw[l] + p * PANEL * outputs + q * PANEL;
  vector total[PANEL][WIDE], sum[TILE][WIDE];
  memset(total, 0, sizeof total);
  for (int64_t r = 0; r < net->rows; r += ROWS_IN_CACHE)
    for (int64_t f = 0; f < height; f += TILE) {
      memcpy(sum, total[f], sizeof sum);
      multiply(h + r * PANEL + f, 1, PANEL, dz + r * PANEL, least(ROWS_IN_CACHE, net->rows - r), sum);
      memcpy(total[f], sum, sizeof sum);
    }
  for (int64_t i = 0; i < height; i++) memcpy(dw + i * outputs, total[i], width * sizeof *dw);
}

/* db = sum of dz over rows. */
static void bias_gradient(const mlp *net, int l, int64_t p) {
  const vector *dz = (const vector *)(net->dz[l + 1] + p * net->stride * PANEL);
  vector sum[WIDE] = {{0}};
  for (int64_t r = 0; r < net->rows; r++, dz += WIDE)
    for (int i = 0; i < WIDE; i++) sum[i] += dz[i];
  memcpy(net->db[l] + p * PANEL, sum, least(PANEL, net->sizes[l + 1] - p * PANEL) * sizeof(float));
}

/* The last layer's: dw = h^T d_out, db = sum of d_out over rows. */
static void last_gradient(const mlp *net, int64_t p) {
  int l = net->layers - 1;
  int64_t outputs = net->sizes[l + 1], height = least(PANEL, net->sizes[l] - p * PANEL);
  for (int64_t j = 0; j < outputs; j++) {
    const vector *h = (const vector *)(net->h[l] + p * net->stride * PANEL);
    vector sum[WIDE] = {{0}};
    float bias = 0;
    for (int64_t r = 0; r < net->rows; r++, h += WIDE) {
      float d = net->d_out[r * outputs + j];
      for (int i = 0; i < WIDE; i++) sum[i] += d * h[i];
      bias += d;
    }
    for (int64_t i = 0; i < height; i++) net->dw[l][(p * PANEL + i) * outputs + j] = ((float *)sum)[i];
    if (p == 0) net->db[l][j] = bias;
  }
}

static void gradient_tasks(const void *work, int64_t task, float *memory, int first) {
  const mlp *net = work;
  (void)memory, (void)first;
  for (int l = 0; l < net->layers - 1; l++) {
    int64_t across = panels(net->sizes[l + 1]), count = panels(net->sizes[l]) * across;
    if (task < count) {
      weights_gradient(net, l, task / across, task % across);
      if (task < across) bias_gradient(net, l, task);
      return;
    }
    task -= count;
  }
  last_gradient(net, task);
}

/* What a call is about: rows and sizes from the shapes, blocks of rows so that each thread has a few. */
static mlp describe(int layers, int64_t rows) {
  mlp net = {.layers = layers, .rows = rows};
  net.stride = stored(rows);
  net.block = least(4 * ROWS, stored((net.stride + 3) / 4));
  return net;
}

static inline float *data(const ffi_buffers *buffers, int64_t i) { return buffers->buffers[i]->data; }
static inline int64_t dim(const ffi_buffers *buffers, int64_t i, int d) { return buffers->buffers[i]->dims[d]; }
static inline int64_t blocks(const mlp *net) { return (stored(net->rows) + net->block - 1) / net->block; }

/* forward(x, W1, b1, ..., WL, bL) -> out[, h0, ..., h(L-1)] */
ffi_error *ddpg_jax_mlp_forward(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  const ffi_buffers *args = &frame->args, *rets = &frame->rets;
  mlp net = describe((int)(args->size - 1) / 2, dim(args, 0, 0));
  net.x = data(args, 0), net.out = data(rets, 0), net.sizes[0] = dim(args, 0, 1);
  for (int l = 0; l < net.layers; l++) {
    net.w[l] = data(args, 1 + 2 * l), net.b[l] = data(args, 2 + 2 * l);
    net.sizes[l + 1] = dim(args, 1 + 2 * l, 1);
    if (rets->size > 1) net.h[l] = data(rets, 1 + l);
  }
  return share_work(frame, forward_rows, &net, blocks(&net), working_memory(&net));
}

/* backward(d_out, W1, ..., WL, h1, ..., h(L-1)) -> dz1, ..., dz(L-1)[, dx] */
ffi_error *ddpg_jax_mlp_backward(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  const ffi_buffers *args = &frame->args, *rets = &frame->rets;
  mlp net = describe((int)args->size / 2, dim(args, 0, 0));
  net.d_out = data(args, 0), net.dx = rets->size == net.layers ? data(rets, net.layers - 1) : NULL;
  for (int l = 0; l < net.layers; l++) {
    net.w[l] = data(args, 1 + l), net.sizes[l] = dim(args, 1 + l, 0), net.sizes[l + 1] = dim(args, 1 + l, 1);
    if (l > 0) net.h[l] = data(args, net.layers + l), net.dz[l] = data(rets, l - 1);
  }
  return share_work(frame, backward_rows, &net, blocks(&net), working_memory(&net));
}

/* gradients(d_out, h0, ..., h(L-1), dz1, ..., dz(L-1)) -> dW1, db1, ..., dWL, dbL */
ffi_error *ddpg_jax_mlp_gradients(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  const ffi_buffers *args = &frame->args, *rets = &frame->rets;
  mlp net = describe((int)args->size / 2, dim(args, 0, 0));
  net.d_out = data(args, 0);
  int64_t tasks = 0;
  for (int l = 0; l < net.layers; l++) {
    net.h[l] = data(args, 1 + l), net.dw[l] = data(rets, 2 * l), net.db[l] = data(rets, 2 * l + 1);
    net.sizes[l] = dim(rets, 2 * l, 0), net.sizes[l + 1] = dim(rets, 2 * l, 1);
    if (l > 0) net.dz[l] = data(args, net.layers + l);
    tasks += panels(net.sizes[l]) * (l < net.layers - 1 ? panels(net.sizes[l + 1]) : 1);
  }
  return share_work(frame, gradient_tasks, &net, tasks, 1);
}

/* Whether this processor has the instructions that this file was compiled for. */
int ddpg_jax_supported(void) { return __builtin_cpu_supports(CPU) && __builtin_cpu_supports("fma"); }
