/*
 * unix.c - sockets between processes: streams, datagrams, sequenced packets. unix(7). See unix.h for the locks.
 *
 * A message lies in the queue of its receiver; a sender waits while that holds UNIX_BUFFER bytes or more. Files that travel
 * with a message are held by it; a socket that travels in its own queue and is then closed everywhere is not found (Linux has
 * a collector for these).
 */
#include "fs/unix.h"
#include <quire/kva.h>
#include <quire/slab.h>

#define UNIX_BUFFER  (208 * 1024u)
#define UNIX_SEGMENT (32 * 1024u) /* of a stream, a message */
#define UNIX_MAXCONN 4096

struct mutex unix_lock;
static LIST_HEAD(unix_bound); /* unix_lock */

/* --- life --------------------------------------------------------------------------------------------------------- */

struct unix_sock *unix_alloc(int type)
{
	struct unix_sock *u = kzalloc(sizeof(*u), GFP_KERNEL);

	if (!u)
		return NULL;
	refcount_set(&u->count, 1);
	u->type = type;
	INIT_LIST_HEAD(&u->queue);
	INIT_LIST_HEAD(&u->pending);
	INIT_LIST_HEAD(&u->link);
	wait_queue_init(&u->wait);
	mutex_init(&u->rlock);
	return u;
}

static spinlock_t dead_lock; /* of free_msg() */

static void free_msg_files(struct unix_msg *m)
{
	for (unsigned i = 0; i < m->nr_files; i++)
		fput(m->files[i]);
	kfree(m->files);
	kvfree(m);
}

/*
 * A file in a message may be the last reference to a socket with messages with files, and so on for ever: they are taken from
 * a list one after another, not one inside the other. Who finds a task at it leaves his message to that task.
 */
static void free_msg(struct unix_msg *m)
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

void unix_put(struct unix_sock *u)
{
	struct unix_msg *m, *next;

	if (!u || !refcount_dec_and_test(&u->count))
		return;
	list_for_each_entry_safe(m, next, &u->queue, link)
		free_msg(m);
	dput(u->dentry);
	kfree(u);
}

void unix_pair(struct unix_sock *a, struct unix_sock *b)
{
	refcount_inc(&a->count);
	refcount_inc(&b->count);
	a->peer = b;
	b->peer = a;
	a->state = b->state = UNIX_CONNECTED;
	a->peer_pid = b->peer_pid = current->tgid;
	a->peer_uid = b->peer_uid = current->cred.euid;
	a->peer_gid = b->peer_gid = current->cred.egid;
}

struct unix_sock *unix_of(struct file *file)
{
	return file->f_op == &socket_fops ? file->private_data : NULL;
}

struct file *unix_file(struct unix_sock *u, uint32_t flags)
{
	struct file *file = alloc_file_pseudo("socket", S_IFSOCK | S_IRWXUGO,
	                                      O_RDWR | (flags & O_NONBLOCK), &socket_fops, u);

	if (IS_ERR(file))
		unix_put(u);
	return file;
}

/*
 * Leave the peer, who learns of it. The caller drops the reference to it that is returned; the peer's to u goes here, and is not
 * the last, as u's own file still has one. unix_lock held.
 */
static struct unix_sock *disconnect_locked(struct unix_sock *u)
{
	struct unix_sock *peer = u->peer;

	u->peer = NULL;
	if (!peer)
		return NULL;
	if (peer->peer == u) {
		peer->peer = NULL;
		peer->peer_gone = true;
		(void)!refcount_dec_and_test(&u->count);
	}
	wake_up_all(&peer->wait);
	return peer;
}

static struct unix_sock *pop_pending(struct unix_sock *u)
{
	struct unix_sock *served;

	mutex_lock(&unix_lock);
	served = list_first_entry_or_null(&u->pending, struct unix_sock, link);
	if (served)
		list_del_init(&served->link);
	mutex_unlock(&unix_lock);
	return served;
}

/* The reference of the file, or of the listener's queue (embryo: never accepted), goes. */
static void unix_close(struct unix_sock *u, bool embryo)
{
	struct unix_sock *peer, *served;

	mutex_lock(&unix_lock);
	if (u->bound) {
		list_del_init(&u->link);
		u->bound = false;
	}
	if (u->peer && u->type != SOCK_DGRAM && (embryo || !list_empty(&u->queue)))
		u->peer->reset = true;
	peer = disconnect_locked(u);
	u->state = UNIX_FREE;
	wake_up_all(&u->wait);
	mutex_unlock(&unix_lock);
	unix_put(peer);
	while ((served = pop_pending(u)))
		unix_close(served, true); /* has no queue of its own */
	unix_put(u);
}

static void socket_release(struct inode *inode, struct file *file)
{
	(void)inode;
	unix_close(file->private_data, false);
}

/* --- addresses --------------------------------------------------------------------------------------------------------- */

static bool is_abstract(const struct unix_addr *a)
{
	return a->len > 2 && !a->un.sun_path[0];
}

static bool same_name(const struct unix_addr *a, const struct unix_addr *b)
{
	return a->len == b->len && !memcmp(&a->un, &b->un, a->len);
}

/* The socket bound to addr, with a reference; ERR_PTR. unix_lock not held. */
static struct unix_sock *find_bound(const struct unix_addr *addr)
{
	struct dentry *dentry = NULL;
	struct unix_sock *u, *found = NULL;
	char path[UNIX_PATH_MAX + 1];

	if (!is_abstract(addr)) {
		int err;

		strscpy(path, addr->un.sun_path, sizeof(path));
		err = kern_path(path, LOOKUP_FOLLOW, &dentry);
		if (!err)
			err = inode_permission(dentry, MAY_WRITE);
		if (err) {
			dput(dentry);
			return ERR_PTR(err);
		}
	}
	mutex_lock(&unix_lock);
	list_for_each_entry(u, &unix_bound, link) {
		if (dentry ? u->dentry && u->dentry->d_inode == dentry->d_inode
		           : is_abstract(&u->addr) && same_name(&u->addr, addr)) {
			found = u;
			refcount_inc(&u->count);
			break;
		}
	}
	mutex_unlock(&unix_lock);
	dput(dentry);
	return found ? found : ERR_PTR(-ECONNREFUSED);
}

int unix_bind(struct unix_sock *u, const struct unix_addr *addr)
{
	struct dentry *dentry = NULL;
	struct unix_sock *other;
	char path[UNIX_PATH_MAX + 1];
	int err = 0;

	if (u->bound || addr->len <= 2)
		return -EINVAL;
	if (is_abstract(addr)) {
		other = find_bound(addr);
		if (!IS_ERR(other)) {
			unix_put(other);
			return -EADDRINUSE;
		}
	} else {
		strscpy(path, addr->un.sun_path, sizeof(path));
		err = vfs_create_at(AT_FDCWD, path, S_IFSOCK | (S_IRWXUGO & ~current->fs->umask), 0,
		                    &dentry);
		if (err)
			return err == -EEXIST ? -EADDRINUSE : err;
	}
	mutex_lock(&unix_lock);
	if (u->bound) {
		err = -EINVAL;
	} else {
		u->addr = *addr;
		u->dentry = dentry;
		u->bound = true;
		list_add(&u->link, &unix_bound);
	}
	mutex_unlock(&unix_lock);
	if (err)
		dput(dentry);
	return err;
}

/* --- connections --------------------------------------------------------------------------------------------------------- */

int unix_listen(struct unix_sock *u, int backlog)
{
	int err = 0;

	if (u->type == SOCK_DGRAM)
		return -ENOTSUP;
	mutex_lock(&unix_lock);
	if (!u->bound || u->state == UNIX_CONNECTED) {
		err = -EINVAL;
	} else {
		u->state = UNIX_LISTENING;
		u->backlog =
		        (unsigned)(backlog < 0 || backlog > UNIX_MAXCONN ? UNIX_MAXCONN : backlog) +
		        1;
		u->peer_pid = current->tgid;
		wake_up_all(&u->wait);
	}
	mutex_unlock(&unix_lock);
	return err;
}

static int connect_dgram(struct unix_sock *u, const struct unix_addr *addr)
{
	struct unix_sock *other = NULL, *old;

	if (addr->len > 2) {
		other = find_bound(addr);
		if (IS_ERR(other))
			return (int)PTR_ERR(other);
		if (other->type != SOCK_DGRAM) {
			unix_put(other);
			return -EPROTOTYPE;
		}
	}
	mutex_lock(&unix_lock);
	old = u->peer;
	u->peer = other;
	u->peer_gone = false;
	u->state = other ? UNIX_CONNECTED : UNIX_FREE;
	mutex_unlock(&unix_lock);
	unix_put(old);
	return 0;
}

/* `served` joins the listener's queue, connected to u. 0, -errno; 1: the queue is full. unix_lock held. */
static int join_pending(struct unix_sock *u, struct unix_sock *listener, struct unix_sock *served)
{
	if (u->state != UNIX_FREE)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	if (listener->state != UNIX_LISTENING)
		return -ECONNREFUSED;
	if (listener->nr_pending >= listener->backlog)
		return 1;
	unix_pair(u, served);
	u->peer_pid = listener->peer_pid;
	served->addr = listener->addr;
	list_add_tail(&served->link, &listener->pending);
	listener->nr_pending++;
	wake_up_all(&listener->wait);
	return 0;
}

static int connect_stream(struct unix_sock *u, struct unix_sock *listener, bool nonblock)
{
	struct unix_sock *served = unix_alloc(u->type);
	int err = served ? 1 : -ENOMEM;

	mutex_lock(&unix_lock);
	while (err == 1) {
		err = join_pending(u, listener, served);
		if (err != 1)
			break;
		if (nonblock)
			err = -EAGAIN;
		else if (wait_event_mutex(&listener->wait, &unix_lock,
		                          listener->state != UNIX_LISTENING ||
		                                  listener->nr_pending < listener->backlog))
			err = -ERESTARTSYS;
	}
	mutex_unlock(&unix_lock);
	if (err)
		unix_put(served); /* else the queue has it */
	return err;
}

int unix_connect(struct unix_sock *u, const struct unix_addr *addr, bool nonblock)
{
	struct unix_sock *listener;
	int err;

	if (u->type == SOCK_DGRAM)
		return connect_dgram(u, addr);
	if (addr->len <= 2)
		return -EINVAL;
	listener = find_bound(addr);
	if (IS_ERR(listener))
		return (int)PTR_ERR(listener);
	err = listener->type == u->type ? connect_stream(u, listener, nonblock) : -EPROTOTYPE;
	unix_put(listener);
	return err;
}

struct unix_sock *unix_accept(struct unix_sock *u, bool nonblock)
{
	struct unix_sock *served = NULL;
	int err = 0;

	mutex_lock(&unix_lock);
	if (u->state != UNIX_LISTENING)
		err = u->type == SOCK_DGRAM ? -ENOTSUP : -EINVAL;
	else if (list_empty(&u->pending))
		err = nonblock ? -EAGAIN
		               : wait_event_mutex(&u->wait, &unix_lock, !list_empty(&u->pending));
	if (!err) {
		served = list_first_entry(&u->pending, struct unix_sock, link);
		list_del_init(&served->link);
		u->nr_pending--;
		wake_up_all(&u->wait);
	}
	mutex_unlock(&unix_lock);
	return err ? ERR_PTR(err) : served;
}

int unix_shutdown(struct unix_sock *u, unsigned how)
{
	int err = 0;

	mutex_lock(&unix_lock);
	if (u->state != UNIX_CONNECTED) {
		err = -ENOTCONN;
	} else {
		u->shutdown |= how;
		if (u->peer && u->type != SOCK_DGRAM) {
			u->peer->shutdown |= (how & SEND_SHUTDOWN ? RCV_SHUTDOWN : 0) |
			                     (how & RCV_SHUTDOWN ? SEND_SHUTDOWN : 0);
			wake_up_all(&u->peer->wait);
		}
		wake_up_all(&u->wait);
	}
	mutex_unlock(&unix_lock);
	return err;
}

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

static bool has_room(struct unix_sock *to)
{
	return to->queued < UNIX_BUFFER;
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
		if (err || has_room(to))
			break;
		if (nonblock) {
			err = -EAGAIN;
			break;
		}
		refcount_inc(&to->count);
		err = wait_event_mutex(&to->wait, &unix_lock,
		                       has_room(to) || may_send(u, dest ? dest : u->peer));
		mutex_unlock(&unix_lock);
		unix_put(to);
		if (err)
			return err;
		mutex_lock(&unix_lock);
	}
	if (!err) {
		list_add_tail(&m->link, &to->queue);
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
	if (n > UNIX_BUFFER)
		return -EMSGSIZE;
	if (s->to && u->type == SOCK_DGRAM) {
		dest = find_bound(s->to);
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
	free_msg(m);
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
	if (m->nr_files && !r->files) {
		r->files = m->files;
		r->nr_files = m->nr_files;
		m->files = NULL;
		m->nr_files = 0;
	}
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
	if (u->state != UNIX_LISTENING && (!u->peer || has_room(u->peer)))
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

void unix_init(void)
{
	mutex_init(&unix_lock);
}
