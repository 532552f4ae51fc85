/* Calls of Python by compiled programs: at once, or in two halves, between which the program does other work.

   Python runs in threads of its own, never in XLA's: what it calls may be a program that needs them. Nor does a thread
   of XLA's wait for it: where the results are not there yet, the program is answered by a future, and goes on in the
   thread of Python's that completes it. So no thread that a program needs is ever held by Python. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ffi.h"
#include "help.h"

enum { WAITING, RUNNING, DONE };
/* Nanoseconds that a thread of Python's without a call stays awake: at first, and after each piece of work that it has
   shared, since the next call then comes soon. POLLS: how often it looks for a call or work between two readings of the
   clock. */
enum { AWAKE_AT_FIRST = 20000, AWAKE_AFTER_WORK = 1000000, POLLS = 32 };
enum { PROCESSOR_DEFAULT = 0x1f80 }; /* of MXCSR: denormal numbers are numbers */

/* A function of Python's. `buffers`: where it writes and reads, outputs first; arrays of Python's, until it is forgotten. */
typedef struct function {
  struct function *next;
  int64_t number, outputs, inputs;
  struct call *last; /* the call that was begun last, until its end */
  int is_running, is_forgotten, holders;
  char **buffers;
  int64_t *sizes;
} function;

/* One call. `future` and `results` are those of a program that waits for it. */
typedef struct call {
  struct call *next;
  function *function;
  int state, holders, is_awaited;
  unsigned mode; /* MXCSR of the program */
  const ffi_api *api;
  ffi_future future;
  char **results, *failure;
  char inputs[];
} call;

/* Everything below is changed by whoever holds the lock, who never waits for Python. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t call_is_there = PTHREAD_COND_INITIALIZER;
static function *functions;
static call *queue; /* calls that no thread has taken, the oldest first */
static int idle, running, returning, is_over;
static int is_polling; /* whether a thread looks for calls by itself; at most one does */
static _Thread_local call *own;        /* the call that this thread of Python's has taken */
static _Thread_local int is_known;     /* this thread of Python's has come before */
static _Thread_local int is_returning; /* this thread of Python's goes on with a program, and takes a call after it */

/* Changed without the lock. */
static _Atomic(help *) offered;
static atomic_int awake;  /* threads of Python's that run Python or look for calls */
static atomic_long asked; /* how often a thread was asked to look for calls */

int ddpg_jax_offer(help *work) {
  help *nothing = NULL;
  return atomic_load(&awake) > 0 && atomic_compare_exchange_strong(&offered, &nothing, work);
}

int ddpg_jax_withdraw(help *work) { return atomic_compare_exchange_strong(&offered, &work, NULL); }

static void leave_function(function *function) {
  if (--function->holders == 0) free(function);
}

static void leave(call *call) {
  if (--call->holders) return;
  leave_function(call->function);
  free(call->results), free(call->failure), free(call);
}

/* Make a function known by its number; 0 if there is no memory for it. */
int ddpg_jax_function_new(int64_t number, int64_t outputs, int64_t inputs, const int64_t *sizes, char *const *buffers) {
  int64_t count = outputs + inputs;
  function *new = calloc(1, sizeof *new + count * (sizeof *new->buffers + sizeof *new->sizes));
  if (!new) return 0;
  *new = (function){.number = number, .outputs = outputs, .inputs = inputs, .holders = 1, .buffers = (char **)(new + 1)};
  new->sizes = (int64_t *)(new->buffers + count);
  memcpy(new->buffers, buffers, count * sizeof *buffers);
  memcpy(new->sizes, sizes, count * sizeof *sizes);
  pthread_mutex_lock(&lock);
  new->next = functions, functions = new;
  pthread_mutex_unlock(&lock);
  return 1;
}

/* Forget a function, whose arrays may then be gone; a program that outlives it fails. */
void ddpg_jax_function_forget(int64_t number) {
  pthread_mutex_lock(&lock);
  function **at = &functions;
  while (*at && (*at)->number != number) at = &(*at)->next;
  function *gone = *at;
  if (gone) {
    *at = gone->next;
    gone->is_forgotten = 1;
    if (gone->last) leave(gone->last);
    gone->last = NULL;
    leave_function(gone);
  }
  pthread_mutex_unlock(&lock);
}

static function *find(ffi_frame *frame) {
  int64_t number = *(int64_t *)frame->attributes.scalars[0]->value;
  function *function = functions;
  while (function && function->number != number) function = function->next;
  return function;
}

/* Have a thread of Python's look for calls. With the lock. */
static void wake(void) {
  atomic_fetch_add(&asked, 1);
  if (!is_polling) pthread_cond_signal(&call_is_there);
}

/* A call with a copy of its inputs, put into the queue; or NULL if there is no memory for it. */
static call *ask(function *function, ffi_frame *frame) {
  int64_t size = 0, outputs = function->outputs;
  for (int64_t i = 0; i < function->inputs; i++) size += function->sizes[outputs + i];
  call *new = calloc(1, sizeof *new + size), **end = &queue;
  if (!new) return NULL;
  new->function = function, new->holders = 1, function->holders++;
  char *to = new->inputs;
  for (int64_t i = 0; i < function->inputs; to += function->sizes[outputs + i++])
    memcpy(to, frame->args.buffers[i]->data, function->sizes[outputs + i]);
  while (*end) end = &(*end)->next;
  *end = new;
  return new;
}

static void copy_results(const call *call, char *const *results) {
  const function *function = call->function;
  for (int64_t i = 0; i < function->outputs && !function->is_forgotten; i++)
    memcpy(results[i], function->buffers[i], function->sizes[i]);
}

static ffi_error *no_memory(ffi_frame *frame) {
  return ffi_fail(frame, FFI_RESOURCE_EXHAUSTED, "no memory is left for a call of Python");
}

static ffi_error *gone(ffi_frame *frame) {
  return ffi_fail(frame, FFI_INTERNAL,
                  "LookupError: the environment of this program is gone; keep it as long as the program");
}

static ffi_error *over(ffi_frame *frame) { return ffi_fail(frame, FFI_INTERNAL, "the process ends"); }

/* Answer the program by a future, to be completed when the call is done. */
static ffi_error *await(call *call, ffi_frame *frame) {
  int64_t count = call->function->outputs;
  call->results = malloc((count + 1) * sizeof *call->results);
  if (!call->results) return no_memory(frame);
  for (int64_t i = 0; i < count; i++) call->results[i] = frame->rets.buffers[i]->data;
  call->api = frame->api, call->mode = __builtin_ia32_stmxcsr();
  call->future.struct_size = sizeof call->future;
  ffi_error *error = frame->api->future_create(&call->future);
  if (error) return error;
  call->is_awaited = 1, frame->future = call->future.future;
  return NULL;
}

/* call(inputs...) -> outputs..., waited for at once */
ffi_error *ddpg_jax_call(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  pthread_mutex_lock(&lock);
  function *function = find(frame);
  call *new = function && !is_over ? ask(function, frame) : NULL;
  ffi_error *error = new ? await(new, frame) : is_over ? over(frame) : function ? no_memory(frame) : gone(frame);
  if (new && !is_returning) wake(); /* this thread takes it as soon as it is back */
  pthread_mutex_unlock(&lock);
  return error;
}

/* begin(inputs...) -> 0 */
ffi_error *ddpg_jax_call_begin(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  pthread_mutex_lock(&lock);
  function *function = find(frame);
  call *new = function && !is_over ? ask(function, frame) : NULL;
  ffi_error *error = new ? NULL : is_over ? over(frame) : function ? no_memory(frame) : gone(frame);
  if (new) {
    if (function->last) leave(function->last); /* of a program that failed, or left out the end */
    function->last = new, new->holders++;
    *(float *)frame->rets.buffers[0]->data = 0;
    wake();
  }
  pthread_mutex_unlock(&lock);
  return error;
}

/* end(zero, after) -> outputs... */
ffi_error *ddpg_jax_call_end(ffi_frame *frame) {
  if (ffi_asks_version(frame)) return NULL;
  ffi_error *error = NULL;
  pthread_mutex_lock(&lock);
  function *function = find(frame);
  call *last = function ? function->last : NULL;
  if (!function) error = gone(frame);
  else if (!last) error = ffi_fail(frame, FFI_INTERNAL, "two programs step the same environments at a time");
  else {
    function->last = NULL;
    if (last->state != DONE) error = await(last, frame);
    else if (last->failure) error = ffi_fail(frame, FFI_INTERNAL, last->failure);
    else
      for (int64_t i = 0; i < function->outputs; i++)
        memcpy(frame->rets.buffers[i]->data, function->buffers[i], function->sizes[i]);
    leave(last);
  }
  pthread_mutex_unlock(&lock);
  return error;
}

/* A call is done, and the program that waits for it goes on, in this thread, until it waits again. With the lock. */
static void finish(call *call, const char *failure) {
  call->state = DONE;
  call->failure = failure ? strdup(failure) : NULL;
  if (call->is_awaited && !failure) copy_results(call, call->results);
  if (call->is_awaited) {
    ffi_frame frame = {.api = call->api};
    if (failure) call->future.error = ffi_fail(&frame, FFI_INTERNAL, failure);
    if (queue) wake();
    atomic_fetch_sub(&awake, 1);
    unsigned mode = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(call->mode);
    is_returning = 1, returning++;
    pthread_mutex_unlock(&lock);
    (failure ? call->api->future_set_error : call->api->future_set_available)(&call->future);
    __builtin_ia32_ldmxcsr(mode);
    pthread_mutex_lock(&lock);
    is_returning = 0, returning--;
    atomic_fetch_add(&awake, 1);
  }
  leave(call);
}

/* The oldest call of a function none of whose calls runs, or NULL. */
static call *take(void) {
  call **at = &queue;
  while (*at && (*at)->function->is_running) at = &(*at)->next;
  call *taken = *at;
  if (!taken) return NULL;
  *at = taken->next;
  function *function = taken->function;
  char *from = taken->inputs;
  for (int64_t i = 0, k = function->outputs; i < function->inputs && !function->is_forgotten; i++, k++) {
    memcpy(function->buffers[k], from, function->sizes[k]);
    from += function->sizes[k];
  }
  taken->state = RUNNING, function->is_running = 1, running++;
  return taken;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Share the work of kernels, if some is offered. */
static int help_kernels(void) {
  help *work = atomic_load(&offered);
  if (!work || !atomic_compare_exchange_strong(&offered, &work, NULL)) return 0;
  unsigned mode = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(work->mode);
  work->run(work);
  __builtin_ia32_ldmxcsr(mode);
  return 1;
}

/* Share the kernels' work until a call comes, or none has come for some time; whether one came. With the lock. */
static int stay_awake(void) {
  long before = atomic_load(&asked);
  is_polling = 1;
  pthread_mutex_unlock(&lock);
  for (int64_t end = now() + AWAKE_AT_FIRST; atomic_load(&asked) == before && now() < end;)
    for (int poll = 0; poll < POLLS && atomic_load(&asked) == before; poll++) {
      if (help_kernels()) end = now() + AWAKE_AFTER_WORK;
      __builtin_ia32_pause();
    }
  pthread_mutex_lock(&lock);
  is_polling = 0;
  return atomic_load(&asked) != before;
}

/* Wait for a call and take it. With the lock. */
static call *wait_for_call(void) {
  for (call *taken;;) {
    if (!is_over && (taken = take())) return taken;
    if (!is_over && !is_polling && stay_awake()) continue;
    atomic_fetch_sub(&awake, 1);
    pthread_cond_wait(&call_is_there, &lock);
    atomic_fetch_add(&awake, 1);
  }
}

/* What a thread of Python's does again and again: say why the call that it has taken failed (NULL if it did not), wait
   for another, and get the number of its function. `others`: threads that wait then, or soon will. When the process ends, it
   never comes back: it may not enter Python any more. */
int64_t ddpg_jax_next_call(const char *failure, int *others) {
  pthread_mutex_lock(&lock);
  if (own) {
    call *done = own;
    own = NULL;
    done->function->is_running = 0, running--;
    finish(done, failure);
  }
  if (!is_known) is_known = 1, atomic_fetch_add(&awake, 1);
  idle++;
  own = wait_for_call();
  idle--;
  *others = idle + returning;
  if (queue) wake(); /* what this thread asked for itself, and another call came before */
  int64_t number = own->function->number;
  pthread_mutex_unlock(&lock);
  __builtin_ia32_ldmxcsr(PROCESSOR_DEFAULT);
  return number;
}

/* From now on calls fail, and programs with them; how many calls still run in Python. */
int ddpg_jax_end_calls(void) {
  pthread_mutex_lock(&lock);
  is_over = 1;
  while (queue) {
    call *left = queue;
    queue = left->next;
    finish(left, "the process ends");
  }
  int still = running;
  pthread_mutex_unlock(&lock);
  return still;
}

/* In a process that was forked there is none of the threads that ran before. */
void ddpg_jax_forget_calls(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&call_is_there, NULL);
  queue = NULL, own = NULL, idle = running = returning = is_polling = is_known = is_returning = 0;
  atomic_store(&awake, 0), atomic_store(&offered, NULL);
  for (function *function = functions; function; function = function->next) function->is_running = 0;
}
