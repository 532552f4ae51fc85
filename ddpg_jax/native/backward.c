/* The pass backward: from the loss's gradient at the outputs to those of inputs, weights and biases.

   Each share has panels of a layer's inputs, that is rows of its weights: their gradient, and dz of the layer below in
   these columns. They are whole pages of the weights, which the same thread changes afterwards (leaves.c). */

#include "network.h"
#include "transpose.h"

/* A panel of the transposed weights, those of PANEL inputs, as a right operand. */
static void put_transposed_weights(float *right, const float *w, int64_t inputs, int64_t outputs, int64_t q) {
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t p = 0; p < panels(outputs); p++) {
    transpose(square, w + q * PANEL * outputs + p * PANEL, outputs, least(PANEL, inputs - q * PANEL),
              least(PANEL, outputs - p * PANEL));
    for (int64_t i = 0; i < PANEL; i += 2)
      put_right(right, p, i, (vector *)(square + i * PANEL), (vector *)(square + (i + 1) * PANEL));
  }
}

/* Own panels as a transposed left operand: their columns are its rows. */
static void put_columns(float *left, const float *values, int64_t stride, range own, int64_t rows) {
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t q = own.begin; q < own.end; q++)
    for (int64_t r = 0; r < rows; r += PANEL) {
      transpose(square, values + (q * stride + r) * PANEL, PANEL, PANEL, PANEL);
      for (int64_t i = 0; i < PANEL; i++)
        put_left(left, (own.end - own.begin) * PANEL, r / PANEL, (q - own.begin) * PANEL + i,
                 (vector *)(square + i * PANEL));
    }
}

/* The first layer's weights of own columns, [inputs][panels], padded with 0. */
static void put_first_weights(const mlp *net, const block *at, range own) {
  int64_t outputs = net->sizes[1], begin = own.begin * PANEL, columns = (own.end - own.begin) * PANEL;
  memset(at->w_first, 0, net->sizes[0] * columns * sizeof *at->w_first);
  for (int64_t i = 0; i < net->sizes[0]; i++)
    memcpy(at->w_first + i * columns, net->w[0] + i * outputs + begin,
           least(columns, outputs - begin) * sizeof *at->w_first);
}

/* A panel of dz = (d_out W^T) [h > 0] of the last hidden layer. */
static const float *last_layer_back(const mlp *net, const block *at, int64_t p) {
  int64_t outputs = net->sizes[net->layers], count = panels(net->sizes[net->layer]);
  const vector *h = (const vector *)(net->h[net->layer] + (p * net->stored + at->begin) * PANEL);
  float *panel = room_for_panel(at->left_back, at->rows, p, at->dz);
  for (int64_t r = 0; r < at->rows; r++, h += WIDE) {
    vector *dz = (vector *)(panel + r * PANEL), sum[WIDE] = {{0}};
    for (int64_t j = 0; at->begin + r < net->rows && j < outputs; j++) {
      const vector *w = (const vector *)(at->w_last + (j * count + p) * PANEL);
      float d = net->d_out[(at->begin + r) * outputs + j];
      for (int i = 0; i < WIDE; i++) sum[i] += d * w[i];
    }
    for (int i = 0; i < WIDE; i++) dz[i] = relu_back(sum[i], h[i]);
  }
  return panel;
}

/* A panel of dz of the layer. */
static const float *gradient_of(const mlp *net, const block *at, int64_t p) {
  if (is_last_hidden(net)) return last_layer_back(net, at, p);
  return net->dz[net->layer] + (p * net->stored + at->begin) * PANEL;
}

/* to [height, width], which lie `stride` apart, = values [height][PANEL], added to what is there if `adds`. */
static void put_block(float *to, int64_t stride, const float *values, int64_t height, int64_t width, int adds) {
  for (int64_t i = 0; i < height; i++)
    for (int64_t j = 0; j < width; j++) to[i * stride + j] = (adds ? to[i * stride + j] : 0) + values[i * PANEL + j];
}

/* A panel of a bias: db = the sum of dz over rows. */
static void bias_gradient(float *db, const float *dz, int64_t rows, int64_t width, int adds) {
  vector sum[WIDE] = {{0}};
  for (int64_t r = 0; r < rows; r++)
    for (int i = 0; i < WIDE; i++) sum[i] += ((const vector *)dz)[r * WIDE + i];
  put_block(db, 0, (float *)sum, 1, width, adds);
}

/* A panel of dW = h_below^T dz in own rows, and of db if it is in this share; `left` holds own columns of h_below. */
static void weights_gradient(const mlp *net, const block *at, range own, int64_t share, const float *dz, int64_t p) {
  int l = net->layer, adds = at->begin > 0;
  int64_t inputs = net->sizes[l - 1], outputs = net->sizes[l], rows = (own.end - own.begin) * PANEL;
  int64_t width = least(PANEL, outputs - p * PANEL);
  range biases = share_of(panels(outputs), count_shares(net, inputs), share);
  float square[AREA] __attribute__((aligned(64)));
  if (biases.begin <= p && p < biases.end) bias_gradient(net->db[l - 1] + p * PANEL, dz, at->rows, width, adds);
  const float *right = as_right(at->right, dz, at->rows);
  for (int64_t k = 0; k < rows; k += PANEL) {
    int64_t row = own.begin * PANEL + k;
    multiply(square, at->left, rows, k, right, at->rows / PANEL);
    put_block(net->dw[l - 1] + row * outputs + p * PANEL, outputs, square, least(PANEL, inputs - row), width, adds);
  }
}

/* The last layer's, of a share of its inputs: dW = h^T d_out; the first share's also has db, the sum of d_out. */
static void last_gradient(const mlp *net, const block *at, int64_t share) {
  int l = net->layer, adds = at->begin > 0;
  int64_t outputs = net->sizes[l + 1], rows = least(at->rows, net->rows - at->begin);
  range own = share_of(panels(net->sizes[l]), count_shares(net, net->sizes[l - 1]), share);
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
    if (share == 0) net->db[l][j] = bias;
  }
}

/* Own columns of dz of the layer below = (dz W^T) [h > 0], or of dx, which has no ReLU; `left_back` holds dz. */
static void layer_below(const mlp *net, const block *at, range own) {
  int l = net->layer;
  int64_t below = net->sizes[l - 1], outputs = net->sizes[l];
  float square[AREA] __attribute__((aligned(64)));
  for (int64_t q = own.begin; q < own.end; q++) {
    put_transposed_weights(at->right, net->w[l - 1], below, outputs, q);
    for (int64_t r = 0; r < at->rows; r += PANEL) {
      multiply(square, at->left_back, at->rows, r, at->right, panels(outputs));
      if (l == 1) {
        put_block(net->dx + (at->begin + r) * below + q * PANEL, below, square,
                  least(PANEL, net->rows - at->begin - r), least(PANEL, below - q * PANEL), 0);
        continue;
      }
      int64_t from = (q * net->stored + at->begin + r) * PANEL;
      float *here = at->first + (q * at->rows + r) * PANEL;
      const vector *h = (const vector *)(is_first_here(net) ? here : net->h[l - 1] + from);
      vector *dz = (vector *)(is_first_here(net) ? here : net->dz[l - 1] + from);
      for (int i = 0; i < PANEL * WIDE; i++) dz[i] = relu_back(((vector *)square)[i], h[i]);
    }
  }
}

/* Own columns of the first layer's gradients: dW = x^T dz and db. */
static void first_gradient(const mlp *net, const block *at, range own) {
  int64_t inputs = net->sizes[0], outputs = net->sizes[1], adds = at->begin > 0;
  for (int64_t p = own.begin; p < own.end; p++) {
    const float *dz = at->first + p * at->rows * PANEL;
    int64_t width = least(PANEL, outputs - p * PANEL);
    bias_gradient(net->db[0] + p * PANEL, dz, at->rows, width, adds);
    for (int64_t i = 0; i < inputs; i += TILE) {
      vector sum[TILE][WIDE] = {{{0}}};
      add_product(at->x + i / PANEL * at->rows * PANEL + i % PANEL, 1, PANEL, dz, at->rows, sum, TILE);
      put_block(net->dw[0] + i * outputs + p * PANEL, outputs, (float *)sum, least(TILE, inputs - i), width, adds);
    }
  }
}

static inline int goes_below(const mlp *net) { return net->layer > 1 || net->dx; }

static void backward_task(const void *work, int64_t share, float *memory, int first) {
  const mlp *net = work;
  int l = net->layer;
  int64_t inputs = net->sizes[l - 1], outputs = panels(net->sizes[l]), stride;
  range own = panels_of(net, inputs, share);
  block at;
  place(net, &at, memory);
  begin_products();
  if (is_last_hidden(net)) put_last_weights(net, &at, (range){0, outputs});
  if (is_first_here(net) && net->dx) put_first_weights(net, &at, own);
  for (at.begin = 0; at.begin < net->stored; at.begin += BLOCK) {
    at.rows = least(BLOCK, net->stored - at.begin);
    const float *h = inputs_of(net, &at, own, &stride);
    if (net->dw[0]) put_columns(at.left, h, stride, own, at.rows);
    for (int64_t p = 0; p < outputs; p++) {
      const float *dz = gradient_of(net, &at, p);
      if (net->dw[0]) weights_gradient(net, &at, own, share, dz, p);
      if (goes_below(net)) put_panel(at.left_back, at.rows, p, dz);
    }
    if (net->dw[0] && is_last_hidden(net)) last_gradient(net, &at, share);
    if (!goes_below(net)) continue;
    layer_below(net, &at, own);
    if (is_first_here(net) && net->dw[0]) first_gradient(net, &at, own);
    if (is_first_here(net) && net->dx)
      inner_products(net->parts + (share * net->stored + at.begin) * net->sizes[0], net->sizes[0],
                     at.first + own.begin * at.rows * PANEL, at.rows, at.w_first, own.end - own.begin, at.rows);
  }
  end_products();
  (void)first;
}

/* Memory for dz of the layers whose h is stored but for the last, and for parts of dx; 0 if there is none. */
static int reserve_gradients(mlp *net, int64_t parts) {
  int64_t size = 0, lowest = net->is_first_repeated ? 2 : 1;
  for (int64_t l = lowest; l < net->layers - 1; l++) size += panels(net->sizes[l]) * net->stored * PANEL;
  float *memory = ddpg_jax_reserve(OF_CALLS, size + parts);
  for (int64_t l = lowest; memory && l < net->layers - 1; l++) {
    net->dz[l] = memory;
    memory += panels(net->sizes[l]) * net->stored * PANEL;
  }
  net->parts = memory;
  return memory != NULL;
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
  int64_t shares = count_shares(&net, net.sizes[1]), inputs = net.sizes[0];
  if (!reserve_gradients(&net, shares * net.stored * inputs)) return no_memory(frame);
  for (net.layer = net.layers - 1; net.layer >= (net.is_first_repeated ? 2 : 1); net.layer--) {
    ffi_error *error = run_layer(frame, &net, backward_task, count_shares(&net, net.sizes[net.layer - 1]));
    if (error) return error;
  }
  if (net.dx && net.is_first_repeated)
    add_parts(net.dx, net.parts, shares, net.stored * inputs, net.rows * inputs);
  return NULL;
}
