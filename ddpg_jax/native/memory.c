#include "memory.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct {
  float *floats[PURPOSES];
  int64_t sizes[PURPOSES];
} memory;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int has_key;

static void release(void *data) {
  memory *memory = data;
  for (int purpose = 0; purpose < PURPOSES; purpose++) free(memory->floats[purpose]);
  free(memory);
}

static void make_key(void) { has_key = !pthread_key_create(&key, release); }

static memory *own_memory(void) {
  pthread_once(&once, make_key);
  memory *own = has_key ? pthread_getspecific(key) : NULL;
  if (own || !has_key) return own;
  own = calloc(1, sizeof *own);
  if (own && pthread_setspecific(key, own)) {
    free(own);
    own = NULL;
  }
  return own;
}

float *ddpg_jax_reserve(int purpose, int64_t size) {
  memory *own = own_memory();
  if (!own) return NULL;
  float **floats = &own->floats[purpose];
  if (!*floats || own->sizes[purpose] < size) {
    free(*floats);
    own->sizes[purpose] = (size + 15) / 16 * 16 + 16;
    *floats = aligned_alloc(64, own->sizes[purpose] * sizeof **floats);
  }
  return *floats;
}
