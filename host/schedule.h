/*
 * schedule.h - the deterministic hosted machine: all CPUs in one thread, one step at a time (host/schedule.c).
 *
 * host_config.schedule chooses it; the number is the seed of every choice, so the same program on the same number
 * does the same again. Threads are fibres. host.h and port.h call these functions; tests see their effect only.
 */
#ifndef HOST_SCHEDULE_H
#define HOST_SCHEDULE_H

#include "host/internal.h"

struct schedule *schedule_new(struct host_machine *h, uint64_t seed);
void schedule_free(struct schedule *s); /* fibres that have not ended are dropped where they are */

/* The thread that made the machine becomes this CPU. */
void schedule_enter(struct schedule *s, unsigned cpu);

/* A new fibre of this CPU, which runs fn(arg) when its turn comes. NULL: no memory, or too many. */
struct fibre *schedule_start(struct schedule *s, unsigned cpu, void (*fn)(void *), void *arg);
void schedule_join(struct fibre *f);
void schedule_keep(struct fibre *f, void *allocation); /* freed with the schedule */

/* Another CPU may go on here, or an interrupt come. */
void schedule_point(struct schedule *s);
void schedule_access(
        struct schedule *s); /* the same, less often: an access to memory (host/instrument) */
void schedule_relax(struct schedule *s); /* another CPU must go on, if there is one */
void schedule_call(struct schedule *s);  /* the same; CPUs without a thread answer the call now */
void schedule_yield(struct schedule *s); /* another thread of this CPU may go on, too */
void schedule_block(struct schedule *s, uint64_t deadline_ns);
void schedule_unblock(struct fibre *f);
void schedule_wait_for(struct schedule *s, spinlock_t *l); /* until it is free: then try */

uint64_t schedule_now(const struct schedule *s); /* virtual ns: steps, and jumps when all sleep */

/* True in a build where each access to shared memory is a point: host/instrument/points.c. */
extern bool host_sees_accesses;

/* In such a build, while it is not NULL: called before each access; stores: it may change what is there. */
extern void (*host_access_hook)(const volatile void *at, bool stores);

/* Where the running schedule stands, for messages: "schedule 17, step 480, CPU 2"; "" if there is none. */
const char *schedule_place(void);

/* The machine panics: to the thread that made it, if that has a host_panic_hook. */
void schedule_panic(struct schedule *s, const char *message);

/* fibre.c: stacks and switches, known to the address sanitizer. */
struct context {
	void *sp;
	char *stack; /* NULL, and all zero at first: the thread's own */
	void *fake_stack;
};
bool context_make(struct context *c, void (*fn)(void));
void context_switch(struct context *from, struct context *to);
void context_begin(void); /* the first thing that fn does */
void context_free(struct context *c);

#endif
