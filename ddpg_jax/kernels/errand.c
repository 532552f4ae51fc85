/* Calls to Python, at once or in two halves: the program begins one, does other work, and waits for it where it needs
   the results.

   Python runs in one of XLA's threads, or in the program's own if none has come to it by then, so that nothing is
   waited for that has not begun. XLA's own callbacks are waited for at once. */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ffi.h"

enum { IDLE, BEGUN, UNDER_WAY, DONE };
enum { SPINS = 2000, NAP = 20000 }; /* about 50 microseconds; nanoseconds */

/* The function of a number, in Python: NULL, or why it failed. */
typedef const char *(*perform_function)(int64_t number);

typedef struct errand {
  int64_t number, outputs, inputs;
  const int64_t *sizes; /* bytes of each buffer, of outputs first; kept by Python, as the buffers are */
  char *const *buffers;
  perform_function perform;
  const char *failure;
  atomic_int state, holders; /* holders: the list, calls, and what is left to XLA's threads */
  struct errand *next;
} errand;

static errand *all;
static atomic_int under_way, over; /* calls in Python; whether it ends, and none may begin */
static atomic_flag changing = ATOMIC_FLAG_INIT;

static void lock(void) {
  while (atomic_flag_test_and_set(&changing)) __builtin_ia32_pause();
}

static void unlock(void) { atomic_flag_clear(&changing); }

static void leave(errand *errand) {
  if (atomic_fetch_sub(&errand->holders, 1) == 1) free(errand);
}

/* Make a function known by its number; 0 if there is no memory for it. */
int ddpg_jax_errand_new(perform_function perform, int64_t number, int64_t outputs, int64_t inputs, const int64_t *sizes,
                        char *const *buffers) {
  errand *errand = calloc(1, sizeof *errand);
  if (!errand) return 0;
  errand->perform = perform, errand->number = number, errand->outputs = outputs, errand->inputs = inputs;
  errand->sizes = sizes, errand->buffers = buffers, errand->holders = 1;
  lock();
  errand->next = all, all = errand;
  unlock();
  return 1;
}

/* Forget a function; a program that outlives it fails. */
void ddpg_jax_errand_forget(int64_t number) {
  lock();
  errand **at = &all;
  while (*at && (*at)->number != number) at = &(*at)->next;
  errand *gone = *at;
  if (gone) *at = gone->next;
  unlock();
  if (gone) leave(gone);
}

/* The errand whose number stands in the program, to be left afterwards, or NULL. */
static errand *find(ffi_frame *frame) {
  int64_t number = *(int64_t *)frame->attributes.scalars[0]->value;
  lock();
  errand *errand = all;
  while (errand && errand->number != number) errand = errand->next;
  if (errand) atomic_fetch_add(&errand->holders, 1);
  unlock();
  return errand;
}

static ffi_error *gone(ffi_frame *frame) {
  return ffi_fail(frame, FFI_INTERNAL,
                  "LookupError: the environment of this program is gone; keep it as long as the program");
}

static int take(errand *errand) {
  int begun = BEGUN;
  if (!atomic_compare_exchange_strong(&errand->state, &begun, UNDER_WAY)) return 0;
  atomic_fetch_add(&under_way, 1);
  errand->failure = atomic_load(&over) ? "the process ends" : errand->perform(errand->number);
  atomic_fetch_sub(&under_way, 1);
  atomic_store(&errand->state, DONE);
  return 1;
}

static void take_in_pool(void *data) {
  take(data);
  leave(data);
}

/* At first awake, for what takes microseconds; then with naps, for processors that others need. */
static void wait_while(errand *errand, int state) {
  for (long spin = 0; atomic_load(&errand->state) == state; spin++) {
    if (spin < SPINS) __builtin_ia32_pause();
    else nanosleep(&(struct timespec){0, NAP}, NULL);
  }
}

/* From now on calls fail, and programs with them; waits for those under way. */
void ddpg_jax_errand_end_all(void) {
  atomic_store(&over, 1);
  while (atomic_load(&under_way)) nanosleep(&(struct timespec){0, NAP}, NULL);
}

/* Done by whoever comes first. */
static void finish(errand *errand) {
  if (!take(errand)) wait_while(errand, UNDER_WAY);
}

static void read_inputs(errand *errand, ffi_frame *frame) {
  finish(errand); /* what was begun and whose end nobody waited for: of a program that failed, or left it out */
  for (int64_t i = 0, at = errand->outputs; i < errand->inputs; i++, at++)
    memcpy(errand->buffers[at], frame->args.buffers[i]->data, errand->sizes[at]);
  atomic_store(&errand->state, BEGUN);
}

static ffi_error *write_outputs(errand *errand, ffi_frame *frame) {
  finish(errand);
  for (int64_t i = 0; i < errand->outputs; i++)
    memcpy(frame->rets.buffers[i]->data, errand->buffers[i], errand->sizes[i]);
  ffi_error *error = errand->failure ? ffi_fail(frame, FFI_INTERNAL, errand->failure) : NULL;
  leave(errand);
  return error;
}

/* call(inputs...) -> outputs..., waited for at once */
ffi_error *ddpg_jax_errand_call(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  errand *errand = find(frame);
  if (!errand) return gone(frame);
  read_inputs(errand, frame);
  return write_outputs(errand, frame);
}

/* begin(inputs...) -> 0 */
ffi_error *ddpg_jax_errand_begin(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  errand *errand = find(frame);
  if (!errand) return gone(frame);
  read_inputs(errand, frame);
  *(float *)frame->rets.buffers[0]->data = 0;
  ffi_schedule schedule = {sizeof schedule, NULL, frame->context, take_in_pool, errand};
  atomic_fetch_add(&errand->holders, 1);
  if (frame->api->pool_schedule(&schedule)) leave(errand); /* without a thread for it, it is done at the end */
  leave(errand);
  return NULL;
}

/* end(zero, after) -> outputs... */
ffi_error *ddpg_jax_errand_end(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  errand *errand = find(frame);
  return errand ? write_outputs(errand, frame) : gone(frame);
}
