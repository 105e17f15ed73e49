/*
 * port.c - port.h on POSIX threads.
 *
 * A thread's permit is a flag under a mutex with a condition variable.
 */
#define _GNU_SOURCE
#include "host/internal.h"
#include "host/schedule.h"
#include "lib/words.h"

#include <quire/errno.h>

#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

bool host_log_to_stderr;
_Thread_local void (*host_log_hook)(const char *line);
_Thread_local void (*host_panic_hook)(const char *message);

static pthread_key_t self_key;
static pthread_once_t self_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	pthread_key_create(&self_key, free);
}

/* Made on first use, freed when the pthread ends. */
struct thread *host_thread_self(void)
{
	pthread_condattr_t attr;
	struct thread *t;

	pthread_once(&self_once, make_key);
	t = pthread_getspecific(self_key);
	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_setspecific(self_key, t);
	return t;
}

void port_panic(const char *format, ...)
{
	char message[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	if (machine() && this_host()->schedule)
		schedule_panic(this_host()->schedule, message);
	if (host_panic_hook)
		host_panic_hook(message);
	fprintf(stderr, "panic: %s\n", message);
	abort();
}

/* Two mappings show memory here, the manager's and that of the soft MMU's programs: guarding one would be half a check. */
bool port_direct_map_splits(void)
{
	return false;
}

void port_map_direct(UNUSED pfn_t pfn, UNUSED unsigned n, UNUSED bool present)
{
	port_panic("debug_pagealloc: not on the hosted machine");
}

/* By the C library's unwinder: its own frames have no frame pointers. */
unsigned port_stack_trace(uintptr_t *address, unsigned n)
{
	const int got = backtrace((void **)address, (int)n);

	return got > 0 ? (unsigned)got : 0;
}

/* The C library knows the names of what is exported alone; those of static functions are in the file's debugging data. */
const char *port_symbol(UNUSED uintptr_t address, UNUSED size_t *offset, UNUSED size_t *size)
{
	return NULL;
}

void port_log(const char *format, ...)
{
	char line[512];
	va_list ap;

	if (!host_log_to_stderr && !host_log_hook)
		return;
	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (host_log_hook)
		host_log_hook(line);
	if (host_log_to_stderr)
		fprintf(stderr, "%s\n", line);
}

int64_t port_boot_param(const char *key, char *buf, size_t size)
{
	const char *words = host_of(machine())->boot_words;

	return words ? word_value(words, key, buf, size) : -ENOENT;
}

static struct schedule *schedule(void)
{
	return host.machine ? this_host()->schedule : NULL;
}

uint64_t port_now_ns(void)
{
	struct timespec now;

	if (schedule())
		return schedule_now(schedule());
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct thread *port_self(void)
{
	return host.self;
}

bool *port_memalloc(void)
{
	return &host_thread_self()->memalloc;
}

/* Until the permit is there or, if there is one, the time has come. The CPU is others' meanwhile. */
static void wait_for_permit(struct thread *t, const struct timespec *until)
{
	bool had = host_cpu_idle();

	pthread_mutex_lock(&t->lock);
	while (!t->permit)
		if (!until)
			pthread_cond_wait(&t->wake, &t->lock);
		else if (pthread_cond_timedwait(&t->wake, &t->lock, until) == ETIMEDOUT)
			break;
	t->permit = false;
	pthread_mutex_unlock(&t->lock);
	host_cpu_busy(had);
}

void port_block(void)
{
	host_may_sleep("port_block");
	if (schedule())
		schedule_block(schedule(), UINT64_MAX);
	else
		wait_for_permit(host.self, NULL);
}

void port_block_until(uint64_t deadline_ns)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
	                         .tv_nsec = (long)(deadline_ns % 1000000000u)};

	host_may_sleep("port_block_until");
	if (schedule())
		schedule_block(schedule(), deadline_ns);
	else
		wait_for_permit(host.self, &until);
}

void port_unblock(struct thread *t)
{
	if (t->fibre) {
		schedule_unblock(t->fibre);
		return;
	}
	pthread_mutex_lock(&t->lock);
	t->permit = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

bool port_fatal_signal_pending(void)
{
	return host.self->kill;
}

void port_cond_resched(void)
{
	bool had;

	host_may_sleep("port_cond_resched");
	if (schedule()) {
		schedule_yield(schedule());
		return;
	}
	had = host_cpu_idle();
	sched_yield();
	host_cpu_busy(had);
}

struct kthread_start {
	struct host_machine *h;
	unsigned cpu;
	void (*run)(void *arg);
	void *arg;
};

static void *kthread_main(void *arg)
{
	struct kthread_start start = *(struct kthread_start *)arg;

	free(arg);
	host_enter(start.h, start.cpu);
	start.run(start.arg);
	host_cpu_release();
	return NULL;
}

/* The new thread is one of its maker's CPU: it runs when that one waits. */
void port_set_cpus(uint64_t mask)
{
	if (!(mask >> host.cpu & 1))
		host_enter(this_host(), (unsigned)__builtin_ctzll(mask));
}

int port_kthread_start(const char *name, void (*run)(void *arg), void *arg)
{
	struct kthread_start *start;
	pthread_t thread;

	(void)name;
	if (schedule())
		return schedule_start(schedule(), cpu_id(), run, arg) ? 0 : -ENOMEM;
	start = malloc(sizeof(*start));
	if (!start)
		return -ENOMEM;
	*start = (struct kthread_start){.h = this_host(), .cpu = cpu_id(), .run = run, .arg = arg};
	if (pthread_create(&thread, NULL, kthread_main, start) != 0) {
		free(start);
		return -ENOMEM;
	}
	pthread_detach(thread);
	return 0;
}
