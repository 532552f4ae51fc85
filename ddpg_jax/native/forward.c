/* The pass forward: out = h W + b after h <- max(0, h W + b) for each hidden layer, from h = x. */

#include "few_rows.h"
#include "network.h"
#include "run_in_pool.h"

/* Rows of weights that are asked for beforehand: they come from the other core, or from beyond the cache, and lie too far
   apart for the processor to see that they will be needed. */
enum { AHEAD = 8, LINE = 16 };

/* A panel of the columns of weights [inputs, outputs] as a right operand, padded with 0. */
static void put_weights(float *right, const float *w, int64_t inputs, int64_t outputs, int64_t p) {
  int64_t width = least(PANEL, outputs - p * PANEL);
  for (int64_t k = 0; k < panels(inputs) * PANEL; k += 2) {
    const float *from = w + k * outputs + p * PANEL, *next = from + outputs;
    float padded[2][PANEL];
    for (int j = 0; j < PANEL; j += LINE) {
      __builtin_prefetch(from + AHEAD * outputs + j);
      __builtin_prefetch(next + AHEAD * outputs + j);
    }
    if (width < PANEL || k + 2 > inputs) {
      memset(padded, 0, sizeof padded);
      if (k < inputs) memcpy(padded[0], from, width * sizeof *from);
      if (k + 1 < inputs) memcpy(padded[1], next, width * sizeof *from);
      from = padded[0], next = padded[1];
    }
    put_right(right, k / PANEL, k % PANEL, (const vector *)from, (const vector *)next);
  }
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

/* What comes into the layer, as a left operand. */
static void put_layer_below(const mlp *net, const block *at) {
  int64_t steps = panels(net->sizes[net->layer - 1]), stride;
  if (is_first_here(net)) {
    first_layer(net, at, (range){0, steps}, at->left);
    return;
  }
  const float *inputs = inputs_of(net, at, (range){0, steps}, &stride);
  for (int64_t p = 0; p < steps; p++) put_panel(at->left, at->rows, p, inputs + p * stride * PANEL);
}

static void forward_task(const void *work, int64_t share, float *memory, int first) {
  const mlp *net = work;
  int l = net->layer;
  int64_t outputs = net->sizes[net->layers];
  range own = panels_of(net, net->sizes[l], share);
  block at;
  place(net, &at, memory);
  begin_products();
  if (is_last_hidden(net)) put_last_weights(net, &at, own);
  for (at.begin = 0; at.begin < net->stored; at.begin += BLOCK) {
    at.rows = least(BLOCK, net->stored - at.begin);
    at.h = net->h[l] ? net->h[l] + (own.begin * net->stored + at.begin) * PANEL : at.dz;
    at.stride = net->h[l] ? net->stored : at.rows;
    if (first || net->stored > BLOCK) put_layer_below(net, &at); /* otherwise it is still there */
    hidden_layer(net, &at, own);
    if (is_last_hidden(net))
      inner_products(net->parts + (share * net->stored + at.begin) * outputs, outputs, at.h, at.stride,
                     at.w_last, own.end - own.begin, at.rows);
  }
  end_products();
}

static ffi_error *forward(ffi_frame *frame, void *work) {
  mlp *net = work;
  int64_t outputs = net->sizes[net->layers], shares = count_shares(net, net->sizes[net->layers - 1]);
  net->parts = ddpg_jax_reserve(OF_CALLS, shares * net->stored * outputs);
  if (!net->parts) return no_memory(frame);
  for (net->layer = net->is_first_repeated ? 2 : 1; net->layer < net->layers; net->layer++) {
    ffi_error *error = run_layer(frame, net, forward_task, count_shares(net, net->sizes[net->layer]));
    if (error) return error;
  }
  add_parts(net->out, net->parts, shares, net->stored * outputs, net->rows * outputs);
  for (int64_t i = 0; i < net->rows * outputs; i++) net->out[i] += net->b[net->layers - 1][i % outputs];
  return NULL;
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
  if (net.rows < FEW && !net.h[net.layers - 1]) return forward_few(frame, &net);
  return run_in_pool(frame, forward, &net, sizeof net);
}

/* Whether this processor has the instructions that this file was compiled for. */
int ddpg_jax_supported(void) { return has_vectors() && has_products(); }
