/* Memory that a thread keeps from call to call, and that is freed when the thread ends. */

#ifndef DDPG_JAX_MEMORY_H
#define DDPG_JAX_MEMORY_H

#include <stdint.h>

/* OF_TASKS: for a task that is shared out; OF_CALLS: for what all tasks of a call share. */
enum { OF_TASKS, OF_CALLS, PURPOSES };

/* The calling thread's memory for so many floats, whose contents are lost if it must grow; NULL if there is none. */
float *ddpg_jax_reserve(int purpose, int64_t size);

#endif
