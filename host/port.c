/*
 * port.c - port.h on POSIX threads.
 *
 * A thread's permit is a flag under a mutex with a condition variable.
 */
#define _GNU_SOURCE
#include "host/internal.h"
#include "lib/words.h"

#include <quire/errno.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct thread {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool permit;
	bool kill;
};

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
	if (host_panic_hook)
		host_panic_hook(message);
	fprintf(stderr, "panic: %s\n", message);
	abort();
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

uint64_t port_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct thread *port_self(void)
{
	return host.self;
}

void port_block(void)
{
	struct thread *t = host.self;

	pthread_mutex_lock(&t->lock);
	while (!t->permit)
		pthread_cond_wait(&t->wake, &t->lock);
	t->permit = false;
	pthread_mutex_unlock(&t->lock);
}

void port_block_until(uint64_t deadline_ns)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
	                         .tv_nsec = (long)(deadline_ns % 1000000000u)};
	struct thread *t = host.self;

	pthread_mutex_lock(&t->lock);
	while (!t->permit)
		if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
			break;
	t->permit = false;
	pthread_mutex_unlock(&t->lock);
}

void port_unblock(struct thread *t)
{
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
	sched_yield();
}

struct kthread_start {
	struct host_thread_state state;
	void (*run)(void *arg);
	void *arg;
};

static void *kthread_main(void *arg)
{
	struct kthread_start start = *(struct kthread_start *)arg;

	free(arg);
	host = start.state;
	host.self = host_thread_self();
	start.run(start.arg);
	return NULL;
}

/* The new thread shares the CPU of its maker, who must leave mm/ to it (as two threads of one CPU do). */
int port_kthread_start(const char *name, void (*run)(void *arg), void *arg)
{
	struct kthread_start *start = malloc(sizeof(*start));
	pthread_t thread;

	(void)name;
	if (!start)
		return -ENOMEM;
	*start = (struct kthread_start){.state = host, .run = run, .arg = arg};
	if (pthread_create(&thread, NULL, kthread_main, start) != 0) {
		free(start);
		return -ENOMEM;
	}
	pthread_detach(thread);
	return 0;
}

/*
 * There are no interrupts to send: fn runs here once for each CPU with that CPU's identity. Right
 * only while the other CPUs are outside of mm/, which the callers' contract on this host asks for.
 */
void port_call_cpus(uint64_t mask, void (*fn)(void *arg), void *arg)
{
	struct host_thread_state saved = host;

	for (unsigned i = 0; i < saved.machine->nr_cpus; i++) {
		if (!(mask >> i & 1))
			continue;
		host_enter(host_of(saved.machine), i);
		host.self = saved.self;
		fn(arg);
	}
	host = saved;
}
