/* A program moves from the thread in which XLA starts it to one of those that XLA keeps for sharing work.

   These are as many as the processors, so that with the one that started the program there is one too many: it takes a
   processor from the others, or the system leaves two of them to one while the other has nothing to do. Once a call
   has been answered by a future, XLA goes on in the thread that completes it, and the first is free. */

#ifndef DDPG_JAX_RUN_IN_POOL_H
#define DDPG_JAX_RUN_IN_POOL_H

#include <stdlib.h>
#include <string.h>

#include "ffi.h"
#include "pool.h"

/* `frame` is left with nothing but the interface: XLA lends context and buffers only until a handler returns. */
typedef struct {
  ffi_frame frame;
  ffi_future future;
  ffi_error *(*run)(ffi_frame *frame, void *work);
  _Alignas(16) char work[];
} pool_run;

static _Thread_local int is_in_pool;

static void go_on_in_pool(void *data) {
  pool_run *run_there = data;
  ffi_error *error = run_there->run(&run_there->frame, run_there->work);
  const ffi_api *api = run_there->frame.api;
  is_in_pool = 1;
  run_there->future.error = error;
  (error ? api->future_set_error : api->future_set_available)(&run_there->future);
  free(run_there);
}

/* Do some work here if this is a thread for sharing it, and otherwise, alone and on a copy, in one that is. */
static ffi_error *run_in_pool(ffi_frame *frame, ffi_error *(*run)(ffi_frame *, void *), void *work, size_t size) {
  if (is_in_pool || count_threads(frame) < 2) return run(frame, work);
  pool_run *run_there = calloc(1, sizeof *run_there + size);
  if (!run_there) return no_memory(frame);
  run_there->frame.api = frame->api, run_there->run = run;
  memcpy(run_there->work, work, size);
  run_there->future.struct_size = sizeof run_there->future;
  ffi_error *error = frame->api->future_create(&run_there->future);
  if (error) {
    free(run_there);
    return error;
  }
  frame->future = run_there->future.future;
  ffi_schedule schedule = {sizeof schedule, NULL, frame->context, go_on_in_pool, run_there};
  if (frame->api->pool_schedule(&schedule)) {
    go_on_in_pool(run_there);
    is_in_pool = 0; /* nobody took it there */
  }
  return NULL;
}

#endif
