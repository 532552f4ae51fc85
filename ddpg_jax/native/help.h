/* Work of the kernels for a thread of Python's that is awake and has no call (deferred_call.c).

   While Python runs for a program, a thread that XLA keeps for sharing work would be one thread too many: there are as
   many of these as processors, and Python's comes on top. So the work goes to Python's thread first. */

#ifndef DDPG_JAX_HELP_H
#define DDPG_JAX_HELP_H

typedef struct {
  void (*run)(void *help); /* with the address of this */
  unsigned mode;           /* MXCSR of the program */
} help;

/* Offer work to a thread of Python's that is awake; 0 if there is none, or other work is offered. */
int ddpg_jax_offer(help *help);

/* Take the offer back; 0 if a thread has come for it. */
int ddpg_jax_withdraw(help *help);

#endif
