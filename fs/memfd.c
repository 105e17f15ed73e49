/*
 * memfd.c - memfd_create(2) and seals: memory files without a name.
 *
 * Seals are bits of the inode that only ever are added; who changes the file asks inode_seals() with i_rwsem held.
 */
#include "fs/internal.h"

#define MFD_CLOEXEC       1u
#define MFD_ALLOW_SEALING 2u
#define MFD_HUGETLB       4u
#define MEMFD_PREFIX      "/memfd:"
#define ALL_SEALS         (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define IS_MEMFD          0x100u /* beside the seals in i_private */

static uintptr_t seals_of(struct inode *inode)
{
	return S_ISREG(inode->i_mode) && inode->i_sb->s_magic == TMPFS_MAGIC
	               ? (uintptr_t)inode->i_private
	               : 0;
}

unsigned inode_seals(struct inode *inode)
{
	return (unsigned)seals_of(inode) & ALL_SEALS;
}

int memfd_get_seals(struct file *file)
{
	return seals_of(file->f_inode) & IS_MEMFD ? (int)inode_seals(file->f_inode) : -EINVAL;
}

int memfd_add_seals(struct file *file, unsigned seals)
{
	struct inode *inode = file->f_inode;
	int err = 0;

	if (!(seals_of(inode) & IS_MEMFD))
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EPERM;
	if (seals & ~ALL_SEALS)
		return -EINVAL;
	down_write(&inode->i_rwsem);
	if (inode_seals(inode) & F_SEAL_SEAL)
		err = -EPERM;
	else if (seals & F_SEAL_WRITE && atomic_load(&inode->i_data.i_mmap_writable) > 0)
		err = -EBUSY;
	else
		inode->i_private = (void *)(seals_of(inode) | seals);
	up_write(&inode->i_rwsem);
	return err;
}

SYSCALL2(memfd_create, vaddr_t, uname, uint32_t, flags)
{
	char name[NAME_MAX + 1] = MEMFD_PREFIX;
	const size_t prefix = sizeof(MEMFD_PREFIX) - 1;
	struct file *file;
	int64_t n;

	if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING))
		return -EINVAL;
	n = strncpy_from_user(name + prefix, uname, sizeof(name) - prefix);
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	file = tmpfs_unnamed_file(name, 0);
	if (!IS_ERR(file)) {
		uintptr_t seals = flags & MFD_ALLOW_SEALING ? IS_MEMFD : IS_MEMFD | F_SEAL_SEAL;

		file->f_inode->i_private = (void *)seals;
		atomic_fetch_or(&file->f_flags, O_LARGEFILE);
	}
	return fd_add(file, flags & MFD_CLOEXEC ? O_CLOEXEC : 0);
}
