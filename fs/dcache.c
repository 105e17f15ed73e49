/*
 * dcache.c - the cache of names.
 *
 * A hash table over (directory, name) finds entries; each also hangs in its parent's list of children, so
 * that a directory with cached entries is never unused. What nobody holds stays hashed, on the LRU
 * list, until there are more than a limit or memory is wanted.
 *
 * dcache_lock guards the table, the tree's links, names and d_inode of hashed entries, and every step
 * of a count up from zero. It is held for whole cached path walks: they are short, and cost no atomic
 * operation for the names in between.
 */
#include "fs/internal.h"
#include "lib/hash.h"
#include <quire/slab.h>

#define DENTRY_HASH_BITS 11

spinlock_t dcache_lock;
static struct hlist_head dentry_hash[1 << DENTRY_HASH_BITS];
static LIST_HEAD(dentry_lru); /* (d) oldest first */
static uint64_t nr_unused;    /* (d) */
static uint64_t max_unused = 1024;
static uint64_t last_pos = 2; /* (d) behind "." and ".." */
static struct kmem_cache *dentry_cache;

struct qstr qstr_init(const char *name, size_t len)
{
	return (struct qstr){name, (uint32_t)len, (uint32_t)hash_string(name, len)};
}

static struct hlist_head *d_bucket(const struct dentry *parent, uint32_t hash)
{
	return &dentry_hash[hash_64((uintptr_t)parent / CACHELINE ^ (uint64_t)hash << 16,
	                            DENTRY_HASH_BITS)];
}

static char *name_space(struct dentry *dentry, uint32_t len)
{
	return len < D_NAME_INLINE ? dentry->d_iname : kmalloc(len + 1, GFP_KERNEL);
}

static struct dentry *__d_alloc(struct super_block *sb, const struct qstr *name)
{
	struct dentry *dentry = kmem_cache_alloc(dentry_cache, GFP_KERNEL | __GFP_ZERO);
	char *text;

	if (!dentry)
		return NULL;
	text = name_space(dentry, name->len);
	if (!text) {
		kmem_cache_free(dentry_cache, dentry);
		return NULL;
	}
	memcpy(text, name->name, name->len);
	text[name->len] = '\0';
	dentry->d_name = (struct qstr){text, name->len, name->hash};
	dentry->d_flags = DCACHE_UNHASHED;
	dentry->d_sb = sb;
	dentry->d_expires = D_NEVER;
	dentry->d_parent = dentry;
	refcount_set(&dentry->d_count, 1);
	INIT_HLIST_NODE(&dentry->d_hash);
	INIT_LIST_HEAD(&dentry->d_child);
	INIT_LIST_HEAD(&dentry->d_subdirs);
	INIT_LIST_HEAD(&dentry->d_lru);
	return dentry;
}

/* d_subdirs is in falling order of d_pos. */
static void d_link_locked(struct dentry *dentry, struct dentry *parent)
{
	dentry->d_parent = parent;
	dentry->d_pos = ++last_pos;
	list_add(&dentry->d_child, &parent->d_subdirs);
}

struct dentry *d_alloc(struct dentry *parent, const struct qstr *name)
{
	struct dentry *dentry = __d_alloc(parent->d_sb, name);

	if (!dentry)
		return NULL;
	dget(parent);
	spin_lock(&dcache_lock);
	d_link_locked(dentry, parent);
	spin_unlock(&dcache_lock);
	return dentry;
}

struct dentry *d_alloc_pseudo(struct super_block *sb, const char *name)
{
	struct qstr q = qstr_init(name, strlen(name));

	return __d_alloc(sb, &q);
}

struct dentry *d_make_root(struct inode *inode)
{
	struct dentry *root = d_alloc_pseudo(inode->i_sb, "/");

	if (!root) {
		iput(inode);
		return NULL;
	}
	root->d_inode = inode;
	return root;
}

/* --- counts ------------------------------------------------------------------------------------ */

struct dentry *dget_locked(struct dentry *dentry)
{
	if (refcount_read(&dentry->d_count) == 0) {
		list_del_init(&dentry->d_lru);
		nr_unused--;
	}
	return dget(dentry);
}

static void d_unhash_locked(struct dentry *dentry)
{
	if (!(dentry->d_flags & DCACHE_UNHASHED)) {
		hlist_del_init(&dentry->d_hash);
		dentry->d_flags |= DCACHE_UNHASHED;
	}
}

/* Out of every list; count is 0 and stays so, for nothing leads to it any more. */
static void d_detach_locked(struct dentry *dentry)
{
	d_unhash_locked(dentry);
	list_del_init(&dentry->d_child);
	if (!list_empty(&dentry->d_lru)) {
		list_del_init(&dentry->d_lru);
		nr_unused--;
	}
}

/* Frees a detached dentry; the reference to its parent is the caller's now (NULL: it had none). Sleeps. */
static struct dentry *d_free(struct dentry *dentry)
{
	struct dentry *parent = dentry->d_parent == dentry ? NULL : dentry->d_parent;

	if (dentry->d_sb->s_op->d_release)
		dentry->d_sb->s_op->d_release(dentry);
	iput(dentry->d_inode);
	if (dentry->d_name.name != dentry->d_iname)
		kfree((void *)dentry->d_name.name);
	kmem_cache_free(dentry_cache, dentry);
	return parent;
}

/* The last reference may be the one dropped. True: dentry is detached and to be freed. */
static bool dput_last(struct dentry *dentry)
{
	bool dead;

	spin_lock(&dcache_lock);
	if (!refcount_dec_and_test(&dentry->d_count)) {
		spin_unlock(&dcache_lock);
		return false;
	}
	dead = dentry->d_flags & (DCACHE_UNHASHED | DCACHE_TRANSIENT);
	if (dead) {
		d_detach_locked(dentry);
	} else {
		list_add_tail(&dentry->d_lru, &dentry_lru);
		nr_unused++;
	}
	spin_unlock(&dcache_lock);
	return dead;
}

static bool dput_fast(struct dentry *dentry)
{
	int32_t n = refcount_read(&dentry->d_count);

	while (n > 1)
		if (atomic_compare_exchange_weak(&dentry->d_count.n, &n, n - 1))
			return true;
	return false;
}

void dput(struct dentry *dentry)
{
	while (dentry && !dput_fast(dentry)) {
		if (!dput_last(dentry)) {
			if (unlikely(READ_ONCE(nr_unused) > max_unused))
				shrink_dcache(32);
			return;
		}
		dentry = d_free(dentry);
	}
}

/* Detach the oldest unused dentry; NULL: there is none. */
static struct dentry *take_unused(void)
{
	struct dentry *dentry;

	spin_lock(&dcache_lock);
	dentry = list_first_entry_or_null(&dentry_lru, struct dentry, d_lru);
	if (dentry)
		d_detach_locked(dentry);
	spin_unlock(&dcache_lock);
	return dentry;
}

uint64_t nr_dentry_unused(void)
{
	return READ_ONCE(nr_unused);
}

uint64_t shrink_dcache(uint64_t max)
{
	struct dentry *dentry;
	uint64_t n = 0;

	while (n < max && (dentry = take_unused())) {
		dput(d_free(dentry));
		n++;
	}
	return n;
}

/* Detach all unused ones of sb in one walk: onto `batch`, by the LRU's link, which they need no more. */
static void take_unused_of(struct super_block *sb, struct list_head *batch)
{
	struct dentry *dentry, *next;

	spin_lock(&dcache_lock);
	list_for_each_entry_safe(dentry, next, &dentry_lru, d_lru) {
		if (dentry->d_sb != sb)
			continue;
		d_detach_locked(dentry);
		list_add_tail(&dentry->d_lru, batch);
	}
	spin_unlock(&dcache_lock);
}

/* A walk for each level of the tree at most: a directory becomes unused when its last entry goes. */
void shrink_dcache_sb(struct super_block *sb)
{
	LIST_HEAD(batch);
	struct dentry *dentry, *next;

	while (take_unused_of(sb, &batch), !list_empty(&batch)) {
		list_for_each_entry_safe(dentry, next, &batch, d_lru) {
			list_del(&dentry->d_lru);
			dput(d_free(dentry));
		}
	}
}

/* --- finding and changing -------------------------------------------------------------------------- */

struct dentry *__d_lookup(struct dentry *parent, const struct qstr *name)
{
	struct dentry *dentry;

	hlist_for_each_entry(dentry, d_bucket(parent, name->hash), d_hash)
		if (dentry->d_name.hash == name->hash && dentry->d_parent == parent &&
		    dentry->d_name.len == name->len &&
		    !memcmp(dentry->d_name.name, name->name, name->len))
			return dentry;
	return NULL;
}

struct dentry *d_lookup(struct dentry *parent, const struct qstr *name)
{
	struct dentry *dentry;

	spin_lock(&dcache_lock);
	dentry = __d_lookup(parent, name);
	if (dentry)
		dentry = dentry->d_inode ? dget_locked(dentry) : NULL;
	spin_unlock(&dcache_lock);
	return dentry;
}

static void d_rehash_locked(struct dentry *dentry)
{
	hlist_add_head(&dentry->d_hash, d_bucket(dentry->d_parent, dentry->d_name.hash));
	dentry->d_flags &= ~DCACHE_UNHASHED;
}

void d_add(struct dentry *dentry, struct inode *inode)
{
	spin_lock(&dcache_lock);
	dentry->d_inode = inode;
	d_rehash_locked(dentry);
	spin_unlock(&dcache_lock);
}

void d_instantiate(struct dentry *dentry, struct inode *inode)
{
	spin_lock(&dcache_lock);
	dentry->d_inode = inode;
	spin_unlock(&dcache_lock);
}

void d_drop(struct dentry *dentry)
{
	spin_lock(&dcache_lock);
	d_unhash_locked(dentry);
	spin_unlock(&dcache_lock);
}

void d_delete(struct dentry *dentry)
{
	d_drop(dentry);
}

/* Exchange the names; inline ones are in the dentries themselves. */
static void swap_names_locked(struct dentry *a, struct dentry *b)
{
	bool a_inline = a->d_name.name == a->d_iname, b_inline = b->d_name.name == b->d_iname;
	struct qstr name = a->d_name;
	char text[D_NAME_INLINE];

	memcpy(text, a->d_iname, sizeof(text));
	memcpy(a->d_iname, b->d_iname, sizeof(text));
	memcpy(b->d_iname, text, sizeof(text));
	a->d_name = b->d_name;
	b->d_name = name;
	if (b_inline)
		a->d_name.name = a->d_iname;
	if (a_inline)
		b->d_name.name = b->d_iname;
}

/* Names and parents change places; both are unhashed meanwhile. References to parents go along. */
static void d_swap_places_locked(struct dentry *a, struct dentry *b)
{
	struct dentry *pa = a->d_parent, *pb = b->d_parent;

	d_unhash_locked(a);
	d_unhash_locked(b);
	swap_names_locked(a, b);
	list_del(&a->d_child);
	list_del(&b->d_child);
	d_link_locked(a, pb);
	d_link_locked(b, pa);
	d_rehash_locked(a);
}

void d_move(struct dentry *dentry, struct dentry *target)
{
	spin_lock(&dcache_lock);
	d_swap_places_locked(dentry, target);
	spin_unlock(&dcache_lock);
}

void d_exchange(struct dentry *a, struct dentry *b)
{
	spin_lock(&dcache_lock);
	d_swap_places_locked(a, b);
	d_rehash_locked(b);
	spin_unlock(&dcache_lock);
}

bool d_is_ancestor(struct dentry *a, struct dentry *d)
{
	bool found;

	spin_lock(&dcache_lock);
	while (d != a && d->d_parent != d)
		d = d->d_parent;
	found = d == a;
	spin_unlock(&dcache_lock);
	return found;
}

/* Unpin every dentry below root, leaves first. */
void d_genocide(struct dentry *root)
{
	for (;;) {
		struct dentry *d = root, *child;
		bool pinned = false;

		spin_lock(&dcache_lock);
	again:
		list_for_each_entry(child, &d->d_subdirs, d_child) {
			if (child->d_flags & DCACHE_PINNED) {
				d = child;
				pinned = true;
				goto again;
			}
		}
		if (pinned) {
			d->d_flags &= ~DCACHE_PINNED;
			d_unhash_locked(d);
		}
		spin_unlock(&dcache_lock);
		if (!pinned)
			return;
		dput(d);
	}
}

/* --- paths ---------------------------------------------------------------------------------------- */

static bool prepend(char *buf, char **p, const char *s, size_t n)
{
	if ((size_t)(*p - buf) < n)
		return false;
	*p -= n;
	memcpy(*p, s, n);
	return true;
}

/* Names from dentry up to root; dcache_lock held. */
static bool prepend_path(struct dentry *dentry, struct dentry *root, char *buf, char **p)
{
	char *end = *p;

	while (dentry != root) {
		struct dentry *parent = dentry->d_parent;

		if (dentry == parent) { /* a mounted root, or the root of all */
			if (!dentry->d_sb->s_mountpoint)
				break;
			dentry = dentry->d_sb->s_mountpoint;
			continue;
		}
		if (!prepend(buf, p, dentry->d_name.name, dentry->d_name.len) ||
		    !prepend(buf, p, "/", 1))
			return false;
		dentry = parent;
	}
	return *p != end || prepend(buf, p, "/", 1);
}

/* A dentry that hangs in no tree shows its name. */
static bool d_is_pseudo(const struct dentry *dentry)
{
	return dentry->d_parent == dentry && dentry->d_sb->s_root != dentry;
}

char *d_path(struct dentry *dentry, char *buf, size_t size)
{
	struct dentry *root = fs_get_root(current->fs);
	char *p = buf + size;
	bool ok = size > 0 && prepend(buf, &p, "", 1);

	spin_lock(&dcache_lock);
	if (ok && d_unlinked(dentry))
		ok = prepend(buf, &p, " (deleted)", 10);
	if (ok && d_is_pseudo(dentry))
		ok = prepend(buf, &p, dentry->d_name.name, dentry->d_name.len);
	else if (ok)
		ok = prepend_path(dentry, root, buf, &p);
	spin_unlock(&dcache_lock);
	dput(root);
	return ok ? p : ERR_PTR(-ENAMETOOLONG);
}

/* Unused names may take about a hundredth of memory: a dentry and its inode are some 800 bytes. */
void dcache_init(void)
{
	uint64_t limit = totalram_pages() * PAGE_SIZE / 100 / 800;

	max_unused = MIN(MAX(limit, 256), 65536);
	dentry_cache = kmem_cache_create("dentry", sizeof(struct dentry), 0,
	                                 SLAB_PANIC | SLAB_RECLAIM_ACCOUNT, NULL);
}
