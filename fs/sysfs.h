/*
 * sysfs.h - parts of /sys, each made by its file below the root it is given. 0 or -ENOMEM.
 */
#ifndef FS_SYSFS_H
#define FS_SYSFS_H

struct dentry;

int sysfs_make_slab(struct dentry *kernel); /* kernel/slab: sysfs_slab.c */

#endif
