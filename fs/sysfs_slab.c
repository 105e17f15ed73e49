/*
 * sysfs_slab.c - /sys/kernel/slab: a directory for each cache of kernel objects, a symbolic link for each other name of
 * it, one number a file. Names and meanings are Linux's (Documentation/ABI/testing/sysfs-kernel-slab).
 *
 * Caches come and go, so nothing here is kept: names are looked for when they are asked for. A directory is called as its
 * cache; a cache that has gone reads as -ENOENT.
 */
#include "fs/internal.h"
#include "fs/proc.h"
#include "fs/sysfs.h"
#include "lib/string.h"

#include <quire/slab.h>

#define NUMBER(field)                                         \
	static uint64_t get_##field(const struct slabinfo *i) \
	{                                                     \
		return i->field;                              \
	}
NUMBER(object_size)
NUMBER(align)
NUMBER(aliases)
NUMBER(alloc_fastpath)
NUMBER(alloc_slowpath)
NUMBER(free_fastpath)
NUMBER(free_slowpath)
NUMBER(alloc_slab)
NUMBER(free_slab)

static uint64_t get_slab_size(const struct slabinfo *i)
{
	return i->objsize;
}

static uint64_t get_objs_per_slab(const struct slabinfo *i)
{
	return i->objperslab;
}

static uint64_t get_order(const struct slabinfo *i)
{
	return (uint64_t)__builtin_ctz(i->pagesperslab);
}

static uint64_t get_objects(const struct slabinfo *i)
{
	return i->active_objs;
}

static uint64_t get_total_objects(const struct slabinfo *i)
{
	return i->num_objs;
}

static uint64_t get_slabs(const struct slabinfo *i)
{
	return i->num_slabs;
}

static uint64_t get_cache_dma(const struct slabinfo *i)
{
	return (i->flags & SLAB_CACHE_DMA) != 0;
}

static uint64_t get_hwcache_align(const struct slabinfo *i)
{
	return (i->flags & SLAB_HWCACHE_ALIGN) != 0;
}

static uint64_t get_reclaim_account(const struct slabinfo *i)
{
	return (i->flags & SLAB_RECLAIM_ACCOUNT) != 0;
}

static uint64_t get_sanity_checks(const struct slabinfo *i)
{
	return (i->flags & SLAB_CONSISTENCY_CHECKS) != 0;
}

static uint64_t get_red_zone(const struct slabinfo *i)
{
	return (i->flags & SLAB_RED_ZONE) != 0;
}

static uint64_t get_poison(const struct slabinfo *i)
{
	return (i->flags & SLAB_POISON) != 0;
}

static uint64_t get_store_user(const struct slabinfo *i)
{
	return (i->flags & SLAB_STORE_USER) != 0;
}

#define ATTRIBUTE(name)           \
	{                         \
#name, get_##name \
	}
static const struct attribute {
	const char *name;
	uint64_t (*get)(const struct slabinfo *info);
} attributes[] = {
        ATTRIBUTE(object_size),   ATTRIBUTE(slab_size),      ATTRIBUTE(objs_per_slab),
        ATTRIBUTE(order),         ATTRIBUTE(align),          ATTRIBUTE(objects),
        ATTRIBUTE(total_objects), ATTRIBUTE(slabs),          ATTRIBUTE(aliases),
        ATTRIBUTE(cache_dma),     ATTRIBUTE(hwcache_align),  ATTRIBUTE(reclaim_account),
        ATTRIBUTE(sanity_checks), ATTRIBUTE(red_zone),       ATTRIBUTE(poison),
        ATTRIBUTE(store_user),    ATTRIBUTE(alloc_fastpath), ATTRIBUTE(alloc_slowpath),
        ATTRIBUTE(free_fastpath), ATTRIBUTE(free_slowpath),  ATTRIBUTE(alloc_slab),
        ATTRIBUTE(free_slab),
};

static struct inode *make_inode(struct super_block *sb, uint32_t mode, const void *private)
{
	struct inode *inode = new_inode(sb, mode, NULL);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode->i_private = (void *)(uintptr_t) private;
	return inode;
}

/* --- one cache -------------------------------------------------------------------------------------------- */

static int attribute_show(struct seq_file *m, void *opened)
{
	const struct dentry *dentry = opened;
	const struct attribute *a = dentry->d_inode->i_private;
	const char *cache = dentry->d_parent->d_name.name;
	struct slabinfo info;
	int err = slab_find(cache, &info);

	if (!err)
		seq_printf(m, "%lu\n", a->get(&info));
	return err;
}

static int attribute_open(struct inode *inode UNUSED, struct file *file)
{
	return single_open(file, attribute_show, file->f_dentry);
}

static const struct file_operations attribute_fops = {
        .open = attribute_open,
        .release = single_release,
        .read_iter = seq_read_iter,
        .llseek = seq_llseek,
};

static struct inode *cache_lookup(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
		if (strlen(attributes[i].name) != dentry->d_name.len ||
		    memcmp(attributes[i].name, dentry->d_name.name, dentry->d_name.len))
			continue;
		inode = make_inode(dir->i_sb, S_IFREG | 0444, &attributes[i]);
		if (!IS_ERR(inode)) {
			inode->i_fop = &attribute_fops;
			inode->i_op = &proc_file_iops;
		}
	}
	return proc_lookup_done(dentry, inode);
}

static int cache_readdir(struct file *file, struct dir_context *ctx)
{
	if (!dir_emit_dots(file, ctx))
		return 0;
	for (; ctx->pos - 2 < ARRAY_SIZE(attributes); ctx->pos++) {
		const char *name = attributes[ctx->pos - 2].name;

		if (!dir_emit(ctx, name, strlen(name), ctx->pos, DT_REG))
			break;
	}
	return 0;
}

static const struct inode_operations cache_iops = {.lookup = cache_lookup};
static const struct file_operations cache_fops = {.iterate = cache_readdir};

/* --- all of them ------------------------------------------------------------------------------------------- */

static struct inode *alias_inode(struct super_block *sb, const char *target)
{
	struct inode *inode = make_inode(sb, S_IFLNK | S_IRWXUGO, NULL);

	if (IS_ERR(inode))
		return inode;
	inode->i_link = kstrdup(target, GFP_KERNEL);
	i_size_write(inode, strlen(target));
	if (inode->i_link)
		return inode;
	iput(inode);
	return ERR_PTR(-ENOMEM);
}

static struct inode *dir_inode(struct super_block *sb)
{
	struct inode *inode = make_inode(sb, S_IFDIR | 0755, NULL);

	if (IS_ERR(inode))
		return inode;
	inode->i_op = &cache_iops;
	inode->i_fop = &cache_fops;
	inode->i_nlink = 2;
	return inode;
}

static struct inode *slab_lookup(struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = NULL;
	struct slabinfo info;
	char name[SLAB_NAME_SIZE];

	if (dentry->d_name.len >= sizeof(name))
		return proc_lookup_done(dentry, NULL);
	memcpy(name, dentry->d_name.name, dentry->d_name.len);
	name[dentry->d_name.len] = '\0';
	if (!slab_find(name, &info))
		inode = info.is_alias ? alias_inode(dir->i_sb, info.name) : dir_inode(dir->i_sb);
	return proc_lookup_done(dentry, inode);
}

/* The name at a place of the list, whose lock must not be held while the reader's memory is written to. "": none. */
struct at {
	uint64_t left;
	char name[SLAB_NAME_SIZE];
};

static void count_down(const char *name, void *ctx)
{
	struct at *at = ctx;

	if (at->left-- == 0)
		strscpy(at->name, name, sizeof(at->name));
}

static int slab_readdir(struct file *file, struct dir_context *ctx)
{
	if (!dir_emit_dots(file, ctx))
		return 0;
	for (;; ctx->pos++) {
		struct at at = {.left = ctx->pos - 2};
		struct slabinfo info;

		slab_for_each_name(count_down, &at);
		if (!at.name[0])
			return 0;
		if (slab_find(at.name, &info))
			continue;
		if (!dir_emit(ctx, at.name, strlen(at.name), ctx->pos,
		              info.is_alias ? DT_LNK : DT_DIR))
			return 0;
	}
}

static const struct inode_operations slab_iops = {.lookup = slab_lookup};
static const struct file_operations slab_fops = {.iterate = slab_readdir};

int sysfs_make_slab(struct dentry *kernel)
{
	struct dentry *dir = simple_mkdir(kernel, "slab", 0755);

	if (!dir)
		return -ENOMEM;
	dir->d_inode->i_op = &slab_iops;
	dir->d_inode->i_fop = &slab_fops;
	return 0;
}
