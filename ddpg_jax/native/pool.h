/* Tasks shared with a thread of Python's that is awake, and with the threads that XLA keeps for a program.

   The caller takes tasks from the first on, threads that come to help from the last on, so that from call to call a
   core finds in its cache what it wrote before. Nobody waits for a thread that has not come. Which thread
   takes a task changes nothing of what it computes. */

#ifndef DDPG_JAX_POOL_H
#define DDPG_JAX_POOL_H

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ffi.h"
#include "help.h"
#include "memory.h"

enum { SPINS = 1000 };

typedef struct {
  help help; /* first, so that its address is the job's */
  /* One task; `memory` is the thread's own, `first` is 1 for its first task of this call. */
  void (*run)(const void *work, int64_t task, float *memory, int first);
  const void *work; /* the caller's, not touched once all tasks are taken */
  int64_t tasks, floats;
  atomic_long claimed, low, high, done;
  atomic_int holders;
} job;

static void job_take(job *job, float *memory, int helps) {
  for (int first = 1; memory && atomic_fetch_add(&job->claimed, 1) < job->tasks; first = 0) {
    int64_t task = helps ? job->tasks - 1 - atomic_fetch_add(&job->high, 1) : atomic_fetch_add(&job->low, 1);
    job->run(job->work, task, memory, first);
    atomic_fetch_add_explicit(&job->done, 1, memory_order_release);
  }
}

static void job_leave(job *job) {
  if (atomic_fetch_sub(&job->holders, 1) == 1) free(job);
}

static void job_help(void *data) {
  job *job = data;
  job_take(job, ddpg_jax_reserve(OF_TASKS, job->floats), 1);
  job_leave(job);
}

/* Threads that XLA has for the program, with the caller's; without a context, only that. */
static int64_t count_threads(ffi_frame *frame) {
  int64_t threads = 1;
  if (!frame->context) return threads;
  ffi_num_threads count = {sizeof count, NULL, frame->context, &threads};
  return frame->api->pool_num_threads(&count) || threads < 1 ? 1 : threads;
}

static ffi_error *no_memory(ffi_frame *frame) {
  return ffi_fail(frame, FFI_RESOURCE_EXHAUSTED, "no memory is left for the kernels of ddpg_jax");
}

/* Run tasks 0 to `tasks` - 1 in any order, each thread with memory for so many floats; returns when all are done. */
static ffi_error *share_work(ffi_frame *frame, void (*run)(const void *, int64_t, float *, int), const void *work,
                             int64_t tasks, int64_t floats) {
  float *memory = ddpg_jax_reserve(OF_TASKS, floats);
  job *job = calloc(1, sizeof *job);
  if (!memory || !job) {
    free(job);
    return no_memory(frame);
  }
  int64_t threads = count_threads(frame), helpers = (threads < tasks ? threads : tasks) - 1;
  job->run = run, job->work = work, job->tasks = tasks, job->floats = floats;
  job->help = (help){job_help, __builtin_ia32_stmxcsr()};
  atomic_store(&job->holders, 1 + (int)helpers);
  int is_offered = helpers > 0 && ddpg_jax_offer(&job->help);
  for (int64_t i = is_offered; i < helpers; i++) {
    ffi_schedule schedule = {sizeof schedule, NULL, frame->context, job_help, job};
    if (frame->api->pool_schedule(&schedule)) job_leave(job);
  }
  job_take(job, memory, 0);
  for (long spin = 1; atomic_load_explicit(&job->done, memory_order_acquire) < tasks; spin++) {
    if (spin % SPINS == 0) sched_yield();
    __builtin_ia32_pause();
  }
  if (is_offered && ddpg_jax_withdraw(&job->help)) job_leave(job);
  job_leave(job);
  return NULL;
}

#endif
