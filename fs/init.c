/*
 * init.c - files at boot and at the end: the root, what is mounted over it, and giving all of it back.
 */
#include "fs/internal.h"
#include "fs/9p_fs.h"
#include "fs/proc.h"
#include <quire/frame.h>
#include <quire/kva.h>
#include <quire/slab.h>

static int mount_root(void)
{
	uint64_t initrd = boot_info.initrd_end.a - boot_info.initrd_start.a;
	char root[8] = "cpio", size[40];

	if (boot_param("root", root, sizeof(root)) > 0 && !strcmp(root, "9p"))
		return vfs_mount("9p", "root", "/", MS_RDONLY, NULL, false);
	if (strcmp(root, "cpio")) {
		port_log("fs: root=%s: only 9p and cpio are known", root);
		return -EINVAL;
	}
	/* The archive's own frames count as files' pages, and there is to be room beside them. */
	format(size, sizeof(size), "mode=755,size=%lluk",
	       (unsigned long long)((totalram_pages() / 2 + PAGES_OF(initrd)) *
	                            (PAGE_SIZE / 1024)));
	return vfs_mount("tmpfs", "rootfs", "/", 0, size, false);
}

/* A memory file system over path; in a root that is memory itself a directory will do. */
static int mount_tmp(const char *path, uint32_t mode, const char *data)
{
	struct dentry *dentry;
	int err;

	if (root_super->s_magic != TMPFS_MAGIC)
		return vfs_mount("tmpfs", "tmpfs", path, MS_NOSUID | MS_NODEV, data, true);
	err = vfs_mkdir_at(AT_FDCWD, path, mode);
	if (err == -EEXIST)
		return 0;
	if (!err)
		err = kern_path(path, LOOKUP_DIRECTORY, &dentry);
	if (!err)
		dput(dentry);
	return err;
}

static int mount_dir(const char *type, const char *path, uint32_t flags)
{
	int err = root_super->s_magic == TMPFS_MAGIC ? vfs_mkdir_at(AT_FDCWD, path, 0755) : 0;

	if (err && err != -EEXIST)
		return err;
	return vfs_mount(type, type, path, flags, NULL, true);
}

/* Over what is there; in a memory file system the directories on the way are made. */
static int mount_share(const char *tag, char *path, uint32_t flags)
{
	int err = 0;

	for (char *p = strchr(path + 1, '/'); !err; p = strchr(p + 1, '/')) {
		if (p)
			*p = '\0';
		err = vfs_mkdir_at(AT_FDCWD, path, 0755);
		if (err == -EEXIST || err == -EROFS)
			err = 0;
		if (!p)
			break;
		*p = '/';
	}
	return err ? err : vfs_mount("9p", tag, path, flags, NULL, true);
}

/* The archive's .quire/shares: each a letter, r or w, and a path. */
static int mount_shares(void)
{
	size_t at = 0;
	int err = 0;

	for (unsigned i = 0; at < boot_program.shares_len && !err; i++) {
		char *share = boot_program.shares + at, tag[16];

		at += strlen(share) + 1;
		format(tag, sizeof(tag), "share%u", i);
		err = mount_share(tag, share + 1, *share == 'w' ? 0 : MS_RDONLY);
		if (err)
			port_log("fs: the share on %s: error %d", share + 1, -err);
	}
	return err;
}

static int mount_all(void)
{
	int err = mount_dir("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);

	if (!err)
		err = mount_dir("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
	if (!err)
		err = mount_dir("devtmpfs", "/dev", MS_NOSUID);
	if (!err)
		err = vfs_mount("tmpfs", "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777",
		                false);
	if (!err)
		err = pty_init();
	if (!err)
		err = mount_tmp("/tmp", 01777, "mode=1777");
	if (!err)
		err = mount_tmp("/run", 0755, "mode=755");
	return err ? err : mount_shares();
}

static int start_parts(void)
{
	int err = file_late_init();

	if (!err)
		err = tmpfs_init();
	if (!err)
		err = dev_init();
	if (!err)
		err = tty_init();
	if (!err)
		err = console_tty_init();
	return err;
}

int fs_init(void)
{
	int err;

	dcache_init();
	inode_init();
	file_init();
	locks_init();
	poll_init();
	unix_init();
	super_init();
	p9_fs_init();
	proc_fs_init();
	sysfs_init();
	err = start_parts();
	if (!err)
		err = mount_root();
	if (!err)
		err = cpio_unpack();
	if (!err)
		err = mount_all();
	if (!err)
		fs_reclaim_init();
	if (err)
		port_log("fs: cannot start: error %d", -err);
	return err;
}

/* --- giving back ----------------------------------------------------------------------------------------------- */

uint64_t fs_drop_pagecache(void)
{
	struct super_block *sb;
	uint64_t n;

	mutex_lock(&mount_mutex);
	list_for_each_entry(sb, &super_blocks, s_list) {
		if (sb->s_op->sync_fs)
			(void)sb->s_op->sync_fs(sb);
	}
	n = fs_drop_pages(UINT64_MAX);
	mutex_unlock(&mount_mutex);
	return n;
}

uint64_t fs_drop_slab(void)
{
	shrink_dcache(UINT64_MAX);
	vm_unmap_aliases();
	return kmem_cache_shrink_all();
}

uint64_t fs_drop_caches(void)
{
	uint64_t n;

	shrink_dcache(UINT64_MAX);
	n = fs_drop_pagecache();
	return n + fs_drop_slab();
}

static struct super_block *last_mounted(void)
{
	struct super_block *sb;

	mutex_lock(&mount_mutex);
	sb = list_last_entry(&super_blocks, struct super_block, s_list);
	mutex_unlock(&mount_mutex);
	return sb;
}

void fs_shutdown(void)
{
	struct super_block *sb;

	if (!root_super)
		return;
	if (boot_program.stdin)
		fput(boot_program.stdin);
	if (atomic_load(&nr_files))
		port_log("fs: %llu files are still open at the end",
		         (unsigned long long)atomic_load(&nr_files));
	list_for_each_entry(sb, &super_blocks, s_list)
		if (sb->s_op->umount_begin)
			sb->s_op->umount_begin(sb);
	shrink_dcache(UINT64_MAX);
	while ((sb = last_mounted()) != root_super) {
		if (vfs_umount(sb)) {
			port_log("fs: %s is busy at the end", sb->s_source);
			return;
		}
	}
	list_del_init(&sb->s_list);
	root_super = NULL;
	deactivate_super(sb);
	tmpfs_shutdown();
	file_shutdown();
	kfree(boot_program.argv);
	kfree(boot_program.env);
	kfree(boot_program.cwd);
	kfree(boot_program.shares);
	boot_program = (struct boot_program){0};
	kmem_cache_shrink_all();
}
