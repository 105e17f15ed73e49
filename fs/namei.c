/*
 * namei.c - from a path to a dentry.
 *
 * The walk goes as far as the cache knows under dcache_lock, without touching any count: stat of a cached path
 * is one lock, one hash probe a component, one reference. It leaves the lock to ask a file system for a name
 * that is not cached, to see whether an entry that has expired is still right, and to read a symlink; then goes on.
 *
 * Each directory on the way must be searchable by the task: LOOKUP_SEARCHED says, once for the walk, that it has the
 * capability for all of them.
 *
 * A symlink's text takes the place of the path; what was left of that waits on a stack. At most 40 links
 * are followed in one lookup (ELOOP).
 */
#include "fs/internal.h"
#include <quire/slab.h>

char *getname(vaddr_t addr, bool empty_ok)
{
	char *name = kmalloc(PATH_MAX, GFP_KERNEL);
	int64_t n;

	if (!name)
		return ERR_PTR(-ENOMEM);
	n = strncpy_from_user(name, addr, PATH_MAX);
	if (n == 0 && !empty_ok)
		n = -ENOENT;
	if (n < 0) {
		kfree(name);
		return ERR_PTR(n);
	}
	return name;
}

void putname(char *name)
{
	kfree(name);
}

/* --- one name ------------------------------------------------------------------------------------ */

static bool d_expired(struct dentry *dentry)
{
	uint64_t expires = atomic_load_explicit(&dentry->d_expires, memory_order_relaxed);

	return unlikely(expires != D_NEVER) && port_now_ns() > expires;
}

/* Reference held. 1: use it; 0: it was dropped, look again; -errno. */
static int d_revalidate(struct dentry *dentry)
{
	int ok;

	if (!d_expired(dentry) || !dentry->d_sb->s_op->d_revalidate)
		return 1;
	ok = dentry->d_sb->s_op->d_revalidate(dentry);
	if (ok == 0)
		d_drop(dentry);
	return ok;
}

static struct dentry *lookup_cached(struct dentry *dir, const struct qstr *name)
{
	struct dentry *dentry;

	spin_lock(&dcache_lock);
	dentry = __d_lookup(dir, name);
	if (dentry)
		dget_locked(dentry);
	spin_unlock(&dcache_lock);
	return dentry;
}

/* Ask the file system; i_rwsem of dir is held for writing. */
static struct dentry *lookup_real(struct dentry *dir, const struct qstr *name)
{
	struct inode *inode, *dir_inode = dir->d_inode;
	struct dentry *dentry;

	dentry = d_alloc(dir, name);
	if (!dentry)
		return ERR_PTR(-ENOMEM);
	inode = dir_inode->i_op->lookup(dir_inode, dentry);
	if (IS_ERR(inode)) {
		dput(dentry);
		return (struct dentry *)inode;
	}
	d_add(dentry, inode);
	return dentry;
}

struct dentry *lookup_one_locked(struct dentry *dir, const struct qstr *name)
{
	struct dentry *dentry;

	if (name->len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	/* Also when the name is cached: nothing may be made where an absent one was seen before the directory went. */
	if (d_unlinked(dir))
		return ERR_PTR(-ENOENT);
	while ((dentry = lookup_cached(dir, name))) {
		int ok = d_revalidate(dentry);

		if (ok > 0)
			return dentry;
		dput(dentry);
		if (ok < 0)
			return ERR_PTR(ok);
	}
	return lookup_real(dir, name);
}

/* Through what is mounted on it; takes the reference over. */
static struct dentry *cross_mounts(struct dentry *dentry)
{
	struct dentry *covered = dentry;

	spin_lock(&dcache_lock);
	while (dentry->d_mounted)
		dentry = dentry->d_mounted->s_root;
	if (dentry != covered)
		dget(dentry);
	spin_unlock(&dcache_lock);
	if (dentry != covered)
		dput(covered);
	return dentry;
}

struct dentry *lookup_one(struct dentry *dir, const struct qstr *name)
{
	struct dentry *dentry;

	if (name->len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	if (!d_is_dir(dir) || !dir->d_inode->i_op->lookup)
		return ERR_PTR(-ENOTDIR);
	dentry = lookup_cached(dir, name);
	if (!dentry || d_expired(dentry)) {
		dput(dentry);
		down_write(&dir->d_inode->i_rwsem);
		dentry = lookup_one_locked(dir, name);
		up_write(&dir->d_inode->i_rwsem);
	}
	return IS_ERR(dentry) ? dentry : cross_mounts(dentry);
}

/* --- where a walk starts ----------------------------------------------------------------------------- */

static struct dentry *nd_root(struct nameidata *nd)
{
	if (!nd->root)
		nd->root = nd->flags & LOOKUP_IN_ROOT ? dget(root_super->s_root)
		                                      : fs_get_root(current->fs);
	return nd->root;
}

static void set_place(struct nameidata *nd, struct dentry *dentry)
{
	dput(nd->held);
	nd->held = nd->at = dentry;
}

static int start_at_fd(struct nameidata *nd, int dirfd)
{
	struct fd f = fdget_raw(dirfd);
	int err = 0;

	if (!f.file)
		return -EBADF;
	if (*nd->name && !d_is_dir(f.file->f_dentry))
		err = -ENOTDIR;
	else
		set_place(nd, dget(f.file->f_dentry));
	fdput(f);
	return err;
}

#define SEARCH_CAPS (1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_DAC_OVERRIDE)

static int path_init(struct nameidata *nd, int dirfd, const char *name, unsigned flags)
{
	memset(nd, 0, offsetof(struct nameidata, stack));
	nd->name = name;
	nd->flags = flags;
	if (flags & LOOKUP_IN_ROOT || file_cred()->cap_effective & SEARCH_CAPS)
		nd->flags |= LOOKUP_SEARCHED;
	if (!*name && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	if (*name == '/')
		set_place(nd, cross_mounts(dget(nd_root(nd))));
	else if (dirfd == AT_FDCWD)
		set_place(nd, flags & LOOKUP_IN_ROOT ? dget(nd_root(nd)) : fs_get_pwd(current->fs));
	else
		return start_at_fd(nd, dirfd);
	return 0;
}

void nd_end(struct nameidata *nd)
{
	while (nd->depth)
		kfree(nd->stack[--nd->depth].body);
	kfree(nd->body);
	dput(nd->held);
	dput(nd->root);
	nd->body = NULL;
	nd->held = nd->root = NULL;
}

/* --- the walk ------------------------------------------------------------------------------------------- */

/* Leave dcache_lock with a reference to where we are. */
static void leave_cached(struct nameidata *nd)
{
	struct dentry *old = nd->held;

	if (nd->at != old)
		nd->held = dget_locked(nd->at);
	spin_unlock(&dcache_lock);
	if (nd->held != old)
		dput(old);
}

/* May the task look for names here? dcache_lock held; let go meanwhile if the file system must be asked. */
static int may_lookup(struct nameidata *nd)
{
	struct inode *inode = nd->at->d_inode;
	int err;

	if (!S_ISDIR(inode->i_mode)) /* which walk_cached() will say */
		return 0;
	if (!inode->i_op->permission)
		return generic_permission(inode, MAY_EXEC);
	leave_cached(nd);
	err = inode_permission(nd->held, MAY_EXEC);
	spin_lock(&dcache_lock);
	return err;
}

/* ".." with dcache_lock held: not above the root, back through mounts. */
static void follow_dotdot(struct nameidata *nd)
{
	struct dentry *d = nd->at;

	while (d != nd->root && d->d_parent == d && d->d_sb->s_mountpoint)
		d = d->d_sb->s_mountpoint;
	if (d != nd->root)
		d = d->d_parent;
	while (d != nd->root && d->d_mounted)
		d = d->d_mounted->s_root;
	nd->at = d;
}

/* The next component, past slashes. False: the path has ended. */
static bool next_component(struct nameidata *nd, struct qstr *q, bool *last)
{
	const char *p;

	for (;;) {
		while (*nd->name == '/')
			nd->name++;
		if (*nd->name)
			break;
		if (!nd->depth)
			return false;
		kfree(nd->body);
		nd->depth--;
		nd->name = nd->stack[nd->depth].name;
		nd->body = nd->stack[nd->depth].body;
	}
	for (p = nd->name; *p && *p != '/'; p++)
		;
	*q = qstr_init(nd->name, (size_t)(p - nd->name));
	if (*p == '/') {
		while (*p == '/')
			p++;
		if (!*p && !nd->depth)
			nd->flags |= LOOKUP_DIRECTORY | LOOKUP_FOLLOW;
	}
	nd->name = p;
	*last = !*p && !nd->depth;
	return true;
}

static inline unsigned dots(const struct qstr *q)
{
	if (q->name[0] != '.' || q->len > 2)
		return 0;
	return q->len == 1 ? 1 : q->name[1] == '.' ? 2 : 0;
}

/* The text of a symlink takes the path's place. */
static int push_link(struct nameidata *nd, char *body)
{
	if (*nd->name) {
		nd->stack[nd->depth].name = nd->name;
		nd->stack[nd->depth++].body = nd->body;
	} else {
		kfree(nd->body);
	}
	nd->body = body;
	nd->name = body;
	if (!*body)
		return -ENOENT;
	if (*body == '/')
		set_place(nd, cross_mounts(dget(nd_root(nd))));
	return 0;
}

char *read_link(struct dentry *link)
{
	struct inode *inode = link->d_inode;
	char *body;

	if (inode->i_link)
		body = kstrdup(inode->i_link, GFP_KERNEL);
	else
		body = inode->i_op->get_link ? inode->i_op->get_link(link) : ERR_PTR(-EINVAL);
	return body ? body : ERR_PTR(-ENOMEM);
}

/* Follow the symlink: takes its reference over. Sleeps. */
static int step_link(struct nameidata *nd, struct dentry *link)
{
	struct inode *inode = link->d_inode;
	void *to;

	if (nd->links++ >= MAXSYMLINKS) {
		dput(link);
		return -ELOOP;
	}
	if (inode->i_op->jump_link) {
		to = inode->i_op->jump_link(link);
		dput(link);
		if (IS_ERR(to))
			return (int)PTR_ERR(to);
		set_place(nd, to);
		return 0;
	}
	to = read_link(link);
	dput(link);
	return IS_ERR(to) ? (int)PTR_ERR(to) : push_link(nd, to);
}

/* A component that the cache cannot answer alone; no lock held. */
static int walk_slow(struct nameidata *nd, const struct qstr *q, bool last)
{
	struct dentry *child = lookup_one(nd->at, q);

	if (IS_ERR(child))
		return (int)PTR_ERR(child);
	if (d_is_negative(child)) {
		dput(child);
		return -ENOENT;
	}
	if (S_ISLNK(child->d_inode->i_mode) && (!last || nd->flags & LOOKUP_FOLLOW))
		return step_link(nd, child);
	set_place(nd, child);
	return 0;
}

/* dcache_lock held. 0: moved on; 1: walk_slow() has to; -errno. */
static int walk_cached(struct nameidata *nd, const struct qstr *q, bool last)
{
	struct dentry *child;

	if (unlikely(!S_ISDIR(nd->at->d_inode->i_mode)))
		return -ENOTDIR;
	switch (dots(q)) {
	case 1:
		return 0;
	case 2:
		follow_dotdot(nd);
		return 0;
	}
	child = __d_lookup(nd->at, q);
	if (!child || d_expired(child))
		return 1;
	if (!child->d_inode)
		return -ENOENT;
	while (child->d_mounted)
		child = child->d_mounted->s_root;
	if (S_ISLNK(child->d_inode->i_mode) && (!last || nd->flags & LOOKUP_FOLLOW))
		return 1;
	nd->at = child;
	return 0;
}

/*
 * Walk to the end, or (parent) up to the last component. next_component() may free memory and nd_root() takes a
 * spin lock of its own: both are fine under dcache_lock, which is the outer one.
 */
static int link_path_walk(struct nameidata *nd, bool parent)
{
	struct qstr q;
	bool last;
	int err = 0;

	nd_root(nd);
	spin_lock(&dcache_lock);
	while (next_component(nd, &q, &last)) {
		if (unlikely(!(nd->flags & LOOKUP_SEARCHED))) {
			err = may_lookup(nd);
			if (err)
				break;
		}
		if (parent && last) {
			nd->last = q;
			nd->last_dots = dots(&q);
			break;
		}
		err = walk_cached(nd, &q, last);
		if (likely(!err))
			continue;
		if (err < 0)
			break;
		leave_cached(nd);
		err = walk_slow(nd, &q, last);
		spin_lock(&dcache_lock);
		if (err)
			break;
	}
	leave_cached(nd);
	if (err)
		return err;
	if (!d_is_dir(nd->at) && (parent || nd->flags & LOOKUP_DIRECTORY))
		return -ENOTDIR;
	return 0;
}

int filename_lookup(int dirfd, const char *name, unsigned flags, struct dentry **dentry)
{
	struct nameidata nd;
	int err = path_init(&nd, dirfd, name, flags);

	if (!err)
		err = link_path_walk(&nd, false);
	*dentry = NULL;
	if (!err) {
		*dentry = nd.held;
		nd.held = NULL;
	}
	nd_end(&nd);
	return err;
}

int filename_parent(struct nameidata *nd, int dirfd, const char *name, unsigned flags)
{
	int err = path_init(nd, dirfd, name, flags);

	return err ? err : link_path_walk(nd, true);
}

int follow_last(struct nameidata *nd, struct dentry *link)
{
	int err;

	nd->last.name = NULL;
	err = step_link(nd, dget(link));
	if (!err && nd->name != nd->body) /* a magic link: we are there */
		return 0;
	return err ? err : link_path_walk(nd, true);
}

int kern_path(const char *name, unsigned flags, struct dentry **dentry)
{
	return filename_lookup(AT_FDCWD, name, flags, dentry);
}

int user_path_at(int dirfd, vaddr_t addr, unsigned flags, struct dentry **dentry)
{
	char *name = getname(addr, flags & LOOKUP_EMPTY);
	int err;

	if (IS_ERR(name))
		return (int)PTR_ERR(name);
	err = filename_lookup(dirfd, name, flags, dentry);
	putname(name);
	return err;
}
