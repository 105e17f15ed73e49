/*
 * trace.c - the thread that writes the trace.
 */
#define _GNU_SOURCE
#include "cmd/quire/trace.h"
#include "cmd/quire/trace_rings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Waits between rounds: when little comes, and when a ring fills faster. */
#define ROUND_MS   5
#define BUSY_ABOVE 32 /* 256ths of a ring */

struct tracer {
	const struct guest *guest;
	char *path;
	int fd;
	int stop; /* an eventfd: QEMU has ended */
	bool live, threaded, found;
	pthread_t thread;
	struct trace_rings rings;
};

struct tracer *tracer_open(const char *dir)
{
	struct tracer *t = xcalloc(1, sizeof(*t));

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		die("--trace %s: %s: name a directory that can be made", dir, strerror(errno));
	t->path = xasprintf("%s/trace.txt", dir);
	t->fd = open(t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (t->fd < 0)
		die("--trace %s: %s: name a directory that can be written", dir, strerror(errno));
	t->stop = eventfd(0, EFD_CLOEXEC);
	if (t->stop < 0)
		die("eventfd: %s", strerror(errno));
	return t;
}

/* The kernel names its rings when it has booted: before the first program, so before any event that counts. */
static bool find_rings(struct tracer *t)
{
	const struct quire_header *h = guest_header(t->guest);

	if (!t->found && h &&
	    atomic_load_explicit(&h->state, memory_order_acquire) != QUIRE_BOOTING) {
		trace_rings_init(&t->rings, t->guest, h, t->fd);
		t->found = true;
	}
	return t->found;
}

static void *drain(void *arg)
{
	struct tracer *t = arg;
	struct pollfd f = {.fd = t->stop, .events = POLLIN};
	int wait = ROUND_MS;

	while (poll(&f, 1, wait) == 0) {
		bool busy = find_rings(t) && trace_rings_round(&t->rings, false, true) > BUSY_ABOVE;

		wait = busy ? 0 : ROUND_MS;
	}
	return NULL;
}

void tracer_start(struct tracer *t, const struct guest *g, bool live)
{
	t->guest = g;
	t->live = live;
	if (live)
		t->threaded = pthread_create(&t->thread, NULL, drain, t) == 0;
}

static void say_result(const struct tracer *t)
{
	const struct trace_rings *r = &t->rings;

	if (r->damaged)
		say("%s: a trace ring was damaged by the guest: events are missing", t->path);
	if (r->dropped)
		say("%s: %llu events written, %llu lost: raise --trace-size", t->path,
		    (unsigned long long)r->records, (unsigned long long)r->dropped);
	if (r->error)
		say("cannot write %s: %s", t->path, strerror(r->error));
}

bool tracer_finish(struct tracer *t)
{
	uint64_t one = 1;
	bool good;

	if (t->threaded && write(t->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(t->thread, NULL);
	if (find_rings(t)) {
		trace_rings_round(&t->rings, true, t->live);
		say_result(t);
		trace_rings_free(&t->rings);
	}
	good = !t->rings.error && close(t->fd) == 0;
	free(t->path);
	free(t);
	return good;
}
