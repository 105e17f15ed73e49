/*
 * sys_socket.c - the system calls of sockets. The one family is AF_UNIX.
 */
#include "fs/unix.h"
#include <quire/slab.h>

#define SOL_SOCKET    1
#define SO_REUSEADDR  2
#define SO_KEEPALIVE  9
#define SO_TYPE       3
#define SO_ERROR      4
#define SO_SNDBUF     7
#define SO_RCVBUF     8
#define SO_PASSCRED   16
#define SO_PEERCRED   17
#define SO_RCVTIMEO   20
#define SO_SNDTIMEO   21
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL   38
#define SO_DOMAIN     39
#define SCM_RIGHTS    1

struct linux_msghdr {
	uint64_t msg_name;
	uint32_t msg_namelen, pad;
	uint64_t msg_iov, msg_iovlen, msg_control, msg_controllen;
	uint32_t msg_flags, pad2;
};
static_assert(sizeof(struct linux_msghdr) == 56, "struct msghdr");

struct linux_cmsghdr {
	uint64_t cmsg_len;
	int32_t cmsg_level, cmsg_type;
};

/* The socket behind fd: *f is to be fdput() when not NULL is returned. */
static struct unix_sock *socket_get(int fd, struct fd *f, int64_t *err)
{
	struct unix_sock *u;

	*f = fdget(fd);
	*err = -EBADF;
	if (!f->file)
		return NULL;
	u = unix_of(f->file);
	*err = -ENOTSOCK;
	if (!u)
		fdput(*f);
	return u;
}

static bool nonblocking(struct fd f, uint32_t flags)
{
	return flags & MSG_DONTWAIT || atomic_load(&f.file->f_flags) & O_NONBLOCK;
}

/* --- addresses ------------------------------------------------------------------------------------------------------ */

static int get_address(struct unix_addr *a, vaddr_t from, uint32_t len)
{
	if (len < 2 || len > sizeof(a->un))
		return -EINVAL;
	memset(a, 0, sizeof(*a));
	if (copy_from_user(&a->un, from, len))
		return -EFAULT;
	a->len = len;
	if (a->un.sun_family != AF_UNIX)
		return a->un.sun_family ? -EINVAL : 0;
	if (len > 2 && a->un.sun_path[0]) /* a path: its length is the string's */
		a->len = 2 + (unsigned)strnlen(a->un.sun_path, len - 2) + 1;
	return 0;
}

/* Nameless sockets show the family alone. */
static int64_t put_address(const struct unix_addr *a, vaddr_t to, vaddr_t ulen)
{
	struct unix_addr none = {.len = 2, .un = {.sun_family = AF_UNIX}};
	uint32_t room;

	if (!to)
		return 0;
	if (!a->len)
		a = &none;
	if (get_user_u32(&room, ulen))
		return -EFAULT;
	if ((int32_t)room < 0)
		return -EINVAL;
	if (copy_to_user(to, &a->un, MIN(room, a->len)))
		return -EFAULT;
	return put_user_u32(ulen, a->len);
}

/* --- making ----------------------------------------------------------------------------------------------------------- */

static int64_t check_type(int family, int type, int protocol)
{
	if (family != AF_UNIX)
		return -EAFNOSUPPORT;
	if ((uint32_t)type & ~(0xfu | O_NONBLOCK | O_CLOEXEC))
		return -EINVAL;
	if (protocol && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	type &= 0xf;
	return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET
	               ? 0
	               : -ESOCKTNOSUPPORT;
}

SYSCALL3(socket, int, family, int, type, int, protocol)
{
	int64_t err = check_type(family, type, protocol);
	struct unix_sock *u;

	if (err)
		return err;
	u = unix_alloc(type & 0xf);
	return u ? fd_add(unix_file(u, (uint32_t)type), (uint32_t)type) : -ENOMEM;
}

static int64_t install_pair(struct file *a, struct file *b, uint32_t flags, vaddr_t ufds)
{
	int fd[2];
	int64_t err;

	err = fd[0] = get_unused_fd_flags(flags);
	if (err < 0)
		goto fail;
	err = fd[1] = get_unused_fd_flags(flags);
	if (err < 0)
		goto fail_fd0;
	err = copy_to_user(ufds, fd, sizeof(fd));
	if (err)
		goto fail_fd1;
	fd_install((unsigned)fd[0], a);
	fd_install((unsigned)fd[1], b);
	return 0;
fail_fd1:
	put_unused_fd((unsigned)fd[1]);
fail_fd0:
	put_unused_fd((unsigned)fd[0]);
fail:
	fput(a);
	fput(b);
	return err;
}

SYSCALL4(socketpair, int, family, int, type, int, protocol, vaddr_t, ufds)
{
	int64_t err = check_type(family, type, protocol);
	struct unix_sock *a, *b;
	struct file *fa, *fb;

	if (err)
		return err;
	a = unix_alloc(type & 0xf);
	b = unix_alloc(type & 0xf);
	if (!a || !b) {
		unix_put(a);
		unix_put(b);
		return -ENOMEM;
	}
	fa = unix_file(a, (uint32_t)type);
	fb = unix_file(b, (uint32_t)type);
	if (IS_ERR(fa) || IS_ERR(fb)) {
		err = IS_ERR(fa) ? PTR_ERR(fa) : PTR_ERR(fb);
		fput(IS_ERR(fa) ? NULL : fa);
		fput(IS_ERR(fb) ? NULL : fb);
		return err;
	}
	unix_pair(a, b);
	return install_pair(fa, fb, (uint32_t)type, ufds);
}

SYSCALL3(bind, int, fd, vaddr_t, addr, uint32_t, len)
{
	struct unix_addr a;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = get_address(&a, addr, len);
	if (!err && a.un.sun_family != AF_UNIX)
		err = -EINVAL;
	if (!err)
		err = a.len == sizeof(a.un.sun_family) ? unix_autobind(u) : unix_bind(u, &a);
	fdput(f);
	return err;
}

SYSCALL3(connect, int, fd, vaddr_t, addr, uint32_t, len)
{
	struct unix_addr a;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = get_address(&a, addr, len);
	if (!err)
		err = unix_connect(u, &a, nonblocking(f, 0));
	fdput(f);
	return err;
}

SYSCALL2(listen, int, fd, int, backlog)
{
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = unix_listen(u, backlog);
	fdput(f);
	return err;
}

static int64_t do_accept(int fd, vaddr_t addr, vaddr_t ulen, uint32_t flags)
{
	struct unix_sock *u, *served;
	struct unix_addr peer = {.len = 0};
	struct file *file;
	struct fd f;
	int64_t err;

	if (flags & ~(O_NONBLOCK | O_CLOEXEC))
		return -EINVAL;
	u = socket_get(fd, &f, &err);
	if (!u)
		return err;
	served = unix_accept(u, nonblocking(f, 0));
	fdput(f);
	if (IS_ERR(served))
		return PTR_ERR(served);
	mutex_lock(&unix_lock);
	if (served->peer)
		peer = served->peer->addr;
	mutex_unlock(&unix_lock);
	file = unix_file(served, flags);
	if (!IS_ERR(file)) {
		err = put_address(&peer, addr, ulen);
		if (err) {
			fput(file);
			return err;
		}
	}
	return fd_add(file, flags);
}

SYSCALL3(accept, int, fd, vaddr_t, addr, vaddr_t, ulen)
{
	return do_accept(fd, addr, ulen, 0);
}

SYSCALL4(accept4, int, fd, vaddr_t, addr, vaddr_t, ulen, uint32_t, flags)
{
	return do_accept(fd, addr, ulen, flags);
}

SYSCALL2(shutdown, int, fd, int, how)
{
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = how < 0 || how > 2 ? -EINVAL : unix_shutdown(u, (unsigned)how + 1);
	fdput(f);
	return err;
}

static int64_t get_name(int fd, vaddr_t addr, vaddr_t ulen, bool peer)
{
	struct unix_addr a = {.len = 0};
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = 0;
	mutex_lock(&unix_lock);
	if (!peer)
		a = u->addr;
	else if (u->peer)
		a = u->peer->addr;
	else
		err = -ENOTCONN;
	mutex_unlock(&unix_lock);
	if (!err)
		err = put_address(&a, addr, ulen);
	fdput(f);
	return err;
}

SYSCALL3(getsockname, int, fd, vaddr_t, addr, vaddr_t, ulen)
{
	return get_name(fd, addr, ulen, false);
}

SYSCALL3(getpeername, int, fd, vaddr_t, addr, vaddr_t, ulen)
{
	return get_name(fd, addr, ulen, true);
}

/* --- options ------------------------------------------------------------------------------------------------------------- */

static int64_t option_value(struct unix_sock *u, int name, uint32_t value[3], uint32_t *size)
{
	*size = 4;
	switch (name) {
	case SO_TYPE:
		value[0] = (uint32_t)u->type;
		return 0;
	case SO_ERROR:
		value[0] = (uint32_t)unix_take_error(u);
		return 0;
	case SO_PROTOCOL:
		value[0] = 0;
		return 0;
	case SO_DOMAIN:
		value[0] = AF_UNIX;
		return 0;
	case SO_SNDBUF:
		value[0] = u->sndbuf;
		return 0;
	case SO_RCVBUF:
		value[0] = u->rcvbuf;
		return 0;
	case SO_ACCEPTCONN:
		value[0] = u->state == UNIX_LISTENING;
		return 0;
	case SO_PEERCRED:
		value[0] = (uint32_t)u->peer_pid;
		value[1] = u->peer_pid ? u->peer_uid : UINT32_MAX;
		value[2] = u->peer_pid ? u->peer_gid : UINT32_MAX;
		*size = 12;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

SYSCALL5(getsockopt, int, fd, int, level, int, name, vaddr_t, to, vaddr_t, ulen)
{
	uint32_t value[3], size, room;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = level == SOL_SOCKET ? option_value(u, name, value, &size) : -ENOTSUP;
	fdput(f);
	if (err)
		return err;
	if (get_user_u32(&room, ulen))
		return -EFAULT;
	size = MIN(size, room);
	if (copy_to_user(to, value, size))
		return -EFAULT;
	return put_user_u32(ulen, size);
}

/* Sizes of buffers are advice, and two options mean nothing in this family; what would change behaviour is refused. */
/* Twice what was asked for, as on Linux, where half is for its own use; and within bounds. */
static void set_buffer(uint32_t *buffer, uint32_t value)
{
	WRITE_ONCE(*buffer, MAX(2 * MIN(value, UNIX_BUFFER_MAX / 2), UNIX_BUFFER_MIN));
}

/* SO_REUSEADDR and SO_KEEPALIVE mean nothing to this family. */
static int64_t set_option(struct unix_sock *u, int name, uint32_t value)
{
	switch (name) {
	case SO_SNDBUF:
		set_buffer(&u->sndbuf, value);
		return 0;
	case SO_RCVBUF:
		set_buffer(&u->rcvbuf, value);
		return 0;
	case SO_REUSEADDR:
	case SO_KEEPALIVE:
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

SYSCALL5(setsockopt, int, fd, int, level, int, name, vaddr_t, from, uint32_t, len)
{
	uint32_t value;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	if (level != SOL_SOCKET)
		err = -ENOTSUP;
	else if (len < 4)
		err = -EINVAL;
	else if (get_user_u32(&value, from))
		err = -EFAULT;
	else
		err = set_option(u, name, value);
	fdput(f);
	return err;
}

/* --- sending --------------------------------------------------------------------------------------------------------------- */

static void put_files(struct file **files, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fput(files[i]);
	kfree(files);
}

/* The descriptors of one SCM_RIGHTS record as files. 0 or -errno. */
static int get_rights(struct unix_send *s, vaddr_t data, size_t bytes)
{
	unsigned n = (unsigned)(bytes / 4);

	if (n > SCM_MAX_FD || s->files)
		return -EINVAL;
	s->files = kcalloc(MAX(n, 1), sizeof(*s->files), GFP_KERNEL);
	if (!s->files)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		uint32_t fd;

		if (get_user_u32(&fd, data + 4ull * i))
			return -EFAULT;
		s->files[i] = fget((int)fd);
		if (!s->files[i])
			return -EBADF;
		s->nr_files = i + 1;
	}
	return 0;
}

static int get_control(struct unix_send *s, vaddr_t control, uint64_t len)
{
	struct linux_cmsghdr h;
	int err = 0;

	while (len >= sizeof(h) && !err) {
		uint64_t step;

		if (copy_from_user(&h, control, sizeof(h)))
			return -EFAULT;
		if (h.cmsg_len < sizeof(h) || h.cmsg_len > len)
			return -EINVAL;
		if (h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_RIGHTS)
			err = get_rights(s, control + sizeof(h), h.cmsg_len - sizeof(h));
		else if (h.cmsg_level == SOL_SOCKET)
			err = -EINVAL;
		step = MIN(ALIGN_UP(h.cmsg_len, 8ull), len);
		control += step;
		len -= step;
	}
	return err;
}

SYSCALL6(sendto, int, fd, vaddr_t, buf, size_t, n, uint32_t, flags, vaddr_t, addr, uint32_t, len)
{
	struct unix_addr to;
	struct iov_iter from;
	struct unix_send s = {.from = &from, .nosignal = flags & MSG_NOSIGNAL};
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = access_ok(buf, n) ? 0 : -EFAULT;
	iov_iter_user(&from, buf, MIN(n, (size_t)MAX_RW_COUNT));
	if (addr && !err)
		err = get_address(&to, addr, len);
	if (!err) {
		s.to = addr ? &to : NULL;
		s.nonblock = nonblocking(f, flags);
		err = unix_send(u, &s);
	}
	fdput(f);
	return err;
}

static int64_t send_msghdr(struct unix_sock *u, const struct linux_msghdr *h, struct unix_send *s)
{
	struct iovec fast[IOV_FAST], *iov = fast;
	struct unix_addr to;
	int64_t err;

	err = import_iovec(h->msg_iov, (unsigned)MIN(h->msg_iovlen, (uint64_t)UIO_MAXIOV + 1), fast,
	                   &iov, s->from);
	if (err >= 0)
		err = h->msg_name ? get_address(&to, h->msg_name, h->msg_namelen) : 0;
	if (!err) {
		s->to = h->msg_name ? &to : NULL;
		err = get_control(s, h->msg_control, h->msg_control ? h->msg_controllen : 0);
	}
	if (!err)
		err = unix_send(u, s);
	put_files(s->files, s->nr_files); /* what was not handed over */
	import_end(iov, fast);
	return err;
}

SYSCALL3(sendmsg, int, fd, vaddr_t, msg, uint32_t, flags)
{
	struct iov_iter from;
	struct unix_send s = {.from = &from, .nosignal = flags & MSG_NOSIGNAL};
	struct linux_msghdr h;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	s.nonblock = nonblocking(f, flags);
	err = copy_from_user(&h, msg, sizeof(h)) ? -EFAULT : send_msghdr(u, &h, &s);
	fdput(f);
	return err;
}

/* --- receiving --------------------------------------------------------------------------------------------------------------- */

static int64_t recv_result(const struct unix_recv *r, int64_t n, uint32_t flags)
{
	return n >= 0 && flags & MSG_TRUNC && r->truncated ? (int64_t)r->full_len : n;
}

SYSCALL6(recvfrom, int, fd, vaddr_t, buf, size_t, n, uint32_t, flags, vaddr_t, addr, vaddr_t, ulen)
{
	struct iov_iter to;
	struct unix_recv r = {.to = &to, .peek = flags & MSG_PEEK, .waitall = flags & MSG_WAITALL};
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	err = -EFAULT;
	if (access_ok(buf, n)) {
		iov_iter_user(&to, buf, MIN(n, (size_t)MAX_RW_COUNT));
		r.nonblock = nonblocking(f, flags);
		err = unix_recv(u, &r);
		put_files(r.files, r.nr_files);
	}
	fdput(f);
	if (err >= 0 && addr && put_address(&r.from, addr, ulen))
		return -EFAULT;
	return recv_result(&r, err, flags);
}

/* Give the files that came descriptors, as many as there is room for. Bytes of control data written. */
static uint64_t put_rights(struct unix_recv *r, vaddr_t control, uint64_t room, uint32_t flags,
                           bool *truncated)
{
	struct linux_cmsghdr h = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	unsigned n = 0;

	while (n < r->nr_files && sizeof(h) + 4ull * (n + 1) <= room) {
		int fd = fd_add(get_file(r->files[n]), flags & MSG_CMSG_CLOEXEC ? O_CLOEXEC : 0);

		if (fd < 0 || put_user_u32(control + sizeof(h) + 4ull * n, (uint32_t)fd))
			break;
		n++;
	}
	*truncated = n < r->nr_files;
	if (!n)
		return 0;
	h.cmsg_len = sizeof(h) + 4ull * n;
	if (copy_to_user(control, &h, sizeof(h)))
		return 0;
	return MIN(ALIGN_UP(h.cmsg_len, 8ull), room);
}

static int64_t recv_msghdr(struct unix_sock *u, vaddr_t msg, struct linux_msghdr *h,
                           struct unix_recv *r, uint32_t flags)
{
	struct iovec fast[IOV_FAST], *iov = fast;
	uint64_t control = 0;
	bool truncated = false;
	int64_t n;

	n = import_iovec(h->msg_iov, (unsigned)MIN(h->msg_iovlen, (uint64_t)UIO_MAXIOV + 1), fast,
	                 &iov, r->to);
	if (n >= 0)
		n = unix_recv(u, r);
	if (n >= 0 && r->nr_files)
		control = put_rights(r, h->msg_control, h->msg_control ? h->msg_controllen : 0,
		                     flags, &truncated);
	put_files(r->files, r->nr_files);
	import_end(iov, fast);
	if (n < 0)
		return n;
	h->msg_flags = (r->truncated ? MSG_TRUNC : 0) | (truncated ? MSG_CTRUNC : 0);
	if (h->msg_name &&
	    put_address(&r->from, h->msg_name, msg + offsetof(struct linux_msghdr, msg_namelen)))
		return -EFAULT;
	if (put_user_u64(msg + offsetof(struct linux_msghdr, msg_controllen), control) ||
	    put_user_u32(msg + offsetof(struct linux_msghdr, msg_flags), h->msg_flags))
		return -EFAULT;
	return recv_result(r, n, flags);
}

SYSCALL3(recvmsg, int, fd, vaddr_t, msg, uint32_t, flags)
{
	struct iov_iter to;
	struct unix_recv r = {.to = &to, .peek = flags & MSG_PEEK, .waitall = flags & MSG_WAITALL};
	struct linux_msghdr h;
	struct fd f;
	int64_t err;
	struct unix_sock *u = socket_get(fd, &f, &err);

	if (!u)
		return err;
	r.nonblock = nonblocking(f, flags);
	err = copy_from_user(&h, msg, sizeof(h)) ? -EFAULT : recv_msghdr(u, msg, &h, &r, flags);
	fdput(f);
	return err;
}
