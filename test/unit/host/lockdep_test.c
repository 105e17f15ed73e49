/*
 * lockdep_test.c - what the hosted machine must say when a rule of locking is broken, and when all wait for each other.
 */
#include "host/internal.h"
#include "lib/string.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/sync.h>

#include <setjmp.h>

static jmp_buf out;
static char said[512];
static spinlock_t a, b, c, same[2];
static struct rw_semaphore sem;

static void note(const char *message)
{
	strscpy(said, message, sizeof(said));
	longjmp(out, 1);
}

static void setup(void)
{
	spin_lock_init(&a);
	spin_lock_init(&b);
	spin_lock_init(&c);
	for (unsigned i = 0; i < 2; i++)
		spin_lock_init(&same[i]);
	init_rwsem(&sem);
}

/* What fn makes a machine of two CPUs say before it stops; "" if it does not. */
static const char *panic_of(void (*fn)(void), uint64_t schedule)
{
	if (!own_enter(&(struct host_config){
	            .ram = 4ull << 20, .cpus = 2, .watch_locks = true, .schedule = schedule}))
		return "no machine";
	setup();
	said[0] = '\0';
	host_panic_hook = note;
	if (!setjmp(out))
		fn();
	host_panic_hook = NULL;
	own_leave();
	return said;
}

#define CHECK_SAYS(fn, schedule, text)                                     \
	do {                                                               \
		const char *says_ = panic_of(fn, schedule);                \
		CHECK_MSG(strstr(says_, text), #fn " says \"%s\"", says_); \
	} while (0)

static void take_two(spinlock_t *first, spinlock_t *second)
{
	spin_lock(first);
	spin_lock(second);
	spin_unlock(second);
	spin_unlock(first);
}

/* Never at once: nobody waits, and it is found all the same. */
static void take_in_a_circle(void)
{
	take_two(&a, &b);
	take_two(&b, &c);
	take_two(&c, &a);
}

static void allocate_under_spin_lock(void)
{
	spin_lock(&a);
	(void)!alloc_page(GFP_KERNEL);
}

static void allocate_atomic_under_spin_lock(void)
{
	struct page *page;

	spin_lock(&a);
	page = alloc_page(GFP_ATOMIC);
	spin_unlock(&a);
	__free_page(page);
}

static void sleep_under_spin_lock(void)
{
	spin_lock(&a);
	port_block_until(port_now_ns() + 1);
}

static void sleep_with_interrupts_off(void)
{
	irq_save();
	down_read(&sem);
}

static void take_b(UNUSED void *arg)
{
	spin_lock(&b);
	spin_unlock(&b);
}

static void take_with_and_in_interrupts(void)
{
	take_b(NULL);
	port_call_cpus(2, take_b, NULL);
}

static void read_twice(void)
{
	down_read(&sem);
	down_read(&sem);
}

UNIT_TEST(rules_are_checked)
{
	CHECK_SAYS(take_in_a_circle, 0, "lock order: &a of");
	CHECK_SAYS(allocate_under_spin_lock, 0, "alloc_pages may sleep, under &a");
	CHECK_STR(panic_of(allocate_atomic_under_spin_lock, 0), "");
	CHECK_SAYS(sleep_under_spin_lock, 0, "port_block_until may sleep, under &a");
	CHECK_SAYS(sleep_with_interrupts_off, 0, "down_read may sleep, with interrupts off");
	CHECK_SAYS(take_with_and_in_interrupts, 0, "taken in interrupts, and with interrupts on");
	CHECK_SAYS(read_twice, 0, "is taken twice");
}

/* Two locks of one class, which have no order: a deadlock, when the schedule is so unlucky. */
static void take_the_other_way(UNUSED void *arg)
{
	for (unsigned i = 0; i < 1000; i++)
		take_two(&same[1], &same[0]);
}

static void take_both_ways(void)
{
	struct host_task *task = host_run_on(own, 1, take_the_other_way, NULL);

	for (unsigned i = 0; i < 1000; i++)
		take_two(&same[0], &same[1]);
	host_join(task);
}

/* One wants to write where the other reads, and that one waits for the first. */
static _Atomic bool asleep;

static void read_and_wait_for_ever(UNUSED void *arg)
{
	down_read(&sem);
	atomic_store(&asleep, true);
	port_block();
}

static void write_while_read(void)
{
	atomic_store(&asleep, false);
	host_run_on(own, 1, read_and_wait_for_ever, NULL);
	while (!atomic_load(&asleep))
		port_cond_resched();
	down_write(&sem);
}

static void sleep_for_ever(void)
{
	port_block();
}

UNIT_TEST(deadlocks_are_described)
{
	if (!host_can_schedule())
		return;
	for (uint64_t i = 1; i < 100; i++)
		if (*panic_of(take_both_ways, i))
			break;
	CHECK_MSG(strstr(said, "CPU 0 waits for &same[i] of") && strstr(said, ", which CPU 1 has"),
	          "\"%s\"", said);
	CHECK_SAYS(sleep_for_ever, 1, "deadlock; CPU 0 sleeps");
	CHECK_SAYS(write_while_read, 1, "deadlock; CPU 0 waits for");
	CHECK_MSG(strstr(said, ", which CPU 1 has; CPU 1 sleeps, holding"), "\"%s\"", said);
}
