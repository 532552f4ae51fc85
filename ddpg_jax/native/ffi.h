/* The part of XLA's foreign function interface (xla/ffi/api/c_api.h) that the kernels speak: version 0.3, whose
   structures later versions have, too.

   Declared here, so that building needs a C compiler and nothing else; `ddpg_jax.native.interface.is_known` compares the
   version with the header that comes with the installed jaxlib before anything is registered. */

#ifndef DDPG_JAX_FFI_H
#define DDPG_JAX_FFI_H

#include <stddef.h>
#include <stdint.h>

enum { FFI_MAJOR = 0, FFI_MINOR = 3, FFI_METADATA = 1, FFI_RESOURCE_EXHAUSTED = 8, FFI_INTERNAL = 13 };

typedef struct ffi_extension {
  size_t struct_size;
  int type;
  struct ffi_extension *next;
} ffi_extension;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  int major, minor;
} ffi_version;

typedef struct {
  size_t struct_size;
  ffi_version version;
} ffi_metadata;

typedef struct {
  ffi_extension base;
  ffi_metadata *metadata;
} ffi_metadata_extension;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  int dtype;
  void *data;
  int64_t rank;
  int64_t *dims;
} ffi_buffer;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  int64_t size;
  int *types;
  ffi_buffer **buffers;
} ffi_buffers;

typedef struct {
  int dtype;
  void *value;
} ffi_scalar;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  int64_t size;
  int *types;
  void **names;
  ffi_scalar **scalars;
} ffi_attributes;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  void *context;
  void (*task)(void *data);
  void *data;
} ffi_schedule;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  void *context;
  int64_t *num_threads;
} ffi_num_threads;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  const char *message;
  int code;
} ffi_create_error;

typedef struct ffi_error ffi_error;
typedef ffi_error *(*ffi_function)(void *arguments);

/* `error`: for one that ends in it. */
typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  void *future;
  ffi_error *error;
} ffi_future;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  ffi_version version;
  void *internal;
  ffi_function error_create, error_get_message;
  void (*error_destroy)(void *arguments);
  ffi_function handler_register, stream_get, type_register, context_get, state_set, state_get;
  ffi_function memory_allocate, memory_free, pool_schedule, pool_num_threads;
  ffi_function future_create, future_set_available, future_set_error;
} ffi_api;

typedef struct {
  size_t struct_size;
  ffi_extension *extension;
  const ffi_api *api;
  void *context;
  int stage;
  ffi_buffers args, rets;
  ffi_attributes attributes;
  void *future;
} ffi_frame;

/* Whether XLA only asks which version is spoken here; if so, it is told. */
static inline int ffi_asks_version(ffi_frame *frame) {
  if (!frame->extension || frame->extension->type != FFI_METADATA) return 0;
  ffi_version *version = &((ffi_metadata_extension *)frame->extension)->metadata->version;
  version->major = FFI_MAJOR;
  version->minor = FFI_MINOR;
  return 1;
}

/* An error of XLA's, to be returned. */
static inline ffi_error *ffi_fail(ffi_frame *frame, int code, const char *message) {
  ffi_create_error told = {sizeof told, NULL, message, code};
  return frame->api->error_create(&told);
}

#endif
