/*
 * select.c - poll(2), select(2): waiting for any of many files.
 *
 * One round asks each file what is ready, and, the first time, has the caller's thread queued on each file's wait queues. Entries for
 * eight queues are on the stack, more come in pages.
 */
#include "fs/internal.h"
#include "kernel/time.h"
#include <quire/slab.h>

struct poll_entry {
	struct waiter waiter;
	struct wait_queue *q;
	struct file *file; /* a reference: the queue lives as long */
};

#define INLINE_ENTRIES 8
#define PAGE_ENTRIES   ((PAGE_SIZE - 16) / sizeof(struct poll_entry))

struct poll_page {
	struct poll_page *next;
	unsigned n;
	struct poll_entry entries[PAGE_ENTRIES];
};

struct poll_wqueues {
	struct poll_table pt;
	struct poll_page *pages;
	unsigned n;
	int error;
	struct poll_entry entries[INLINE_ENTRIES];
};

unsigned vfs_poll(struct file *file, struct poll_table *pt)
{
	if (!file->f_op->poll)
		return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	return file->f_op->poll(file, pt);
}

static struct poll_entry *get_entry(struct poll_wqueues *pwq)
{
	struct poll_page *page = pwq->pages;

	if (pwq->n < INLINE_ENTRIES)
		return &pwq->entries[pwq->n++];
	if (!page || page->n == PAGE_ENTRIES) {
		page = kmalloc(sizeof(*page), GFP_KERNEL);
		if (!page) {
			pwq->error = -ENOMEM;
			return NULL;
		}
		page->n = 0;
		page->next = pwq->pages;
		pwq->pages = page;
	}
	return &page->entries[page->n++];
}

static void poll_queue(struct file *file, struct wait_queue *q, struct poll_table *pt)
{
	struct poll_wqueues *pwq = container_of(pt, struct poll_wqueues, pt);
	struct poll_entry *e = get_entry(pwq);

	if (!e)
		return;
	e->q = q;
	e->file = get_file(file);
	wait_begin(q, &e->waiter);
}

static void poll_init_wait(struct poll_wqueues *pwq)
{
	pwq->pt.qproc = poll_queue;
	pwq->pages = NULL;
	pwq->n = 0;
	pwq->error = 0;
}

static void free_entry(struct poll_entry *e)
{
	wait_end(e->q, &e->waiter);
	fput(e->file);
}

static void poll_free_wait(struct poll_wqueues *pwq)
{
	for (unsigned i = 0; i < pwq->n; i++)
		free_entry(&pwq->entries[i]);
	while (pwq->pages) {
		struct poll_page *page = pwq->pages;

		for (unsigned i = 0; i < page->n; i++)
			free_entry(&page->entries[i]);
		pwq->pages = page->next;
		kfree(page);
	}
}

/*
 * Rounds until something is ready, the deadline, a signal (-EINTR) or an error. round() counts what is ready; its poll_table
 * is NULL after the first time.
 */
static int poll_loop(struct poll_wqueues *pwq, uint64_t deadline,
                     int (*round)(void *ctx, struct poll_table *pt), void *ctx)
{
	struct poll_table *pt = deadline ? &pwq->pt : NULL;
	int n;

	for (;;) {
		n = round(ctx, pt);
		pt = NULL;
		if (n)
			return n;
		if (pwq->error)
			return pwq->error;
		if (signal_pending(current))
			return -EINTR;
		if (deadline != UINT64_MAX && port_now_ns() >= deadline)
			return 0;
		block_interruptible_until(deadline);
	}
}

/* --- poll --------------------------------------------------------------------------------------------------------- */

struct pollfd {
	int32_t fd;
	int16_t events, revents;
};

struct poll_set {
	struct pollfd *fds;
	unsigned n;
};

static unsigned poll_one(struct pollfd *p, struct poll_table *pt)
{
	unsigned mask = (uint16_t)p->events | POLLERR | POLLHUP;
	struct fd f;

	if (p->fd < 0)
		return 0;
	f = fdget(p->fd);
	if (!f.file)
		return POLLNVAL;
	mask &= vfs_poll(f.file, pt);
	fdput(f);
	return mask;
}

static int poll_round(void *ctx, struct poll_table *pt)
{
	struct poll_set *set = ctx;
	int ready = 0;

	for (unsigned i = 0; i < set->n; i++) {
		set->fds[i].revents = (int16_t)poll_one(&set->fds[i], pt);
		if (set->fds[i].revents) {
			ready++;
			pt = NULL; /* there will be no sleep */
		}
	}
	return ready;
}

#define INLINE_FDS 16

static int64_t do_poll(vaddr_t ufds, uint32_t n, uint64_t deadline)
{
	struct pollfd stack_fds[INLINE_FDS], *fds = stack_fds;
	struct poll_wqueues pwq;
	struct poll_set set;
	int64_t ready;

	if (n > rlimit(RLIMIT_NOFILE))
		return -EINVAL;
	if (n > INLINE_FDS) {
		fds = kmalloc(n * sizeof(*fds), GFP_KERNEL);
		if (!fds)
			return -ENOMEM;
	}
	ready = -EFAULT;
	if (copy_from_user(fds, ufds, n * sizeof(*fds)))
		goto out;
	set = (struct poll_set){fds, n};
	poll_init_wait(&pwq);
	ready = poll_loop(&pwq, deadline, poll_round, &set);
	poll_free_wait(&pwq);
	for (unsigned i = 0; i < n && ready >= 0; i++)
		if (copy_to_user(ufds + i * sizeof(*fds) + 6, &fds[i].revents, 2))
			ready = -EFAULT;
out:
	if (fds != stack_fds)
		kfree(fds);
	return ready;
}

static int64_t restart_poll(struct task_struct *task)
{
	int64_t n =
	        do_poll(task->restart.arg[0], (uint32_t)task->restart.arg[1], task->restart.arg[2]);

	return n == -EINTR ? -ERESTART_RESTARTBLOCK : n;
}

SYSCALL3(poll, vaddr_t, fds, uint32_t, n, int32_t, timeout_ms)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX
	                    : timeout_ms   ? deadline_after((uint64_t)timeout_ms * NSEC_PER_MSEC)
	                                   : 0;
	int64_t ready = do_poll(fds, n, deadline);

	if (ready != -EINTR)
		return ready;
	current->restart.fn = restart_poll;
	current->restart.arg[0] = fds;
	current->restart.arg[1] = n;
	current->restart.arg[2] = deadline;
	return -ERESTART_RESTARTBLOCK;
}

/* A deadline from a timespec that may be NULL: 0 for "do not sleep". */
static int deadline_from_user(uint64_t *deadline, vaddr_t ts)
{
	struct timespec64 t;
	int err;

	*deadline = UINT64_MAX;
	if (!ts)
		return 0;
	err = get_timespec_user(&t, ts);
	if (err)
		return err;
	*deadline = t.tv_sec || t.tv_nsec ? deadline_after(timespec_to_ns(&t)) : 0;
	return 0;
}

/* Linux writes back what is left of the time. */
static void put_time_left(vaddr_t ts, uint64_t deadline)
{
	uint64_t now = port_now_ns();
	struct timespec64 t = ns_to_timespec(deadline > now ? deadline - now : 0);

	if (ts && deadline != UINT64_MAX)
		(void)!put_timespec_user(ts, &t);
}

SYSCALL5(ppoll, vaddr_t, fds, uint32_t, n, vaddr_t, ts, vaddr_t, sigmask_addr, size_t, sigsetsize)
{
	uint64_t deadline;
	int64_t ready = deadline_from_user(&deadline, ts);

	if (!ready)
		ready = set_user_sigmask(sigmask_addr, sigsetsize);
	if (ready)
		return ready;
	ready = do_poll(fds, n, deadline);
	restore_saved_sigmask_unless(ready == -EINTR);
	put_time_left(ts, deadline);
	return ready == -EINTR ? -ERESTARTNOHAND : ready;
}

/* --- select ---------------------------------------------------------------------------------------------------------- */

#define SEL_IN  (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SEL_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SEL_EX  POLLPRI

struct select_set {
	unsigned n;
	uint64_t *in[3], *out[3]; /* reading, writing, exceptions */
};

static const unsigned select_masks[3] = {SEL_IN, SEL_OUT, SEL_EX};

/* Ready sets of one descriptor; -EBADF. */
static int select_one(struct select_set *set, unsigned fd, struct poll_table *pt)
{
	uint64_t bit = 1ull << (fd & 63);
	unsigned wanted = 0, mask;
	struct fd f;
	int ready = 0;

	for (int k = 0; k < 3; k++)
		if (set->in[k][fd / 64] & bit)
			wanted |= 1u << k;
	if (!wanted)
		return 0;
	f = fdget((int)fd);
	if (!f.file)
		return -EBADF;
	mask = vfs_poll(f.file, pt);
	fdput(f);
	for (int k = 0; k < 3; k++) {
		if (wanted & 1u << k && mask & select_masks[k]) {
			set->out[k][fd / 64] |= bit;
			ready++;
		}
	}
	return ready;
}

static int select_round(void *ctx, struct poll_table *pt)
{
	struct select_set *set = ctx;
	int ready = 0;

	for (unsigned fd = 0; fd < set->n; fd++) {
		int n = select_one(set, fd, pt);

		if (n < 0)
			return n;
		ready += n;
		if (ready)
			pt = NULL;
	}
	return ready;
}

static int64_t select_with(struct select_set *set, uint64_t *bits, const vaddr_t user[3],
                           uint64_t deadline)
{
	size_t words = DIV_ROUND_UP(set->n, 64), bytes = words * 8;
	struct poll_wqueues pwq;
	int64_t ready;

	memset(bits, 0, 6 * bytes);
	for (int k = 0; k < 3; k++) {
		set->in[k] = bits + (size_t)k * words;
		set->out[k] = bits + (size_t)(k + 3) * words;
		if (user[k] && copy_from_user(set->in[k], user[k], bytes))
			return -EFAULT;
	}
	if (set->n & 63)
		for (int k = 0; k < 3; k++)
			set->in[k][words - 1] &= (1ull << (set->n & 63)) - 1;
	poll_init_wait(&pwq);
	ready = poll_loop(&pwq, deadline, select_round, set);
	poll_free_wait(&pwq);
	for (int k = 0; k < 3 && ready >= 0; k++)
		if (user[k] && copy_to_user(user[k], set->out[k], bytes))
			ready = -EFAULT;
	return ready;
}

static int64_t do_select(int32_t n, vaddr_t in, vaddr_t out, vaddr_t ex, uint64_t deadline)
{
	const vaddr_t user[3] = {in, out, ex};
	uint64_t stack_bits[6 * 4], *bits = stack_bits;
	struct select_set set;
	int64_t ready;

	if (n < 0)
		return -EINVAL;
	set.n = MIN((unsigned)n, files_max(current->files));
	if (set.n > 4 * 64) {
		bits = kmalloc(6 * DIV_ROUND_UP(set.n, 64) * 8, GFP_KERNEL);
		if (!bits)
			return -ENOMEM;
	}
	ready = select_with(&set, bits, user, deadline);
	if (bits != stack_bits)
		kfree(bits);
	return ready == -EINTR ? -ERESTARTNOHAND : ready;
}

SYSCALL5(select, int32_t, n, vaddr_t, in, vaddr_t, out, vaddr_t, ex, vaddr_t, utv)
{
	uint64_t deadline = UINT64_MAX, ns;
	struct timeval64 tv;
	int64_t ready;

	if (utv) {
		if (copy_from_user(&tv, utv, sizeof(tv)))
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0)
			return -EINVAL;
		ns = timespec_to_ns(&(struct timespec64){tv.tv_sec + tv.tv_usec / 1000000,
		                                         tv.tv_usec % 1000000 * 1000});
		deadline = ns ? deadline_after(ns) : 0;
	}
	ready = do_select(n, in, out, ex, deadline);
	if (utv) {
		uint64_t now = port_now_ns();

		tv = ns_to_timeval(deadline > now ? deadline - now : 0);
		(void)!copy_to_user(utv, &tv, sizeof(tv));
	}
	return ready;
}

SYSCALL6(pselect6, int32_t, n, vaddr_t, in, vaddr_t, out, vaddr_t, ex, vaddr_t, ts, vaddr_t, usig)
{
	uint64_t deadline, sig[2] = {0, 8};
	int64_t ready = deadline_from_user(&deadline, ts);

	if (ready)
		return ready;
	if (usig && copy_from_user(sig, usig, sizeof(sig)))
		return -EFAULT;
	ready = set_user_sigmask(sig[0], sig[1]);
	if (ready)
		return ready;
	ready = do_select(n, in, out, ex, deadline);
	restore_saved_sigmask_unless(ready == -ERESTARTNOHAND);
	put_time_left(ts, deadline);
	return ready;
}
