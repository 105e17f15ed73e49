/*
 * 9p_ops.c - the operations of 9P2000.L, one function for each message. Contract: 9p.h.
 */
#include "fs/9p.h"

#include "kernel/task.h"
#include "lib/string.h"
#include <quire/slab.h>

/* Send, let the request go, and say how it went: for replies without content. */
static int rpc_and_free(struct p9_req *req)
{
	int err = p9_rpc(req);

	p9_req_free(req);
	return err;
}

static void get_qid(struct p9_req *req, struct p9_qid *qid)
{
	qid->type = p9_get_u8(req);
	qid->version = p9_get_u32(req);
	qid->path = p9_get_u64(req);
}

static file_time_t get_time(struct p9_req *req)
{
	uint64_t sec = p9_get_u64(req), nsec = p9_get_u64(req);

	return (file_time_t)(sec * 1000000000ull + nsec);
}

/* --- fids ------------------------------------------------------------------------------------- */

static struct p9_fid *fid_alloc(struct p9_client *c)
{
	struct p9_fid *fid = kmalloc(sizeof(*fid), GFP_KERNEL);

	if (!fid)
		return NULL;
	refcount_set(&fid->count, 1);
	fid->client = c;
	fid->fid = atomic_fetch_add_explicit(&c->next_fid, 1, memory_order_relaxed);
	return fid;
}

/*
 * A fid that could not be clunked for lack of memory stays with the server until the end: no harm
 * to files. At the end, when the server forgets them all, it is not told of each.
 */
void p9_fid_put(struct p9_fid *fid)
{
	struct p9_req *req;

	if (!fid || !refcount_dec_and_test(&fid->count))
		return;
	req = fid->client->closing ? NULL : p9_req_new(fid->client, P9_TCLUNK, 0, 0);
	if (req) {
		p9_put_u32(req, fid->fid);
		p9_send(req);
	}
	kfree(fid);
}

/* The end of a request that makes a fid: the fid, or why there is none. Either may be NULL for lack of memory. */
static struct p9_fid *fid_done(struct p9_fid *fid, struct p9_req *req, int err)
{
	if (!err && req->bad)
		err = -EIO;
	if (req)
		p9_req_free(req);
	if (!err)
		return fid;
	kfree(fid);
	return ERR_PTR(err);
}

struct p9_fid *p9_attach(struct p9_client *c, struct p9_qid *qid)
{
	struct p9_fid *fid = fid_alloc(c);
	struct p9_req *req = p9_req_new(c, P9_TATTACH, 0, 0);
	int err;

	if (!fid || !req)
		return fid_done(fid, req, -ENOMEM);
	p9_put_u32(req, fid->fid);
	p9_put_u32(req, P9_NOFID);
	p9_put_str(req, "root", 4);
	p9_put_str(req, "", 0);
	p9_put_u32(req, 0);
	err = p9_rpc(req);
	get_qid(req, qid);
	return fid_done(fid, req, err);
}

struct p9_fid *p9_walk(struct p9_fid *dir, const char *name, size_t len, struct p9_qid *qid)
{
	struct p9_fid *fid = fid_alloc(dir->client);
	struct p9_req *req = p9_req_new(dir->client, P9_TWALK, 0, 0);
	int err;

	if (!fid || !req)
		return fid_done(fid, req, -ENOMEM);
	p9_put_u32(req, dir->fid);
	p9_put_u32(req, fid->fid);
	p9_put_u16(req, name ? 1 : 0);
	if (name)
		p9_put_str(req, name, len);
	err = p9_rpc(req);
	if (!err && p9_get_u16(req) != (name ? 1 : 0))
		err = -ENOENT;
	if (!err && name)
		get_qid(req, qid);
	return fid_done(fid, req, err);
}

/* --- attributes ------------------------------------------------------------------------------- */

#define GETATTR_BASIC 0x7ffull

static void get_attr(struct p9_req *req, struct p9_attr *a)
{
	p9_get_u64(req); /* which are valid: a server of Linux files gives all of the basic ones */
	get_qid(req, &a->qid);
	a->mode = p9_get_u32(req);
	a->uid = p9_get_u32(req);
	a->gid = p9_get_u32(req);
	a->nlink = p9_get_u64(req);
	a->rdev = p9_get_u64(req);
	a->size = p9_get_u64(req);
	a->blksize = p9_get_u64(req);
	a->blocks = p9_get_u64(req);
	a->atime = get_time(req);
	a->mtime = get_time(req);
	a->ctime = get_time(req);
}

int p9_getattr(struct p9_fid *fid, struct p9_attr *attr)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TGETATTR, 0, 0);
	int err;

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, fid->fid);
	p9_put_u64(req, GETATTR_BASIC);
	err = p9_rpc(req);
	if (!err) {
		get_attr(req, attr);
		if (req->bad || attr->size > INT64_MAX)
			err = -EIO;
	}
	p9_req_free(req);
	return err;
}

/* Bits of Tsetattr's valid word. */
static uint32_t setattr_valid(const struct iattr *attr)
{
	static const struct {
		unsigned attr;
		uint32_t p9;
	} map[] = {
	        {ATTR_MODE, 1},   {ATTR_UID, 2},         {ATTR_GID, 4},
	        {ATTR_SIZE, 8},   {ATTR_ATIME, 16},      {ATTR_MTIME, 32},
	        {ATTR_CTIME, 64}, {ATTR_ATIME_SET, 128}, {ATTR_MTIME_SET, 256},
	};
	uint32_t valid = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (attr->valid & map[i].attr)
			valid |= map[i].p9;
	return valid;
}

static void put_time(struct p9_req *req, file_time_t t)
{
	int64_t sec = t / 1000000000, nsec = t % 1000000000;

	if (nsec < 0) {
		nsec += 1000000000;
		sec--;
	}
	p9_put_u64(req, (uint64_t)sec);
	p9_put_u64(req, (uint64_t)nsec);
}

int p9_setattr(struct p9_fid *fid, const struct iattr *attr)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TSETATTR, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, fid->fid);
	p9_put_u32(req, setattr_valid(attr));
	p9_put_u32(req, attr->mode & S_IALLUGO);
	p9_put_u32(req, attr->uid);
	p9_put_u32(req, attr->gid);
	p9_put_u64(req, attr->size);
	put_time(req, attr->atime);
	put_time(req, attr->mtime);
	return rpc_and_free(req);
}

int p9_statfs(struct p9_fid *fid, struct kstatfs *buf)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TSTATFS, 0, 0);
	int err;

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, fid->fid);
	err = p9_rpc(req);
	if (!err) {
		buf->type = p9_get_u32(req);
		buf->bsize = p9_get_u32(req);
		buf->blocks = p9_get_u64(req);
		buf->bfree = p9_get_u64(req);
		buf->bavail = p9_get_u64(req);
		buf->files = p9_get_u64(req);
		buf->ffree = p9_get_u64(req);
		p9_get_u64(req); /* fsid */
		buf->namelen = p9_get_u32(req);
		if (req->bad)
			err = -EIO;
	}
	p9_req_free(req);
	return err;
}

char *p9_readlink(struct p9_fid *fid)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TREADLINK, 0, P9_HDR + 2 + PATH_MAX);
	char *target = ERR_PTR(-EIO);
	const char *s;
	size_t n;
	int err;

	if (!req)
		return ERR_PTR(-ENOMEM);
	p9_put_u32(req, fid->fid);
	err = p9_rpc(req);
	s = err ? NULL : p9_get_str(req, &n);
	if (s) {
		target = kmalloc(n + 1, GFP_KERNEL);
		if (target) {
			memcpy(target, s, n);
			target[n] = '\0';
		} else {
			err = -ENOMEM;
		}
	}
	p9_req_free(req);
	return err ? ERR_PTR(err) : target;
}

/* --- opening, and changes to directories ------------------------------------------------------ */

int p9_lopen(struct p9_fid *fid, uint32_t flags)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TLOPEN, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, fid->fid);
	p9_put_u32(req, flags);
	return rpc_and_free(req);
}

int p9_lcreate(struct p9_fid *dir, const char *name, size_t len, uint32_t flags, uint32_t mode,
               uint32_t gid)
{
	struct p9_req *req = p9_req_new(dir->client, P9_TLCREATE, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_str(req, name, len);
	p9_put_u32(req, flags);
	p9_put_u32(req, mode);
	p9_put_u32(req, gid);
	return rpc_and_free(req);
}

int p9_mkdir(struct p9_fid *dir, const char *name, size_t len, uint32_t mode, uint32_t gid)
{
	struct p9_req *req = p9_req_new(dir->client, P9_TMKDIR, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_str(req, name, len);
	p9_put_u32(req, mode & S_IALLUGO);
	p9_put_u32(req, gid);
	return rpc_and_free(req);
}

int p9_symlink(struct p9_fid *dir, const char *name, size_t len, const char *target, uint32_t gid)
{
	size_t target_len = strlen(target);
	struct p9_req *req = p9_req_new(dir->client, P9_TSYMLINK, len + target_len + 32, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_str(req, name, len);
	p9_put_str(req, target, target_len);
	p9_put_u32(req, gid);
	return rpc_and_free(req);
}

int p9_mknod(struct p9_fid *dir, const char *name, size_t len, uint32_t mode, uint32_t rdev,
             uint32_t gid)
{
	struct p9_req *req = p9_req_new(dir->client, P9_TMKNOD, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_str(req, name, len);
	p9_put_u32(req, mode);
	p9_put_u32(req, MAJOR(rdev));
	p9_put_u32(req, MINOR(rdev));
	p9_put_u32(req, gid);
	return rpc_and_free(req);
}

int p9_link(struct p9_fid *dir, struct p9_fid *fid, const char *name, size_t len)
{
	struct p9_req *req = p9_req_new(dir->client, P9_TLINK, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_u32(req, fid->fid);
	p9_put_str(req, name, len);
	return rpc_and_free(req);
}

int p9_unlinkat(struct p9_fid *dir, const char *name, size_t len, uint32_t flags)
{
	struct p9_req *req = p9_req_new(dir->client, P9_TUNLINKAT, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, dir->fid);
	p9_put_str(req, name, len);
	p9_put_u32(req, flags);
	return rpc_and_free(req);
}

int p9_renameat(struct p9_fid *from_dir, const struct qstr *from, struct p9_fid *to_dir,
                const struct qstr *to)
{
	struct p9_req *req =
	        p9_req_new(from_dir->client, P9_TRENAMEAT, from->len + to->len + 32u, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, from_dir->fid);
	p9_put_str(req, from->name, from->len);
	p9_put_u32(req, to_dir->fid);
	p9_put_str(req, to->name, to->len);
	return rpc_and_free(req);
}

int p9_fsync(struct p9_fid *fid, bool datasync)
{
	struct p9_req *req = p9_req_new(fid->client, P9_TFSYNC, 0, 0);

	if (!req)
		return -ENOMEM;
	p9_put_u32(req, fid->fid);
	p9_put_u32(req, datasync);
	return rpc_and_free(req);
}

/* --- data ------------------------------------------------------------------------------------- */

/* Data starts with a segment of its own, for the reply's header is just P9_READ_HDR bytes. */
struct p9_req *p9_io_new(struct p9_fid *fid, enum p9_type type, unsigned max)
{
	struct p9_req *req = p9_req_new(fid->client, type, 0, 0);

	if (!req)
		return NULL;
	if (max + 2 > ARRAY_SIZE(req->table_small)) {
		req->table = kmalloc((max + 2) * sizeof(*req->table), GFP_KERNEL);
		if (!req->table) {
			req->table = req->table_small;
			p9_req_free(req);
			return NULL;
		}
	}
	req->rx_size = P9_READ_HDR;
	req->data_in = type != P9_TWRITE;
	req->fid = fid->fid;
	return req;
}

void p9_io_add(struct p9_req *req, phys_t addr, uint32_t len)
{
	struct virtio_seg *data = req->table + (req->data_in ? 2 : 1);
	struct virtio_seg *last = &data[req->nr_data - 1];

	req->data_len += len;
	if (req->nr_data && last->addr + last->len == addr.a)
		last->len += len;
	else
		data[req->nr_data++] = (struct virtio_seg){.addr = addr.a, .len = len};
}

int64_t p9_io(struct p9_req *req, uint64_t offset)
{
	int64_t n;

	p9_put_u32(req, req->fid);
	p9_put_u64(req, offset);
	p9_put_u32(req, req->data_len);
	n = p9_rpc(req);
	if (n == 0) {
		n = p9_get_u32(req);
		if (req->bad || n > req->data_len)
			n = -EIO;
		else if (req->data_in && n > (int64_t)req->reply_len - P9_READ_HDR)
			n = -EIO;
	}
	p9_req_free(req);
	return n;
}
