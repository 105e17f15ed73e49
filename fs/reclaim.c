/*
 * reclaim.c - winning memory back from files: clean pages and unused names.
 *
 * An allocation that finds no frame calls fs_reclaim() through reclaim_hook. It walks the files of all mounted file
 * systems, those that were walked longest ago first, and drops pages that are clean, unmapped and unused, until an
 * eighth of memory or RECLAIM_MIN pages are won; if that brings nothing, shrinkers are asked, harder each time: unused
 * names go, and their files with them.
 *
 * The caller may hold any lock of files or memory, so nothing here waits for one that is held over an allocation: pages and
 * mount_mutex are tried; the list of caches is waited for, and below it nothing is allocated. One task at a time is inside; its own allocations
 * (a request to the host that a dropped file costs) take from the reserve and do not come back in (port_memalloc()).
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define RECLAIM_MIN 64u

static struct mutex reclaim_mutex; /* one task at a time is inside */

/* The next inode of sb with cached file pages that was not yet seen in this walk; with a reference. It goes to the end of the list. */
static struct inode *next_cached(struct super_block *sb, uint64_t *left)
{
	struct inode *inode, *found = NULL;

	spin_lock(&sb->s_inode_lock);
	while (*left && !found && !list_empty(&sb->s_inodes)) {
		inode = list_first_entry(&sb->s_inodes, struct inode, i_sb_list);
		list_move_tail(&inode->i_sb_list, &sb->s_inodes);
		(*left)--;
		if (inode->i_mapping && !(inode->i_mapping->flags & AS_SHMEM) &&
		    inode->i_mapping->nrpages)
			found = igrab(inode);
	}
	spin_unlock(&sb->s_inode_lock);
	return found;
}

static uint64_t count_inodes(struct super_block *sb)
{
	uint64_t n;

	spin_lock(&sb->s_inode_lock);
	n = list_count_nodes(&sb->s_inodes);
	spin_unlock(&sb->s_inode_lock);
	return n;
}

static uint64_t drop_pages(struct super_block *sb, uint64_t target)
{
	uint64_t freed = 0, left = count_inodes(sb);
	struct inode *inode;

	while (freed < target && (inode = next_cached(sb, &left))) {
		freed += invalidate_mapping_pages(inode->i_mapping, 0, UINT64_MAX);
		iput(inode);
	}
	return freed;
}

uint64_t fs_drop_pages(uint64_t target)
{
	struct super_block *sb;
	uint64_t freed = 0;

	list_for_each_entry(sb, &super_blocks, s_list)
		if (freed < target)
			freed += drop_pages(sb, target - freed);
	return freed;
}

static uint64_t count_names(struct shrinker *shrinker UNUSED, struct shrink_control *sc UNUSED)
{
	return nr_dentry_unused();
}

static uint64_t scan_names(struct shrinker *shrinker UNUSED, struct shrink_control *sc)
{
	return shrink_dcache(sc->nr_to_scan);
}

static struct shrinker dcache_shrinker = {
        .count_objects = count_names,
        .scan_objects = scan_names,
        .seeks = DEFAULT_SEEKS,
        .name = "dcache",
};

/* Objects that others keep for speed, what CPUs keep, and the slabs that become empty. */
static uint64_t reclaim_objects(gfp_t gfp)
{
	uint64_t objects = 0;

	for (unsigned priority = SHRINK_PRIORITY; !objects && priority--;)
		objects = shrink_slab(gfp, priority);
	return kmem_cache_shrink_all();
}

static uint64_t fs_reclaim(gfp_t gfp, unsigned order)
{
	uint64_t freed = 0;

	(void)order;
	/* A file that goes costs a request, and who is inside may wait for one; slabs that are empty do not. */
	if (!(gfp & __GFP_FS) || !(gfp & __GFP_IO))
		return kmem_cache_shrink_all();
	mutex_lock(&reclaim_mutex);
	if (mutex_trylock(&mount_mutex)) {
		freed = fs_drop_pages(MAX(totalram_pages() / 8, RECLAIM_MIN));
		if (!freed)
			freed = reclaim_objects(gfp);
		mutex_unlock(&mount_mutex);
	}
	mutex_unlock(&reclaim_mutex);
	return freed;
}

void fs_reclaim_init(void)
{
	mutex_init(&reclaim_mutex);
	register_shrinker(&dcache_shrinker);
	reclaim_hook = fs_reclaim;
}
