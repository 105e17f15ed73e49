/*
 * unix.h - sockets between processes, unix(7): the inside: unix.c, unix_msg.c, unix_gc.c, sys_socket.c.
 *
 * unix_lock, one mutex, guards how sockets are bound, connected and queued: a message is made before and copied out after it, so
 * it is held for a few pointers' work. A socket's rlock is the turn of one reader of a stream.
 */
#ifndef FS_UNIX_H
#define FS_UNIX_H

#include "fs/internal.h"

#define AF_UNIX          1
#define SOCK_STREAM      1
#define SOCK_DGRAM       2
#define SOCK_SEQPACKET   5
#define UNIX_PATH_MAX    108
#define RCV_SHUTDOWN     1u
#define SEND_SHUTDOWN    2u
#define MSG_PEEK         0x2u
#define MSG_TRUNC        0x20u
#define MSG_DONTWAIT     0x40u
#define MSG_WAITALL      0x100u
#define MSG_NOSIGNAL     0x4000u
#define MSG_CMSG_CLOEXEC 0x40000000u
#define MSG_CTRUNC       0x8u
#define SCM_MAX_FD       253

struct sockaddr_un {
	uint16_t sun_family;
	char sun_path[UNIX_PATH_MAX];
};

struct unix_addr {
	unsigned len; /* of the whole address; 0: none */
	struct sockaddr_un un;
};

struct unix_msg {
	struct list_head link;
	struct unix_addr from;
	struct file **files; /* SCM_RIGHTS on their way */
	unsigned nr_files;
	size_t len, off; /* off: what a stream's readers have taken */
	char data[];
};

enum unix_state { UNIX_FREE, UNIX_LISTENING, UNIX_CONNECTED };
enum unix_gc_state { UNIX_GC_REACHED, UNIX_GC_CANDIDATE };

struct unix_sock {
	refcount_t count;       /* its file, its peers */
	int type;               /* SOCK_* */
	enum unix_state state;  /* all below: unix_lock */
	struct unix_sock *peer; /* a reference */
	bool peer_gone;         /* was connected */
	bool reset;        /* the peer went without reading all, or was never accepted: told once */
	unsigned shutdown; /* own directions that are shut */
	struct list_head queue;   /* messages that came */
	size_t queued;            /* bytes in it */
	struct list_head pending; /* listening: connected, not accepted */
	struct list_head link;    /* in the listener's pending, or in unix_bound */
	bool bound;
	unsigned nr_pending, backlog;
	struct unix_addr addr;
	struct dentry *dentry; /* of a bound path */
	int32_t peer_pid;
	uint32_t peer_uid, peer_gid;
	uint32_t sndbuf, rcvbuf; /* SO_SNDBUF, SO_RCVBUF; the latter has no effect, as on Linux */
	struct file *file;       /* not a reference; NULL: not accepted yet */
	unsigned inflight;       /* references to file of messages in queues */
	struct list_head inflight_link;
	enum unix_gc_state gc; /* these three: unix_gc.c, while it looks */
	unsigned gc_outside;
	struct list_head gc_link;
	struct wait_queue wait; /* anything changed */
	struct mutex rlock;
};

extern struct mutex unix_lock;

#define UNIX_BUFFER     (208 * 1024u) /* of a sender who has not asked for another */
#define UNIX_BUFFER_MIN 4608u
#define UNIX_BUFFER_MAX (2 * UNIX_BUFFER)

struct unix_sock *unix_alloc(int type); /* NULL: no memory */
void unix_put(struct unix_sock *u);
struct file *unix_file(struct unix_sock *u, uint32_t flags); /* takes the reference over; ERR_PTR */
struct unix_sock *unix_of(struct file *file);                /* NULL: not a socket */
void unix_pair(struct unix_sock *a, struct unix_sock *b); /* unix_lock held, or not yet published */
void unix_close(struct unix_sock *u, bool embryo);        /* the end of its file */
int unix_bind(struct unix_sock *u, const struct unix_addr *addr);
int unix_autobind(struct unix_sock *u);
/* The socket bound to addr, with a reference; ERR_PTR. unix_lock not held. */
struct unix_sock *unix_find_bound(const struct unix_addr *addr);
int unix_listen(struct unix_sock *u, int backlog);
int unix_connect(struct unix_sock *u, const struct unix_addr *addr, bool nonblock);
struct unix_sock *unix_accept(struct unix_sock *u, bool nonblock); /* ERR_PTR */
int unix_shutdown(struct unix_sock *u, unsigned how);
/* For SO_ERROR: what is to be told and was not yet; a positive errno or 0. */
int unix_take_error(struct unix_sock *u);

/* The sockets among m's files are in one queue more (1) or less (-1); unix_lock held. */
void unix_note_inflight(struct unix_msg *m, int by);
/* A message that was in a queue, with its files. unix_lock not held. */
void unix_free_msg(struct unix_msg *m);
struct unix_send {
	struct iov_iter *from;
	const struct unix_addr *to; /* NULL: the peer */
	struct file **files;        /* handed over with the first message on success */
	unsigned nr_files;
	bool nonblock, nosignal;
};
int64_t unix_send(struct unix_sock *u, struct unix_send *s);

struct unix_recv {
	struct iov_iter *to;
	bool nonblock, peek, waitall;
	struct unix_addr from; /* out */
	struct file **files;   /* out: kfree()d and put by the caller */
	unsigned nr_files;
	size_t full_len; /* out: of the message */
	bool truncated;
};
int64_t unix_recv(struct unix_sock *u, struct unix_recv *r);
#endif
