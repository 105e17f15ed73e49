/*
 * 9p.h - the 9P2000.L client: requests, and the operations on files by fid.
 *
 * A fid is the client's number for a file of the server; it names a file when walked to and reads
 * or writes it once opened. Sources: the 9P2000 manual (intro(5) of Plan 9), 9P2000.L (diod's
 * protocol.md), QEMU's server.
 *
 * Every operation sends one request and sleeps until its reply: 0 or a negative errno, which is the
 * server's own (Linux's numbers) or -EIO for a reply that makes no sense, -ENOMEM, or -EINTR when
 * the task is being killed (the request is then flushed). No spin lock may be held.
 */
#ifndef FS_9P_H
#define FS_9P_H

#include "drivers/virtio_9p.h"
#include "fs/vfs.h"

/* --- requests: fs/9p_client.c ----------------------------------------------------------------- */

#define P9_MAX_PAGES 128 /* of one read or write: with these a table of segments fits in a page */
#define P9_HDR       7   /* size[4] type[1] tag[2] */
#define P9_READ_HDR  11  /* and count[4]: Rread, Rreaddir; an error fits too */
#define P9_MSIZE     (P9_MAX_PAGES * (uint32_t)PAGE_SIZE + 24)
#define P9_NOTAG     0xffff
#define P9_NOFID     0xffffffffu

enum p9_type {
	P9_RLERROR = 7,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
};

struct p9_client {
	spinlock_t lock; /* irqsave: tags, completion */
	uint64_t tags;   /* (lock) bit i: tag i is in use */
	struct wait_queue tag_wait;
	struct p9_channel *channel; /* (i) */
	uint32_t msize;             /* (i) as negotiated */
	bool closing;               /* unmounting: fids are not given back one by one */
	/* Counts up: more than 2^32 files in one run are not supported. */
	_Atomic uint32_t next_fid;
};

/* A fid with its users: the names and inodes that share it. The last one clunks it. */
struct p9_fid {
	refcount_t count;
	uint32_t fid;
	struct p9_client *client;
};

struct p9_qid {
	uint8_t type; /* P9_QT* */
	uint32_t version;
	uint64_t path;
};
#define P9_QTDIR     0x80
#define P9_QTSYMLINK 0x02

struct p9_attr {
	struct p9_qid qid;
	uint32_t mode, uid, gid;
	uint64_t nlink, rdev, size, blksize, blocks;
	file_time_t atime, mtime, ctime;
};

/*
 * A message under construction, then its reply. Small ones live in the request; names and link
 * targets can make it larger. Data goes by separate segments, straight from and to pages.
 */
#define P9_TX_INLINE 320
#define P9_RX_INLINE 176
struct p9_req {
	struct p9_client *client;
	uint16_t tag;
	uint8_t type;
	bool bad;           /* building: no room; parsing: the reply is short */
	bool orphan;        /* nobody waits: freed by its completion */
	bool interruptible; /* a kill may flush it */
	_Atomic bool done;
	uint32_t reply_len; /* what the transport says */
	uint32_t fid;       /* of p9_io() */
	uint8_t *tx, *rx;
	uint32_t tx_len, tx_size, rx_size;
	uint32_t pos, end;        /* of parsing, within rx */
	struct thread *waiter;    /* NULL: none */
	struct virtio_seg *table; /* message, data out, reply, data in; physically contiguous */
	unsigned nr_data;         /* segments of data */
	uint32_t data_len;
	bool data_in; /* the server writes them */
	struct virtio_seg table_small[4];
	uint8_t tx_inline[P9_TX_INLINE];
	uint8_t rx_inline[P9_RX_INLINE];
};

/* tx_size, rx_size: bytes of message and reply without data; 0: small. NULL: no memory. Sleeps. */
struct p9_req *p9_req_new(struct p9_client *c, enum p9_type type, size_t tx_size, size_t rx_size);
void p9_req_free(struct p9_req *req);
void p9_put_u8(struct p9_req *req, uint8_t v);
void p9_put_u16(struct p9_req *req, uint16_t v);
void p9_put_u32(struct p9_req *req, uint32_t v);
void p9_put_u64(struct p9_req *req, uint64_t v);
void p9_put_str(struct p9_req *req, const char *s, size_t n);

/* Send and wait. The reply is of the right type and as long as its header says, else -EIO. */
MUST_USE int p9_rpc(struct p9_req *req);
/* Send and forget; frees req. */
void p9_send(struct p9_req *req);

uint8_t p9_get_u8(struct p9_req *req);
uint16_t p9_get_u16(struct p9_req *req);
uint32_t p9_get_u32(struct p9_req *req);
uint64_t p9_get_u64(struct p9_req *req);
/* A string of the reply, not NUL-terminated; NULL when the reply is short. */
const char *p9_get_str(struct p9_req *req, size_t *n);

/* Version handshake with the share. ERR_PTR(-ENODEV): no such share; -EIO, -EPROTONOSUPPORT. */
struct p9_client *p9_client_create(const char *tag);
/* All fids are gone; waits for what is in flight. */
void p9_client_destroy(struct p9_client *c);
void p9_client_init(void); /* the cache of requests; once */

/* --- operations: fs/9p_ops.c ------------------------------------------------------------------ */

static inline struct p9_fid *p9_fid_get(struct p9_fid *fid)
{
	refcount_inc(&fid->count);
	return fid;
}
void p9_fid_put(struct p9_fid *fid); /* NULL is nothing; does not wait */

/* The root of the share; qid is filled in. ERR_PTR. */
struct p9_fid *p9_attach(struct p9_client *c, struct p9_qid *qid);
/* A new fid for name in dir; name NULL: for dir itself. ERR_PTR. */
struct p9_fid *p9_walk(struct p9_fid *dir, const char *name, size_t len, struct p9_qid *qid);
MUST_USE int p9_getattr(struct p9_fid *fid, struct p9_attr *attr);
MUST_USE int p9_setattr(struct p9_fid *fid, const struct iattr *attr);
MUST_USE int p9_lopen(struct p9_fid *fid, uint32_t flags);
/* dir becomes the open file. */
MUST_USE int p9_lcreate(struct p9_fid *dir, const char *name, size_t len, uint32_t flags,
                        uint32_t mode, uint32_t gid);
MUST_USE int p9_mkdir(struct p9_fid *dir, const char *name, size_t len, uint32_t mode,
                      uint32_t gid);
MUST_USE int p9_symlink(struct p9_fid *dir, const char *name, size_t len, const char *target,
                        uint32_t gid);
MUST_USE int p9_mknod(struct p9_fid *dir, const char *name, size_t len, uint32_t mode,
                      uint32_t rdev, uint32_t gid);
MUST_USE int p9_link(struct p9_fid *dir, struct p9_fid *fid, const char *name, size_t len);
MUST_USE int p9_unlinkat(struct p9_fid *dir, const char *name, size_t len, uint32_t flags);
MUST_USE int p9_renameat(struct p9_fid *from_dir, const struct qstr *from, struct p9_fid *to_dir,
                         const struct qstr *to);
char *p9_readlink(struct p9_fid *fid); /* for kfree(); ERR_PTR */
MUST_USE int p9_statfs(struct p9_fid *fid, struct kstatfs *buf);
MUST_USE int p9_fsync(struct p9_fid *fid, bool datasync);

/*
 * Reading and writing data of an open file, straight to and from memory: p9_io_new(), p9_io_add()
 * for each piece (at most max, P9_MAX_PAGES; neighbours in physical memory become one segment),
 * p9_io(), which frees it. p9_io: the bytes moved from offset on, which may be fewer than asked
 * for; -errno. Treaddir likewise.
 */
struct p9_req *p9_io_new(struct p9_fid *fid, enum p9_type type, unsigned max); /* NULL: no memory */
void p9_io_add(struct p9_req *req, phys_t addr, uint32_t len);
int64_t p9_io(struct p9_req *req, uint64_t offset);

#endif
