/*
 * 9p_file.c - contents of files of a 9P share: opening, pages, and writing back.
 *
 * All opens of a file share one fid open for reading and one open for writing, kept while the inode
 * lives, so that only the first open asks the server. On a read-only share the name's own fid is
 * opened, which saves a round trip; where files can be renamed or removed by us it stays as it is
 * and a clone is opened.
 *
 * Reads go from the server straight into page-cache pages, up to P9_MAX_PAGES in one request.
 * Writes make pages dirty; they go to the server in runs when a descriptor is closed, at fsync,
 * msync and sync.
 */
#include "fs/9p_fs.h"

#include "lib/string.h"
#include <quire/slab.h>
#include <quire/trace.h>

/* --- opening ---------------------------------------------------------------------------------- */

/* A fid of its own for the name, opened. ERR_PTR. */
static struct p9_fid *open_clone(struct dentry *dentry, uint32_t flags)
{
	struct p9_fid *fid = p9_walk(dentry_fid(dentry), NULL, 0, NULL);
	int err;

	if (IS_ERR(fid))
		return fid;
	err = p9_lopen(fid, flags);
	if (!err)
		return fid;
	p9_fid_put(fid);
	return ERR_PTR(err);
}

static int open_for_read(struct p9_inode *p9i, struct dentry *dentry)
{
	struct p9_fid *fid;

	if (p9i->rfid)
		return 0;
	if (dentry->d_sb->s_flags & MS_RDONLY) {
		int err = p9_lopen(dentry_fid(dentry), O_RDONLY);

		if (!err)
			p9i->rfid = p9_fid_get(dentry_fid(dentry));
		return err;
	}
	fid = open_clone(dentry, O_RDONLY);
	if (IS_ERR(fid))
		return (int)PTR_ERR(fid);
	p9i->rfid = fid;
	return 0;
}

/* Both ways if the server lets us: a page that is written in part is read first. */
static int open_for_write(struct p9_inode *p9i, struct dentry *dentry)
{
	struct p9_fid *fid;

	if (p9i->wfid)
		return 0;
	fid = open_clone(dentry, O_RDWR);
	if (fid == ERR_PTR(-EACCES))
		fid = open_clone(dentry, O_WRONLY);
	else if (!IS_ERR(fid) && !p9i->rfid)
		p9i->rfid = p9_fid_get(fid);
	if (IS_ERR(fid))
		return (int)PTR_ERR(fid);
	p9i->wfid = fid;
	return 0;
}

static int p9_file_open(struct inode *inode, struct file *file)
{
	struct p9_inode *p9i = P9_I(inode);
	int err = 0;

	mutex_lock(&p9i->lock);
	if (file->f_mode & FMODE_WRITE)
		err = open_for_write(p9i, file->f_dentry);
	if (!err && file->f_mode & (FMODE_READ | FMODE_EXEC))
		err = open_for_read(p9i, file->f_dentry);
	if (!err && file->f_mode & FMODE_WRITE)
		p9i->writers++;
	mutex_unlock(&p9i->lock);
	return err;
}

static void p9_file_release(struct inode *inode, struct file *file)
{
	struct p9_inode *p9i = P9_I(inode);

	if (!(file->f_mode & FMODE_WRITE))
		return;
	if (p9_flush_inode(inode))
		port_log("9p: file %llu: data could not be written to the host",
		         (unsigned long long)inode->i_ino);
	mutex_lock(&p9i->lock);
	p9i->writers--;
	p9i->wrote = true;
	mutex_unlock(&p9i->lock);
	p9_expire_attr(inode);
}

/* --- reading pages ---------------------------------------------------------------------------- */

static void add_pages(struct p9_req *req, struct page **pages, size_t from, size_t to)
{
	for (size_t at = from; at < to;) {
		size_t in_page = at & (PAGE_SIZE - 1);
		size_t n = MIN(PAGE_SIZE - in_page, to - at);
		phys_t addr = page_to_phys(pages[at >> PAGE_SHIFT]);

		p9_io_add(req, PHYS(addr.a + in_page), (uint32_t)n);
		at += n;
	}
}

/* Bytes [from, to) of the pages from the server: how far it came. */
static int64_t read_bytes(struct p9_inode *p9i, struct page **pages, size_t from, size_t to)
{
	uint64_t start = (uint64_t)pages[0]->index << PAGE_SHIFT;

	while (from < to) {
		struct p9_req *req =
		        p9_io_new(p9i->rfid, P9_TREAD, (unsigned)PAGES_OF(to - from) + 1);
		int64_t n;

		if (!req)
			return -ENOMEM;
		add_pages(req, pages, from, to);
		n = p9_io(req, start + from);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		from += (size_t)n;
	}
	return (int64_t)from;
}

static void zero_tail(struct page **pages, size_t from, size_t to)
{
	while (from < to) {
		size_t in_page = from & (PAGE_SIZE - 1);

		memset((char *)page_address(pages[from >> PAGE_SHIFT]) + in_page, 0,
		       PAGE_SIZE - in_page);
		from += PAGE_SIZE - in_page;
	}
}

/* At most P9_MAX_PAGES pages. After the end of the file nothing is asked. */
static int read_chunk(struct address_space *mapping, struct page **pages, unsigned n)
{
	uint64_t start = (uint64_t)pages[0]->index << PAGE_SHIFT;
	uint64_t size = atomic_load_explicit(&mapping->i_size, memory_order_relaxed);
	size_t all = (size_t)n << PAGE_SHIFT;
	size_t want = size > start ? MIN(all, size - start) : 0;
	int64_t got = want ? read_bytes(P9_I(mapping->host), pages, 0, want) : 0;

	if (got < 0)
		return (int)got;
	zero_tail(pages, (size_t)got, all);
	for (unsigned i = 0; i < n; i++)
		page_set_flag(pages[i], PG_uptodate);
	return 0;
}

static unsigned max_pages(struct address_space *mapping)
{
	struct inode *inode = mapping->host;
	struct p9_client *c = inode->i_sb->s_fs_info;

	return (c->msize - 24) >> PAGE_SHIFT;
}

static int p9_readpages(struct address_space *mapping, struct page **pages, unsigned n)
{
	unsigned max = max_pages(mapping);

	if (!P9_I(mapping->host)->rfid)
		return -EBADF;
	for (unsigned i = 0; i < n; i += max) {
		int err = read_chunk(mapping, pages + i, MIN(n - i, max));

		if (err)
			return err;
	}
	return 0;
}

/* --- writing back ----------------------------------------------------------------------------- */

/* n locked pages of consecutive index, to the server; only as far as the file goes. */
static int write_pages(struct address_space *mapping, struct page **pages, unsigned n)
{
	struct p9_inode *p9i = P9_I(mapping->host);
	uint64_t start = (uint64_t)pages[0]->index << PAGE_SHIFT;
	uint64_t size = atomic_load_explicit(&mapping->i_size, memory_order_relaxed);
	size_t to = size > start ? MIN((size_t)n << PAGE_SHIFT, size - start) : 0, from = 0;

	if (!p9i->wfid)
		return -EBADF;
	while (from < to) {
		struct p9_req *req =
		        p9_io_new(p9i->wfid, P9_TWRITE, (unsigned)PAGES_OF(to - from) + 1);
		int64_t moved;

		if (!req)
			return -ENOMEM;
		add_pages(req, pages, from, to);
		req->interruptible = false;
		moved = p9_io(req, start + from);
		if (moved < 0)
			return (int)moved;
		if (moved == 0)
			return -EIO;
		from += (size_t)moved;
	}
	return 0;
}

/*
 * The page after the last, if it is dirty and can be had without waiting: locked, with a reference.
 * Else NULL.
 */
static struct page *next_dirty_page(struct address_space *mapping, uint64_t index)
{
	struct page *page = find_get_page(mapping, index);

	if (!page)
		return NULL;
	if (page_flag(page, PG_dirty) && !page_mapcount(page) && trylock_page(page)) {
		if (page_mapping(page) == mapping && page_flag(page, PG_dirty) &&
		    !page_mapcount(page))
			return page;
		unlock_page(page);
	}
	put_page(page);
	return NULL;
}

static void end_run(struct address_space *mapping, struct page **pages, unsigned n, int err)
{
	for (unsigned i = 0; i < n; i++) {
		if (err) {
			set_page_dirty(pages[i]);
		} else {
			clear_dirty_tag(mapping, pages[i]);
			count_n(PGPGOUT, PAGE_SIZE >> 10);
		}
		unlock_page(pages[i]);
		put_page(pages[i]);
	}
}

#define WRITE_RUN 64 /* pages of a request; their array is on the stack */

/* The page, and with it the dirty ones behind it: a request costs much and a page little. */
static int p9_writepage(struct address_space *mapping, struct page *page)
{
	unsigned max = MIN(max_pages(mapping), WRITE_RUN), n = 1;
	struct page *pages[WRITE_RUN] = {page};
	int err;

	page_clear_flag(page, PG_dirty);
	while (n < max && (pages[n] = next_dirty_page(mapping, page->index + (uint64_t)n)))
		page_clear_flag(pages[n++], PG_dirty);
	err = write_pages(mapping, pages, n);
	end_run(mapping, pages + 1, n - 1, err);
	return err;
}

int p9_flush_inode(struct inode *inode)
{
	if (!inode->i_mapping || !inode->i_mapping->nrpages)
		return 0;
	return filemap_write_and_wait_range(inode->i_mapping, 0, UINT32_MAX);
}

const struct address_space_operations p9_aops = {
        .readpages = p9_readpages,
        .writepage = p9_writepage,
};

/* --- files ------------------------------------------------------------------------------------ */

static int p9_file_flush(struct file *file)
{
	return file->f_mode & FMODE_WRITE ? p9_flush_inode(file->f_inode) : 0;
}

static int p9_file_fsync(struct file *file, uint64_t start, uint64_t end, bool datasync)
{
	struct p9_inode *p9i = P9_I(file->f_inode);
	int err = generic_fsync(file, start, end, datasync);

	if (err || !p9i->wfid)
		return err;
	return p9_fsync(p9i->wfid, datasync);
}

const struct file_operations p9_file_fops = {
        .open = p9_file_open,
        .release = p9_file_release,
        .read_iter = generic_file_read_iter,
        .write_iter = generic_file_write_iter,
        .fsync = p9_file_fsync,
        .flush = p9_file_flush,
};

const struct inode_operations p9_file_iops = {
        .getattr = p9_getattr_op,
        .setattr = p9_setattr_op,
        .permission = p9_permission,
};
