/*
 * permission.c - who may do what to a file: credentials(7), capabilities(7), path_resolution(7).
 *
 * Each task looks at a file as its owner, as one of its group, or as anybody else, and has the three bits of the mode that are
 * for that class: the first that fits, even if a later one would allow more. Capabilities decide where the bits say no:
 *
 *     CAP_DAC_READ_SEARCH  read any file, read and search any directory
 *     CAP_DAC_OVERRIDE     all of that and write; run a file that at least somebody may run
 *     CAP_FOWNER           what else only the owner may: mode, times, names in a sticky directory
 *     CAP_CHOWN            give files away
 *     CAP_FSETID           keep set-id bits that others would lose
 *
 * The ids are the file system's (fsuid, fsgid), which follow the effective ones unless setfsuid(2) parts them.
 * access(2) asks with the real ids: for its time the task has other credentials for files (task->file_cred).
 *
 * inode_permission() is the one question. Walks of cached paths ask generic_permission() under dcache_lock, for it reads
 * the inode and the task alone. A file system whose inodes may be out of date, or that knows exceptions,
 * has a permission operation, which may sleep.
 */
#include "fs/internal.h"

static bool in_group(uint32_t gid)
{
	const struct cred *c = file_cred();

	if (gid == c->fsgid)
		return true;
	for (unsigned i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return false;
}

/* The mode's three bits for the running task. */
static unsigned own_bits(const struct inode *inode)
{
	if (inode->i_uid == file_cred()->fsuid)
		return inode->i_mode >> 6 & 7;
	return in_group(inode->i_gid) ? inode->i_mode >> 3 & 7 : inode->i_mode & 7;
}

int generic_permission(struct inode *inode, unsigned mask)
{
	if (!(mask & ~own_bits(inode)))
		return 0;
	if (!(mask & MAY_WRITE) && (S_ISDIR(inode->i_mode) || mask == MAY_READ) &&
	    file_capable(CAP_DAC_READ_SEARCH))
		return 0;
	if ((S_ISDIR(inode->i_mode) || !(mask & MAY_EXEC) || inode->i_mode & S_IXUGO) &&
	    file_capable(CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int inode_permission(struct dentry *dentry, unsigned mask)
{
	struct inode *inode = dentry->d_inode;
	bool special = S_ISCHR(inode->i_mode) || S_ISBLK(inode->i_mode) ||
	               S_ISFIFO(inode->i_mode) || S_ISSOCK(inode->i_mode);

	if (mask & MAY_WRITE && sb_rdonly(inode->i_sb) && !special)
		return -EROFS;
	if (inode->i_op->permission)
		return inode->i_op->permission(dentry, mask);
	return generic_permission(inode, mask);
}

bool inode_owner_or_capable(const struct inode *inode)
{
	return inode->i_uid == file_cred()->fsuid || file_capable(CAP_FOWNER);
}

/* --- names ------------------------------------------------------------------------------------ */

int may_change_dir(struct dentry *dir)
{
	return inode_permission(dir, MAY_WRITE | MAY_EXEC);
}

/* Asking for nothing brings the owner of the victim up to date. */
int may_remove_name(struct dentry *dir, struct dentry *victim)
{
	int err = may_change_dir(dir);

	if (err || !(dir->d_inode->i_mode & S_ISVTX))
		return err;
	err = inode_permission(victim, 0);
	if (err || dir->d_inode->i_uid == file_cred()->fsuid ||
	    inode_owner_or_capable(victim->d_inode))
		return err;
	return -EPERM;
}

uint32_t mode_for_create(const struct inode *dir, uint32_t mode)
{
	const uint32_t program = S_ISGID | 0010;

	if (!(dir->i_mode & S_ISGID))
		return mode;
	if (S_ISDIR(mode))
		return mode | S_ISGID;
	if ((mode & program) == program && !in_group(dir->i_gid) && !file_capable(CAP_FSETID))
		mode &= ~S_ISGID;
	return mode;
}

uint32_t gid_for_create(const struct inode *dir)
{
	return dir->i_mode & S_ISGID ? dir->i_gid : file_cred()->fsgid;
}

/* --- attributes ------------------------------------------------------------------------------- */

static bool chown_ok(const struct inode *inode, uint32_t uid)
{
	return (inode->i_uid == file_cred()->fsuid && uid == inode->i_uid) ||
	       file_capable(CAP_CHOWN);
}

static bool chgrp_ok(const struct inode *inode, uint32_t gid)
{
	return (inode->i_uid == file_cred()->fsuid && (gid == inode->i_gid || in_group(gid))) ||
	       file_capable(CAP_CHOWN);
}

int setattr_prepare(struct dentry *dentry, struct iattr *attr)
{
	const unsigned owners = ATTR_MODE | ATTR_TIMES_SET;
	struct inode *inode = dentry->d_inode;
	int err = inode_permission(dentry, 0); /* the owner decides: up to date */

	if (err)
		return err;
	if ((attr->valid & ATTR_UID && !chown_ok(inode, attr->uid)) ||
	    (attr->valid & ATTR_GID && !chgrp_ok(inode, attr->gid)) ||
	    (attr->valid & owners && !inode_owner_or_capable(inode)))
		return -EPERM;
	if (attr->valid & ATTR_MODE && !in_group(inode->i_gid) && !file_capable(CAP_FSETID))
		attr->mode &= ~S_ISGID;
	if (attr->valid & ATTR_TOUCH && !inode_owner_or_capable(inode))
		return inode_permission(dentry, MAY_WRITE);
	return 0;
}

uint32_t mode_without_setid(const struct inode *inode)
{
	uint32_t mode = inode->i_mode & S_IALLUGO & ~S_ISUID;

	if (mode & 0010 || (!in_group(inode->i_gid) && !file_capable(CAP_FSETID)))
		mode &= ~S_ISGID;
	return mode;
}

bool write_clears_setid(const struct inode *inode)
{
	return inode->i_mode & (S_ISUID | S_ISGID) && S_ISREG(inode->i_mode) &&
	       !file_capable(CAP_FSETID);
}
