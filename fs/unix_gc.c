/*
 * unix_gc.c - files in messages: freeing them, and finding sockets that nobody can reach any more.
 *
 * A message holds its files. A socket may so be held by a message in its own queue, or in that of a socket which lies in its
 * queue: when all descriptors are closed no count becomes zero, and nobody can receive. These are searched for whenever a
 * descriptor of a socket is closed while any socket is in flight:
 *
 *  1. A candidate is a socket all of whose file's references are those of messages in queues.
 *  2. From each candidate's count take the references that lie in candidates' queues. What is left comes from outside.
 *  3. A candidate with something left can be received; so can all that lies in its queue, and so on.
 *  4. The other candidates' messages with files are freed, and with them the sockets.
 *
 * All under unix_lock, which whoever puts a message into a queue, or takes its files out, holds; and a new reference to a candidate
 * can come out of a queue alone. A message that was taken from its queue and is not freed yet counts as outside.
 */
#include "fs/unix.h"
#include <quire/kva.h>
#include <quire/slab.h>

static LIST_HEAD(inflight); /* unix_lock: sockets in messages in queues */

void unix_note_inflight(struct unix_msg *m, int by)
{
	for (unsigned i = 0; i < m->nr_files; i++) {
		struct unix_sock *u = unix_of(m->files[i]);

		if (!u)
			continue;
		if (!u->inflight)
			list_add_tail(&u->inflight_link, &inflight);
		u->inflight += (unsigned)by;
		if (!u->inflight)
			list_del_init(&u->inflight_link);
	}
}

static spinlock_t dead_lock; /* of unix_free_msg() */

static void free_msg_files(struct unix_msg *m)
{
	if (m->nr_files) {
		mutex_lock(&unix_lock);
		unix_note_inflight(m, -1);
		mutex_unlock(&unix_lock);
	}
	for (unsigned i = 0; i < m->nr_files; i++)
		fput(m->files[i]);
	kfree(m->files);
	kvfree(m);
}

/*
 * A file in a message may be the last reference to a socket with messages with files, and so on for ever: they are taken from
 * a list one after another, not one inside the other. Who finds a task at it leaves his message to that task.
 */
void unix_free_msg(struct unix_msg *m)
{
	static LIST_HEAD(dead);
	static bool busy;

	if (!m->nr_files) {
		free_msg_files(m);
		return;
	}
	spin_lock(&dead_lock);
	list_add_tail(&m->link, &dead);
	while (!busy && !list_empty(&dead)) {
		m = list_first_entry(&dead, struct unix_msg, link);
		list_del(&m->link);
		busy = true;
		spin_unlock(&dead_lock);
		free_msg_files(m);
		spin_lock(&dead_lock);
		busy = false;
	}
	spin_unlock(&dead_lock);
}

/* --- collecting -------------------------------------------------------------------------------------------------- */

static void scan_queue(struct unix_sock *u, void (*fn)(struct unix_sock *held, struct list_head *),
                       struct list_head *arg)
{
	struct unix_msg *m;

	list_for_each_entry(m, &u->queue, link) {
		for (unsigned i = 0; i < m->nr_files; i++) {
			struct unix_sock *held = unix_of(m->files[i]);

			if (held && held->gc == UNIX_GC_CANDIDATE)
				fn(held, arg);
		}
	}
}

/* Candidates that lie in u's queue, or in those of connections that it has not accepted. */
static void for_each_held(struct unix_sock *u,
                          void (*fn)(struct unix_sock *held, struct list_head *),
                          struct list_head *arg)
{
	struct unix_sock *embryo;

	scan_queue(u, fn, arg);
	list_for_each_entry(embryo, &u->pending, link)
		scan_queue(embryo, fn, arg);
}

static void not_from_outside(struct unix_sock *held, struct list_head *unused UNUSED)
{
	held->gc_outside--;
}

static void reach(struct unix_sock *held, struct list_head *todo)
{
	held->gc = UNIX_GC_REACHED;
	list_add_tail(&held->gc_link, todo);
}

static void mark_reachable(void)
{
	LIST_HEAD(todo);
	struct unix_sock *u;

	list_for_each_entry(u, &inflight, inflight_link)
		if (u->gc == UNIX_GC_CANDIDATE && u->gc_outside)
			reach(u, &todo);
	while ((u = list_first_entry_or_null(&todo, struct unix_sock, gc_link))) {
		list_del(&u->gc_link);
		for_each_held(u, reach, &todo);
	}
}

static void take_messages(struct unix_sock *u, struct list_head *garbage)
{
	struct unix_msg *m, *next;

	list_for_each_entry_safe(m, next, &u->queue, link) {
		if (m->nr_files) {
			list_move_tail(&m->link, garbage);
			u->queued -= m->len;
		}
	}
}

static void find_garbage(struct list_head *garbage)
{
	struct unix_sock *u, *embryo;

	list_for_each_entry(u, &inflight, inflight_link) {
		bool all = (unsigned)refcount_read(&u->file->vm.count) == u->inflight;

		u->gc = all ? UNIX_GC_CANDIDATE : UNIX_GC_REACHED;
		u->gc_outside = u->inflight;
	}
	list_for_each_entry(u, &inflight, inflight_link)
		if (u->gc == UNIX_GC_CANDIDATE)
			for_each_held(u, not_from_outside, NULL);
	mark_reachable();
	list_for_each_entry(u, &inflight, inflight_link) {
		if (u->gc != UNIX_GC_CANDIDATE)
			continue;
		take_messages(u, garbage);
		list_for_each_entry(embryo, &u->pending, link)
			take_messages(embryo, garbage);
	}
}

void unix_gc(void)
{
	LIST_HEAD(garbage);
	struct unix_msg *m, *next;

	if (list_empty(&inflight))
		return;
	mutex_lock(&unix_lock);
	find_garbage(&garbage);
	mutex_unlock(&unix_lock);
	list_for_each_entry_safe(m, next, &garbage, link)
		unix_free_msg(m);
}
