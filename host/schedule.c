/*
 * schedule.c - the port, deterministic: every CPU a fibre, every choice from one seed.
 *
 * Code runs alone until it reaches a point: a lock, the end of a section with interrupts off, an access to a program's
 * memory, a step of a TLB flush, a wait; in a build with host/instrument also every atomic step and every access to
 * shared memory. There the scheduler may let another CPU go on, or an interrupt come. Two ways, by the seed:
 *
 *   random   at each point with a chance of 1 in 2^k, k from the seed, any CPU that can
 *   PCT      the CPU of the highest priority that can; at d - 1 steps chosen beforehand the running one falls to the
 *            lowest (Burckhardt, Kothari, Musuvathi and Nagarakatte 2010: finds a bug that needs d orderings on n CPUs
 *            in k steps with a chance of at least 1 / (n k^(d-1)))
 *
 * A CPU keeps its fibre until that one waits, yields or ends. When none can go on and nobody waits for a time, that
 * is a deadlock, and the machine panics with who waits for what. Time is virtual.
 */
#include "host/schedule.h"
#include "lib/random.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FIBRES 48u
#define STEP_NS    10u
#define MAX_STEPS  1000000000u /* then it is taken for a loop without end */
#define TURN       200000u /* steps after which one falls in any case: others wait for what loops */
#define MAX_DEPTH  5u

enum fibre_state { READY, BLOCKED, JOINING, LOCKING, DONE };

struct fibre {
	struct context context;
	struct schedule *s;
	struct thread thread;
	struct host_thread_state saved;
	enum fibre_state state;
	bool yielded;
	unsigned cpu;
	uint64_t deadline;  /* BLOCKED */
	struct fibre *join; /* JOINING */
	spinlock_t *wants;  /* LOCKING */
	void (*fn)(void *);
	void *arg;
	void *kept;
};

struct schedule {
	struct host_machine *h;
	uint64_t seed, steps, now;
	struct random random;
	struct fibre *fibre[MAX_FIBRES]; /* [0]: the thread that made the machine */
	unsigned nr;
	struct fibre *current;
	struct fibre *on[QUIRE_MAX_CPUS];   /* who has the CPU */
	unsigned switch_shift, timer_shift; /* one in 2^n */
	bool pct;
	unsigned depth;
	uint64_t change[MAX_DEPTH];
	uint64_t turn; /* step of the last choice */
	int64_t priority[QUIRE_MAX_CPUS], lowest;
	char failure[1024];
};

__attribute__((weak)) bool host_sees_accesses = false;
__attribute__((weak)) void (*host_access_hook)(const volatile void *at, bool stores);

/* The schedule that runs in this process, for messages. */
static struct schedule *running;

static bool one_in(struct schedule *s, unsigned shift)
{
	return (random_u64(&s->random) & ((1ull << shift) - 1)) == 0;
}

static void choose_strategy(struct schedule *s)
{
	random_seed(&s->random, s->seed);
	s->switch_shift = 1 + (unsigned)random_below(&s->random, 7);
	s->timer_shift = 4 + (unsigned)random_below(&s->random, 6);
	s->pct = random_u64(&s->random) & 1;
	s->depth = 1 + (unsigned)random_below(&s->random, MAX_DEPTH);
	for (unsigned i = 0; i < s->depth; i++)
		s->change[i] = random_below(&s->random, 64ull << random_below(&s->random, 14));
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		s->priority[i] = (int64_t)random_below(&s->random, 1u << 20);
}

static struct fibre *fibre_new(struct schedule *s)
{
	struct fibre *f = s->nr < MAX_FIBRES ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return NULL;
	f->s = s;
	f->thread.fibre = f;
	s->fibre[s->nr++] = f;
	return f;
}

struct schedule *schedule_new(struct host_machine *h, uint64_t seed)
{
	struct schedule *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->h = h;
	s->seed = seed;
	choose_strategy(s);
	s->current = fibre_new(s);
	if (!s->current) {
		free(s);
		return NULL;
	}
	return s;
}

void schedule_free(struct schedule *s)
{
	for (unsigned i = 0; i < s->nr; i++) {
		context_free(&s->fibre[i]->context);
		free(s->fibre[i]->kept);
		free(s->fibre[i]);
	}
	if (running == s)
		running = NULL;
	free(s);
}

void schedule_enter(struct schedule *s, unsigned cpu)
{
	struct fibre *f = s->fibre[0];

	if (s->on[f->cpu] == f)
		s->on[f->cpu] = NULL;
	f->cpu = cpu;
	s->on[cpu] = f;
	running = s;
	host_be(s->h, cpu, &f->thread);
}

const char *schedule_place(void)
{
	static char text[80];

	text[0] = '\0';
	if (running)
		snprintf(text, sizeof(text), "schedule %llu, step %llu, CPU %u",
		         (unsigned long long)running->seed, (unsigned long long)running->steps,
		         running->current->cpu);
	return text;
}

uint64_t schedule_now(const struct schedule *s)
{
	return s->now;
}

/* --- who can go on -------------------------------------------------------------------------------- */

static bool called(const struct schedule *s, unsigned cpu)
{
	return atomic_load(&s->h->call.wanted) >> cpu & 1;
}

static bool ready(const struct fibre *f)
{
	switch (f->state) {
	case READY:
		return true;
	case BLOCKED:
		return f->thread.permit || f->deadline <= f->s->now;
	case JOINING:
		return f->join->state == DONE;
	case LOCKING:
		return !spin_is_locked(f->wants);
	default:
		return false;
	}
}

/* Another fibre of the CPU that can go on, any of them. */
static struct fibre *other_on(struct schedule *s, unsigned cpu)
{
	struct fibre *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < s->nr; i++) {
		struct fibre *f = s->fibre[i];

		if (f->cpu == cpu && f != s->on[cpu] && ready(f) &&
		    random_below(&s->random, ++n) == 0)
			found = f;
	}
	return found;
}

/* Whom the CPU would run; NULL: nobody. Interrupts run on top of whoever had it last. */
static struct fibre *next_on(struct schedule *s, unsigned cpu)
{
	struct fibre *on = s->on[cpu], *other;

	if (on && ready(on) && !on->yielded)
		return on;
	if (!on || (on->state != READY && on->state != LOCKING) || on->yielded) {
		other = other_on(s, cpu);
		if (other)
			return other;
	}
	if (on && (ready(on) || (called(s, cpu) && !on->saved.irqs_off)))
		return on;
	return NULL;
}

static unsigned candidates(struct schedule *s, struct fibre **of)
{
	unsigned n = 0;

	for (unsigned cpu = 0; cpu < s->h->machine.nr_cpus; cpu++) {
		of[cpu] = next_on(s, cpu);
		n += of[cpu] != NULL;
	}
	return n;
}

static bool jump_to_next_deadline(struct schedule *s)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < s->nr; i++)
		if (s->fibre[i]->state == BLOCKED)
			first = MIN(first, s->fibre[i]->deadline);
	if (first == UINT64_MAX)
		return false;
	s->now = MAX(s->now, first);
	return true;
}

/* --- the choice ------------------------------------------------------------------------------------ */

static struct fibre *random_choice(struct schedule *s, struct fibre **of, unsigned n, bool leave)
{
	const unsigned cpu = s->current->cpu;
	uint64_t k;

	if (of[cpu] && leave && n > 1) {
		of[cpu] = NULL;
		n--;
	}
	k = random_below(&s->random, n);
	for (unsigned i = 0;; i++)
		if (of[i] && k-- == 0)
			return of[i];
}

static struct fibre *highest(struct schedule *s, struct fibre **of, bool leave)
{
	struct fibre *best = NULL;

	if (leave)
		s->priority[s->current->cpu] = --s->lowest;
	for (unsigned i = 0; i < s->h->machine.nr_cpus; i++)
		if (of[i] && (!best || s->priority[i] > s->priority[best->cpu]))
			best = of[i];
	return best;
}

static void add(char *text, size_t size, const char *format, ...) PRINTF(3, 4);
static void add(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + used, size - used, format, ap);
	va_end(ap);
}

static const struct fibre *holder(const struct schedule *s, const void *lock)
{
	for (unsigned i = 0; i < s->nr; i++)
		if (host_holds(&s->fibre[i]->thread, lock))
			return s->fibre[i];
	return NULL;
}

/* What a fibre that cannot go on waits for, and what it has. */
static void describe(const struct schedule *s, const struct fibre *f, char *text, size_t size)
{
	const struct thread *t = &f->thread;
	const void *wanted = f->state == LOCKING ? f->wants : t->wanted;

	add(text, size, "; CPU %u ", f->cpu);
	if (wanted) {
		const struct fibre *has = holder(s, wanted);

		add(text, size, "waits for %s",
		    f->state == LOCKING ? host_lock_name(f->wants)
		                        : host_class_name(t->wanted_class));
		if (has)
			add(text, size, ", which CPU %u has", has->cpu);
	} else {
		add(text, size, "%s", f->state == JOINING ? "waits for another's end" : "sleeps");
	}
	for (unsigned i = 0; i < t->nr_held; i++)
		add(text, size, "%s%s", i ? ", " : ", holding ", host_class_name(t->held[i].class));
}

static NORETURN void deadlock(struct schedule *s)
{
	char text[800] = "";

	for (unsigned i = 0; i < s->nr; i++)
		if (s->fibre[i]->state != DONE)
			describe(s, s->fibre[i], text, sizeof(text));
	port_panic("deadlock%s", text);
}

static struct fibre *choose(struct schedule *s, bool leave)
{
	struct fibre *of[QUIRE_MAX_CPUS];
	unsigned n;

	while (!(n = candidates(s, of)))
		if (!jump_to_next_deadline(s))
			deadlock(s);
	return s->pct ? highest(s, of, leave) : random_choice(s, of, n, leave);
}

static void switch_to(struct schedule *s, struct fibre *to)
{
	struct fibre *from = s->current;

	s->on[to->cpu] = to;
	to->yielded = false;
	if (to == from)
		return;
	from->saved = host;
	s->current = to;
	host = to->saved;
	context_switch(&from->context, &to->context);
	if (s->failure[0] && from == s->fibre[0])
		port_panic("%s", s->failure);
}

/* On top of the current fibre, which goes on with it whatever it waits for. */
static void deliver(struct schedule *s)
{
	struct fibre *f = s->current;
	const enum fibre_state state = f->state;

	f->state = READY;
	host_serve(s->h);
	if (s->h->interrupt && !host.irqs_off && one_in(s, s->timer_shift))
		host_call_interrupt(s->h);
	f->state = state;
}

static void reschedule(struct schedule *s, bool leave)
{
	s->current->saved = host;
	s->turn = s->steps;
	switch_to(s, choose(s, leave));
	deliver(s);
}

static void step(struct schedule *s)
{
	s->now += STEP_NS;
	if (++s->steps > MAX_STEPS)
		port_panic("no end after %u steps", MAX_STEPS);
}

static bool falls(struct schedule *s)
{
	for (unsigned i = 0; i + 1 < s->depth; i++)
		if (s->change[i] == s->steps)
			return true;
	return s->steps - s->turn > TURN;
}

static void maybe_switch(struct schedule *s, unsigned shift)
{
	step(s);
	if (s->nr == 1)
		deliver(s);
	else if (s->pct ? falls(s) : one_in(s, shift))
		reschedule(s, true);
	else
		deliver(s);
}

void schedule_point(struct schedule *s)
{
	maybe_switch(s, s->switch_shift);
}

void schedule_access(struct schedule *s)
{
	maybe_switch(s, s->switch_shift + 4);
}

void schedule_relax(struct schedule *s)
{
	step(s);
	reschedule(s, true);
}

void schedule_call(struct schedule *s)
{
	for (unsigned i = 0; i < s->h->machine.nr_cpus; i++) {
		if (s->on[i] || !called(s, i))
			continue;
		s->on[i] = s->current; /* so nobody else is it meanwhile */
		host_call_absent(s->h, i);
		s->on[i] = NULL;
	}
	schedule_relax(s);
}

void schedule_yield(struct schedule *s)
{
	s->current->yielded = true;
	schedule_relax(s);
}

/* --- threads ---------------------------------------------------------------------------------------- */

static void wait_until_ready(struct schedule *s, enum fibre_state state)
{
	struct fibre *f = s->current;

	f->state = state;
	step(s);
	do
		reschedule(s, true);
	while (!ready(f));
	f->state = READY;
}

void schedule_block(struct schedule *s, uint64_t deadline_ns)
{
	s->current->deadline = deadline_ns;
	wait_until_ready(s, BLOCKED);
	s->current->thread.permit = false;
}

void schedule_unblock(struct fibre *f)
{
	if (f->s->h->mutant == MUTANT_LOST_WAKE_UP && one_in(f->s, 3))
		return;
	f->thread.permit = true;
}

void schedule_wait_for(struct schedule *s, spinlock_t *l)
{
	s->current->wants = l;
	wait_until_ready(s, LOCKING);
}

void schedule_join(struct fibre *f)
{
	f->s->current->join = f;
	wait_until_ready(f->s, JOINING);
}

void schedule_keep(struct fibre *f, void *allocation)
{
	f->kept = allocation;
}

/* A CPU whose fibre has ended is idle: interrupts come all the same. */
static void fibre_main(void)
{
	struct schedule *s = running;
	struct fibre *f = s->current;

	context_begin();
	deliver(s);
	f->fn(f->arg);
	f->state = DONE;
	for (;;)
		reschedule(s, true);
}

struct fibre *schedule_start(struct schedule *s, unsigned cpu, void (*fn)(void *), void *arg)
{
	struct host_thread_state mine = host;
	struct fibre *f = fibre_new(s);

	if (!f)
		return NULL;
	f->cpu = cpu;
	f->fn = fn;
	f->arg = arg;
	if (!context_make(&f->context, fibre_main)) {
		s->nr--;
		free(f);
		return NULL;
	}
	host_be(s->h, cpu, &f->thread);
	f->saved = host;
	host = mine;
	return f;
}

void schedule_panic(struct schedule *s, const char *message)
{
	if (s->failure[0] || !host_panic_hook)
		return;
	snprintf(s->failure, sizeof(s->failure), "%s", message);
	if (s->current != s->fibre[0])
		switch_to(s, s->fibre[0]);
}
