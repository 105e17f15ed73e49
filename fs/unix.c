/*
 * unix.c - sockets between processes: their life, names, and connections. unix(7). See unix.h for the locks.
 */
#include "fs/unix.h"
#include "lib/format.h"
#include <quire/slab.h>

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
	u->sndbuf = u->rcvbuf = UNIX_BUFFER;
	INIT_LIST_HEAD(&u->queue);
	INIT_LIST_HEAD(&u->pending);
	INIT_LIST_HEAD(&u->link);
	INIT_LIST_HEAD(&u->inflight_link);
	wait_queue_init(&u->wait);
	mutex_init(&u->rlock);
	return u;
}

void unix_put(struct unix_sock *u)
{
	struct unix_msg *m, *next;

	if (!u || !refcount_dec_and_test(&u->count))
		return;
	list_for_each_entry_safe(m, next, &u->queue, link)
		unix_free_msg(m);
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
	else
		u->file = file;
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
void unix_close(struct unix_sock *u, bool embryo)
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

/* --- addresses --------------------------------------------------------------------------------------------------------- */

static bool is_abstract(const struct unix_addr *a)
{
	return a->len > 2 && !a->un.sun_path[0];
}

static bool same_name(const struct unix_addr *a, const struct unix_addr *b)
{
	return a->len == b->len && !memcmp(&a->un, &b->un, a->len);
}

struct unix_sock *unix_find_bound(const struct unix_addr *addr)
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

/* "\0" and five hexadecimal digits: a name that nobody has. 0, -EINVAL, -ENOSPC. */
int unix_autobind(struct unix_sock *u)
{
	static _Atomic uint32_t next;
	struct unix_addr a = {.len = 2 + 1 + 5, .un = {.sun_family = AF_UNIX}};

	if (u->bound)
		return 0; /* it has one */
	for (unsigned tries = 0; tries < 1u << 20; tries++) {
		int err;

		format(a.un.sun_path + 1, 6, "%05x", atomic_fetch_add(&next, 1) & 0xfffff);
		err = unix_bind(u, &a);
		if (err != -EADDRINUSE)
			return err;
	}
	return -ENOSPC;
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
		other = unix_find_bound(addr);
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
		other = unix_find_bound(addr);
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
	listener = unix_find_bound(addr);
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

void unix_init(void)
{
	mutex_init(&unix_lock);
}
