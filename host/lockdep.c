/*
 * lockdep.c - rules that hold for every run, checked in each: the order of locks, and what may sleep.
 *
 * Locks have classes: one for each place in the source where such locks are set up. Whoever takes b while he has a has
 * shown that a comes before b; if another has shown b before a, by any chain, the two can wait for each other,
 * whether or not they did (Linux's lockdep, Molnar 2006). So one run of a path on one CPU is enough. Also
 *
 *   - a lock that an interrupt takes is taken with interrupts off by everybody;
 *   - nobody sleeps, or takes a lock that sleeps, or allocates with __GFP_DIRECT_RECLAIM, with a spin lock or with
 *     interrupts off;
 *   - nobody takes what he has.
 *
 * Two locks of one class may nest (two page tables, two pages, two mms): their order is not checked here.
 * Spin locks come from the seam; sleeping locks and allocations are caught by the linker (--wrap, see the Makefile), so
 * that mm/ knows nothing of it. A lock that was never set up (zero) has no class and no order.
 */
#include "host/schedule.h"

#include <quire/kva.h>
#include <quire/slab.h>

#include <pthread.h>
#include <stdio.h>

#define MAX_CLASSES 64u
#define CLASS_PAGE  1u /* PG_locked */

enum { IN_INTERRUPT = 1, INTERRUPTS_ON = 2 };

static struct lock_class {
	const char *name;
	const void *setup; /* of sleeping locks: where in the source; printed if there is no name */
	_Atomic uint64_t after;
	_Atomic uint8_t use;
	char text[120];
} classes[MAX_CLASSES] = {{.name = "a lock that was not set up"}, {.name = "PG_locked"}};
static unsigned nr_classes = 2;
static pthread_mutex_t classes_lock = PTHREAD_MUTEX_INITIALIZER;

/* By the sanitizers' runtimes. */
void __sanitizer_symbolize_pc(const void *pc, const char *format, char *text, size_t size)
        __attribute__((weak));

static bool watching(void)
{
	return host.watch & HOST_WATCH_LOCKS;
}

/* --- classes ---------------------------------------------------------------------------------------- */

static unsigned find_class(const char *name, const void *setup)
{
	unsigned i;

	pthread_mutex_lock(&classes_lock);
	for (i = 2; i < nr_classes; i++)
		if (name ? classes[i].name && !strcmp(classes[i].name, name)
		         : classes[i].setup == setup)
			break;
	if (i == nr_classes && i < MAX_CLASSES) {
		classes[i].name = name;
		classes[i].setup = setup;
		nr_classes++;
	}
	pthread_mutex_unlock(&classes_lock);
	return i < MAX_CLASSES ? i : 0;
}

unsigned host_lock_class(const char *name, _Atomic uint8_t *known)
{
	unsigned class = atomic_load_explicit(known, memory_order_relaxed);

	if (!class) {
		class = find_class(name, NULL);
		atomic_store_explicit(known, (uint8_t) class, memory_order_relaxed);
	}
	return class;
}

const char *host_class_name(unsigned class)
{
	struct lock_class *c = &classes[class];

	if (c->name)
		return c->name;
	if (__sanitizer_symbolize_pc)
		__sanitizer_symbolize_pc((const char *)c->setup - 1, "%f, %s:%l", c->text,
		                         sizeof(c->text));
	else
		snprintf(c->text, sizeof(c->text), "%p", c->setup);
	return c->text;
}

static unsigned spin_class(const spinlock_t *l)
{
	return atomic_load_explicit(&l->locked, memory_order_relaxed) >> HOST_CLASS_SHIFT &
	       HOST_CLASS_MASK;
}

const char *host_lock_name(const spinlock_t *l)
{
	return host_class_name(spin_class(l));
}

static unsigned outer_class(const struct wait_queue *q)
{
	return atomic_load_explicit(&q->lock.locked, memory_order_relaxed) >> HOST_OUTER_SHIFT &
	       HOST_CLASS_MASK;
}

static void set_outer_class(struct wait_queue *q, const void *setup)
{
	atomic_fetch_or_explicit(&q->lock.locked, find_class(NULL, setup) << HOST_OUTER_SHIFT,
	                         memory_order_relaxed);
}

/* --- order ------------------------------------------------------------------------------------------ */

static bool reaches(unsigned from, unsigned to, uint64_t *seen)
{
	uint64_t after = atomic_load_explicit(&classes[from].after, memory_order_relaxed);

	if (after >> to & 1)
		return true;
	*seen |= 1ull << from;
	for (unsigned i = 1; i < MAX_CLASSES; i++)
		if (after & ~*seen & 1ull << i && reaches(i, to, seen))
			return true;
	return false;
}

static void note_order(unsigned first, unsigned then)
{
	uint64_t seen = 0;

	if (!first || !then || first == then ||
	    atomic_load_explicit(&classes[first].after, memory_order_relaxed) >> then & 1)
		return;
	if (reaches(then, first, &seen))
		port_panic("lock order: %s is taken under %s here, and above it elsewhere",
		           host_class_name(then), host_class_name(first));
	atomic_fetch_or_explicit(&classes[first].after, 1ull << then, memory_order_relaxed);
}

/* A lock that waits for others while one of them is interrupted by somebody who wants it. */
static void note_interrupts(unsigned class)
{
	uint8_t use = host.interrupt ? IN_INTERRUPT : host.irqs_off ? 0 : INTERRUPTS_ON;

	if (!class || !use || atomic_load_explicit(&classes[class].use, memory_order_relaxed) & use)
		return;
	use |= atomic_fetch_or_explicit(&classes[class].use, use, memory_order_relaxed);
	if (use == (IN_INTERRUPT | INTERRUPTS_ON))
		port_panic("%s is taken in interrupts, and with interrupts on",
		           host_class_name(class));
}

bool host_holds(const struct thread *t, const void *lock)
{
	for (unsigned i = 0; i < t->nr_held; i++)
		if (t->held[i].lock == lock)
			return true;
	return false;
}

/* Before a lock is waited for. */
static void wants(const void *lock, unsigned class)
{
	const struct thread *t = host.self;

	if (host_holds(t, lock))
		port_panic("%s is taken twice", host_class_name(class));
	for (unsigned i = 0; i < t->nr_held; i++)
		note_order(t->held[i].class, class);
}

static void has(const void *lock, unsigned class, bool spin)
{
	struct thread *t = host.self;

	if (t->nr_held == HELD_MAX)
		port_panic("more than %u locks at once", HELD_MAX);
	t->held[t->nr_held++] =
	        (struct held_lock){.lock = lock, .class = (uint8_t) class, .spin = spin};
}

/* Another may have taken it: pages are unlocked by whoever has read them. */
static void leaves(const void *lock)
{
	struct thread *t = host.self;
	unsigned i = t->nr_held;

	while (i-- > 0) {
		if (t->held[i].lock != lock)
			continue;
		t->nr_held--;
		for (; i < t->nr_held; i++)
			t->held[i] = t->held[i + 1];
		return;
	}
}

void host_may_sleep(const char *what)
{
	const struct thread *t = host.self;

	if (!watching())
		return;
	for (unsigned i = 0; i < t->nr_held; i++)
		if (t->held[i].spin)
			port_panic("%s may sleep, under %s", what,
			           host_class_name(t->held[i].class));
	if (host.irqs_off)
		port_panic("%s may sleep, %s", what,
		           host.interrupt ? "in an interrupt" : "with interrupts off");
}

/* --- spin locks ------------------------------------------------------------------------------------- */

static bool broken(const spinlock_t *l)
{
	const struct host_machine *h = this_host();

	return unlikely(h->mutant == MUTANT_NO_LOCK) && strstr(host_lock_name(l), h->mutant_lock);
}

static void spin_until_taken(spinlock_t *l)
{
	struct schedule *s = this_host()->schedule;

	while (!host_spin_take(l)) {
		if (s)
			schedule_wait_for(s, l);
		else
			while (spin_is_locked(l))
				cpu_relax();
	}
}

void host_spin_lock(spinlock_t *l)
{
	unsigned class = spin_class(l);

	if (watching()) {
		note_interrupts(class);
		wants(l, class);
	}
	host_point();
	if (broken(l))
		return;
	spin_until_taken(l);
	if (watching())
		has(l, class, true);
}

bool host_spin_trylock(spinlock_t *l)
{
	host_point();
	if (broken(l))
		return true;
	if (!host_spin_take(l))
		return false;
	if (watching())
		has(l, spin_class(l), true);
	return true;
}

void host_spin_unlock(spinlock_t *l)
{
	if (!broken(l)) {
		if (watching())
			leaves(l);
		host_spin_give(l);
	}
	host_point();
}

/* --- what the linker sends here: the name with __wrap_ is called, the name with __real_ does the work --------- */

/* Weak: a program that is linked without --wrap (a benchmark) calls none of these. */

#define REAL(type, name, ...)                                  \
	type __real_##name(__VA_ARGS__) __attribute__((weak)); \
	type __wrap_##name(__VA_ARGS__);                       \
	type __wrap_##name(__VA_ARGS__)

REAL(void, init_rwsem, struct rw_semaphore *s)
{
	__real_init_rwsem(s);
	set_outer_class(&s->wait, __builtin_return_address(0));
}

REAL(void, mutex_init, struct mutex *m)
{
	__real_mutex_init(m);
	set_outer_class(&m->wait, __builtin_return_address(0));
}

static void before_sleeping_lock(const void *lock, unsigned class, const char *what)
{
	if (!watching())
		return;
	host_may_sleep(what);
	wants(lock, class);
	host.self->wanted = lock;
	host.self->wanted_class = (uint8_t) class;
}

static bool after_try(const void *lock, unsigned class, bool taken)
{
	host.self->wanted = NULL;
	if (taken && watching())
		has(lock, class, false);
	return taken;
}

static void before_unlock(const void *lock)
{
	if (watching())
		leaves(lock);
}

REAL(void, down_read, struct rw_semaphore *s)
{
	before_sleeping_lock(s, outer_class(&s->wait), "down_read");
	__real_down_read(s);
	after_try(s, outer_class(&s->wait), true);
}

REAL(void, down_write, struct rw_semaphore *s)
{
	before_sleeping_lock(s, outer_class(&s->wait), "down_write");
	__real_down_write(s);
	after_try(s, outer_class(&s->wait), true);
}

REAL(int, down_write_killable, struct rw_semaphore *s)
{
	int error;

	before_sleeping_lock(s, outer_class(&s->wait), "down_write_killable");
	error = __real_down_write_killable(s);
	after_try(s, outer_class(&s->wait), error == 0);
	return error;
}

REAL(bool, down_read_trylock, struct rw_semaphore *s)
{
	return after_try(s, outer_class(&s->wait), __real_down_read_trylock(s));
}

REAL(bool, down_write_trylock, struct rw_semaphore *s)
{
	return after_try(s, outer_class(&s->wait), __real_down_write_trylock(s));
}

REAL(void, up_read, struct rw_semaphore *s)
{
	before_unlock(s);
	__real_up_read(s);
}

REAL(void, up_write, struct rw_semaphore *s)
{
	before_unlock(s);
	__real_up_write(s);
}

REAL(void, mutex_lock, struct mutex *m)
{
	before_sleeping_lock(m, outer_class(&m->wait), "mutex_lock");
	__real_mutex_lock(m);
	after_try(m, outer_class(&m->wait), true);
}

REAL(bool, mutex_trylock, struct mutex *m)
{
	return after_try(m, outer_class(&m->wait), __real_mutex_trylock(m));
}

REAL(void, mutex_unlock, struct mutex *m)
{
	before_unlock(m);
	__real_mutex_unlock(m);
}

REAL(void, lock_page, struct page *page)
{
	before_sleeping_lock(page, CLASS_PAGE, "lock_page");
	__real_lock_page(page);
	after_try(page, CLASS_PAGE, true);
}

REAL(bool, trylock_page, struct page *page)
{
	return after_try(page, CLASS_PAGE, __real_trylock_page(page));
}

REAL(void, unlock_page, struct page *page)
{
	before_unlock(page);
	__real_unlock_page(page);
}

/*
 * Who allocates is known by the return address (page owner, call sites of events): so these jump, and do not call.
 * The Makefile asks for that (-foptimize-sibling-calls), and the thread sanitizer must not come in between.
 */
#define JUMP __attribute__((no_sanitize("thread")))

static void may_reclaim(gfp_t gfp, const char *what)
{
	if (gfp & __GFP_DIRECT_RECLAIM)
		host_may_sleep(what);
}

REAL(JUMP struct page *, alloc_pages, gfp_t gfp, unsigned order)
{
	may_reclaim(gfp, "alloc_pages");
	return __real_alloc_pages(gfp, order);
}

REAL(JUMP void *, __kmem_cache_alloc, struct kmem_cache *cache, gfp_t gfp)
{
	may_reclaim(gfp, "kmem_cache_alloc");
	return __real___kmem_cache_alloc(cache, gfp);
}

REAL(JUMP void *, kmem_cache_zalloc, struct kmem_cache *cache, gfp_t gfp)
{
	may_reclaim(gfp, "kmem_cache_zalloc");
	return __real_kmem_cache_zalloc(cache, gfp);
}

REAL(JUMP void *, __kmalloc, size_t size, gfp_t gfp)
{
	may_reclaim(gfp, "kmalloc");
	return __real___kmalloc(size, gfp);
}

REAL(JUMP void *, kmalloc_special, size_t size, gfp_t gfp)
{
	may_reclaim(gfp, "kmalloc");
	return __real_kmalloc_special(size, gfp);
}

REAL(JUMP void *, kmalloc_trace, struct kmem_cache *cache, gfp_t gfp, size_t size)
{
	may_reclaim(gfp, "kmalloc");
	return __real_kmalloc_trace(cache, gfp, size);
}
