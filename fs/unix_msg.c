/*
 * unix_msg.c - messages of sockets between processes: sending, receiving, and sockets as files.
 *
 * A message lies in the queue of its receiver; a sender waits while that holds as much as its SO_SNDBUF or more. Files that travel
 * with a message are held by it (unix_gc.c).
 */
#include "fs/unix.h"
#include <quire/kva.h>
#include <quire/slab.h>

#define UNIX_SEGMENT (32 * 1024u) /* of a stream, a message */

/* --- sending -------------------------------------------------------------------------------------------------------------- */

static struct unix_msg *make_msg(struct unix_sock *u, struct iov_iter *from, size_t n)
{
	struct unix_msg *m = kvmalloc(sizeof(*m) + n, GFP_KERNEL);

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->len = n;
	m->off = 0;
	m->files = NULL;
	m->nr_files = 0;
	m->from = u->addr;
	if (copy_from_iter(m->data, n, from) < n) {
		kvfree(m);
		return ERR_PTR(-EFAULT);
	}
	return m;
}

/* May u send to `to` at all? unix_lock held. */
static int may_send(struct unix_sock *u, struct unix_sock *to)
{
	if (u->shutdown & SEND_SHUTDOWN)
		return -EPIPE;
	if (!to)
		return u->peer_gone ? (u->type == SOCK_DGRAM ? -ECONNREFUSED : -EPIPE) : -ENOTCONN;
	return to->shutdown & RCV_SHUTDOWN ? -EPIPE : 0;
}

static bool has_room(const struct unix_sock *u, const struct unix_sock *to)
{
	return to->queued < u->sndbuf;
}

/* Put m into the queue of `to` (NULL: the peer): 0 or -errno, m stays the caller's. */
static int enqueue(struct unix_sock *u, struct unix_sock *dest, struct unix_msg *m, bool nonblock)
{
	struct unix_sock *to;
	int err;

	mutex_lock(&unix_lock);
	for (;;) {
		to = dest ? dest : u->peer;
		err = may_send(u, to);
		if (err || has_room(u, to))
			break;
		if (nonblock) {
			err = -EAGAIN;
			break;
		}
		refcount_inc(&to->count);
		err = wait_event_mutex(&to->wait, &unix_lock,
		                       has_room(u, to) || may_send(u, dest ? dest : u->peer));
		mutex_unlock(&unix_lock);
		unix_put(to);
		if (err)
			return err;
		mutex_lock(&unix_lock);
	}
	if (!err) {
		list_add_tail(&m->link, &to->queue);
		unix_note_inflight(m, 1);
		to->queued += m->len;
		wake_up_all(&to->wait);
	}
	mutex_unlock(&unix_lock);
	return err;
}

static int send_one(struct unix_sock *u, struct unix_sock *dest, struct unix_send *s, size_t n)
{
	struct unix_msg *m = make_msg(u, s->from, n);
	int err;

	if (IS_ERR(m))
		return (int)PTR_ERR(m);
	m->files = s->files;
	m->nr_files = s->nr_files;
	err = enqueue(u, dest, m, s->nonblock);
	if (err) {
		kvfree(m); /* the files are still the caller's */
		return err;
	}
	s->files = NULL;
	s->nr_files = 0;
	return 0;
}

static int64_t send_stream(struct unix_sock *u, struct unix_send *s)
{
	int64_t total = 0;
	int err = 0;

	while (iov_iter_count(s->from) && !err) {
		size_t n = MIN(iov_iter_count(s->from), (size_t)UNIX_SEGMENT);

		err = send_one(u, NULL, s, n);
		if (!err)
			total += (int64_t)n;
	}
	if (err == -EPIPE && !s->nosignal)
		(void)broken_pipe();
	return total ? total : err;
}

int64_t unix_send(struct unix_sock *u, struct unix_send *s)
{
	struct unix_sock *dest = NULL;
	size_t n = iov_iter_count(s->from);
	int err;

	if (u->type == SOCK_STREAM)
		return s->to ? (u->state == UNIX_CONNECTED ? -EISCONN : -ENOTSUP)
		             : send_stream(u, s);
	if (n > READ_ONCE(u->sndbuf))
		return -EMSGSIZE;
	if (s->to && u->type == SOCK_DGRAM) {
		dest = unix_find_bound(s->to);
		if (IS_ERR(dest))
			return PTR_ERR(dest);
	}
	err = send_one(u, dest, s, n);
	unix_put(dest);
	if (err == -EPIPE && !s->nosignal)
		(void)broken_pipe();
	return err ? err : (int64_t)n;
}

/* --- receiving -------------------------------------------------------------------------------------------------------------- */

static bool no_more(struct unix_sock *u)
{
	return u->shutdown & RCV_SHUTDOWN || (u->type != SOCK_DGRAM && !u->peer);
}

static bool unix_take_reset_locked(struct unix_sock *u)
{
	bool reset = u->reset;

	u->reset = false;
	return reset;
}

int unix_take_error(struct unix_sock *u)
{
	bool reset;

	mutex_lock(&unix_lock);
	reset = unix_take_reset_locked(u);
	mutex_unlock(&unix_lock);
	return reset ? ECONNRESET : 0;
}

/* Wait for a message: 1, 0 at the end, -errno. unix_lock held. */
static int wait_message(struct unix_sock *u, bool nonblock)
{
	if (u->type != SOCK_STREAM &&
	    unix_take_reset_locked(u)) /* before what is queued, as Linux */
		return -ECONNRESET;
	if (list_empty(&u->queue) && !no_more(u)) {
		int err = nonblock ? -EAGAIN
		                   : wait_event_mutex(&u->wait, &unix_lock,
		                                      !list_empty(&u->queue) || no_more(u));

		if (err)
			return err;
	}
	if (!list_empty(&u->queue))
		return 1;
	if (unix_take_reset_locked(u))
		return -ECONNRESET;
	return u->type != SOCK_DGRAM && u->state != UNIX_CONNECTED && !u->peer_gone ? -ENOTCONN : 0;
}

static struct unix_msg *first_msg(struct unix_sock *u)
{
	struct unix_msg *m;

	mutex_lock(&unix_lock);
	m = list_first_entry_or_null(&u->queue, struct unix_msg, link);
	mutex_unlock(&unix_lock);
	return m;
}

static void consume_msg(struct unix_sock *u, struct unix_msg *m)
{
	mutex_lock(&unix_lock);
	list_del(&m->link);
	u->queued -= m->len;
	wake_up_all(&u->wait);
	mutex_unlock(&unix_lock);
	unix_free_msg(m);
}

static void take_files(struct unix_msg *m, struct unix_recv *r)
{
	mutex_lock(&unix_lock);
	unix_note_inflight(m, -1);
	r->files = m->files;
	r->nr_files = m->nr_files;
	m->files = NULL;
	m->nr_files = 0;
	mutex_unlock(&unix_lock);
}

/* rlock held: only readers take messages away. Bytes or -EFAULT. */
static int64_t take_message(struct unix_sock *u, struct unix_msg *m, struct unix_recv *r)
{
	size_t left = m->len - m->off, want = MIN(left, iov_iter_count(r->to)), n;

	n = copy_to_iter(m->data + m->off, want, r->to);
	if (n < want && !n)
		return -EFAULT;
	r->from = m->from;
	r->full_len = m->len;
	if (r->peek)
		return (int64_t)n;
	if (m->nr_files && !r->files)
		take_files(m, r);
	m->off += n;
	if (u->type != SOCK_STREAM || m->off == m->len) {
		r->truncated = u->type != SOCK_STREAM && n < left;
		consume_msg(u, m);
	}
	return (int64_t)n;
}

/* More of a stream that is there already, or, to fill the buffer, that comes. */
static int64_t recv_more(struct unix_sock *u, struct unix_recv *r, int64_t total)
{
	while (iov_iter_count(r->to) && !r->peek && !r->nr_files) {
		struct unix_msg *m = first_msg(u);
		int64_t n;

		if (!m) {
			if (!r->waitall)
				break;
			mutex_lock(&unix_lock);
			n = wait_message(u, r->nonblock);
			mutex_unlock(&unix_lock);
			if (n <= 0)
				break;
			continue;
		}
		if (m->nr_files)
			break;
		n = take_message(u, m, r);
		if (n <= 0)
			break;
		total += n;
	}
	return total;
}

int64_t unix_recv(struct unix_sock *u, struct unix_recv *r)
{
	int64_t n;

	r->from.len = 0;
	r->files = NULL;
	r->nr_files = 0;
	r->full_len = 0;
	r->truncated = false;
	mutex_lock(&u->rlock);
	mutex_lock(&unix_lock);
	n = wait_message(u, r->nonblock);
	mutex_unlock(&unix_lock);
	if (n > 0) {
		n = take_message(u, first_msg(u), r);
		if (n > 0 && u->type == SOCK_STREAM)
			n = recv_more(u, r, n);
	}
	mutex_unlock(&u->rlock);
	return n;
}

/* --- as files ---------------------------------------------------------------------------------------------------------------- */

static void socket_release(struct inode *inode, struct file *file)
{
	(void)inode;
	unix_close(file->private_data, false);
}

static int64_t socket_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct unix_recv r = {.to = to, .nonblock = iocb->ki_flags & IOCB_NOWAIT};
	struct unix_sock *u = iocb->ki_filp->private_data;
	int64_t n;

	if (!iov_iter_count(to) && u->type == SOCK_STREAM)
		return 0;
	n = unix_recv(u, &r);
	for (unsigned i = 0; i < r.nr_files; i++) /* read(2) has no place for them */
		fput(r.files[i]);
	kfree(r.files);
	return n;
}

static int64_t socket_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct unix_send s = {.from = from, .nonblock = iocb->ki_flags & IOCB_NOWAIT};

	return unix_send(iocb->ki_filp->private_data, &s);
}

static unsigned socket_poll(struct file *file, struct poll_table *pt)
{
	struct unix_sock *u = file->private_data;
	unsigned mask = 0;

	poll_wait(file, &u->wait, pt);
	mutex_lock(&unix_lock);
	if (!list_empty(&u->queue) || !list_empty(&u->pending) || u->shutdown & RCV_SHUTDOWN ||
	    u->peer_gone)
		mask |= POLLIN | POLLRDNORM;
	if (u->shutdown & RCV_SHUTDOWN || u->peer_gone)
		mask |= POLLRDHUP;
	if (u->shutdown == (RCV_SHUTDOWN | SEND_SHUTDOWN) || u->peer_gone ||
	    (u->type != SOCK_DGRAM && u->state == UNIX_FREE))
		mask |= POLLHUP;
	if (u->reset)
		mask |= POLLERR;
	if (u->state != UNIX_LISTENING && (!u->peer || has_room(u, u->peer)))
		mask |= POLLOUT | POLLWRNORM;
	mutex_unlock(&unix_lock);
	return mask;
}

static int64_t socket_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	struct unix_sock *u = file->private_data;
	struct unix_msg *m;
	uint32_t n = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&unix_lock);
	list_for_each_entry(m, &u->queue, link) {
		n += (uint32_t)(m->len - m->off);
		if (u->type != SOCK_STREAM)
			break;
	}
	mutex_unlock(&unix_lock);
	return put_user_u32(arg, n);
}

const struct file_operations socket_fops = {
        .release = socket_release,
        .read_iter = socket_read,
        .write_iter = socket_write,
        .llseek = no_llseek,
        .poll = socket_poll,
        .ioctl = socket_ioctl,
};
