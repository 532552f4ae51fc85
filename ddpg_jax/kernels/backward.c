/* The pass backward: from the loss's gradient at the outputs to those of inputs, weights and biases. */

#include "network.h"
#include "transpose.h"

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

/* The first layer's weights, whose rows are padded with 0. */
static void put_first_weights(const mlp *net, const block *at) {
  int64_t outputs = net->sizes[1], padded = panels(outputs) * PANEL;
  memset(at->w_first, 0, net->sizes[0] * padded * sizeof *at->w_first);
  for (int64_t i = 0; i < net->sizes[0]; i++)
    memcpy(at->w_first + i * padded, net->w[0] + i * outputs, outputs * sizeof *at->w_first);
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

/* The first layer's gradients from what the shares of the second found. */
static void add_first_gradients(const mlp *net) {
  int64_t inputs = net->sizes[0], outputs = net->sizes[1], padded = panels(outputs) * PANEL;
  for (int64_t i = 0; i <= inputs; i++)
    add_parts(i < inputs ? net->dw[0] + i * outputs : net->db[0], net->parts_first + i * padded, net->shares[2],
              (inputs + 1) * padded, outputs);
}

/* Floats of what the shares of a layer find of the one below it. */
static int64_t size_below(const mlp *net, int l) {
  int ends = l == 1 || (l == 2 && net->is_first_repeated);
  int64_t columns = !ends ? panels(net->sizes[l - 1]) * PANEL : net->dx ? net->sizes[0] : 0;
  return net->shares[l] * net->stored * columns;
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
  int lowest = net.is_first_repeated ? 2 : 1;
  int64_t most = 0, first = net.shares[2] * (net.sizes[0] + 1) * panels(net.sizes[1]) * PANEL;
  for (int l = lowest; l < net.layers; l++)
    if (most < size_below(&net, l)) most = size_below(&net, l);
  if (!shared_memory(&net, most, most, net.is_first_repeated ? first : 0)) return no_memory(frame);
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
