/* From the thread in which XLA starts a program over to the threads that it keeps for sharing work.

   These are as many as the processors, so that with the one that started the program there is one too many: it takes a
   processor from the others, or the system leaves two of them to one while the other has nothing to do. Once a call
   has been answered by a future, XLA goes on in the thread that completes it, and the first is free. */

#ifndef DDPG_JAX_PASSAGE_H
#define DDPG_JAX_PASSAGE_H

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
} passage;

static _Thread_local int is_in_pool;

static void arrive(void *data) {
  passage *passage = data;
  ffi_error *error = passage->run(&passage->frame, passage->work);
  const ffi_api *api = passage->frame.api;
  is_in_pool = 1;
  passage->future.error = error;
  (error ? api->future_set_error : api->future_set_available)(&passage->future);
  free(passage);
}

/* Do some work here if this is a thread for sharing it, and otherwise, alone and on a copy, in one that is. */
static ffi_error *run_in_pool(ffi_frame *frame, ffi_error *(*run)(ffi_frame *, void *), void *work, size_t size) {
  if (is_in_pool || count_threads(frame) < 2) return run(frame, work);
  passage *passage = calloc(1, sizeof *passage + size);
  if (!passage) return no_memory(frame);
  passage->frame.api = frame->api, passage->run = run;
  memcpy(passage->work, work, size);
  passage->future.struct_size = sizeof passage->future;
  ffi_error *error = frame->api->future_create(&passage->future);
  if (error) {
    free(passage);
    return error;
  }
  frame->future = passage->future.future;
  ffi_schedule schedule = {sizeof schedule, NULL, frame->context, arrive, passage};
  if (frame->api->pool_schedule(&schedule)) {
    arrive(passage);
    is_in_pool = 0; /* nobody took it there */
  }
  return NULL;
}

#endif
