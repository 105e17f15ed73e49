/*
 * devfs.c - /dev: the memory devices, and the tree that shows all devices.
 */
#include "fs/internal.h"
#include "kernel/random.h"
#include <quire/mm.h>

/* --- null, zero, full ------------------------------------------------------------------------------------------ */

static int64_t null_read(struct kiocb *iocb, struct iov_iter *to)
{
	(void)iocb;
	(void)to;
	return 0;
}

static int64_t null_write(struct kiocb *iocb, struct iov_iter *from)
{
	size_t n = iov_iter_count(from);

	(void)iocb;
	iov_iter_advance(from, n);
	return (int64_t)n;
}

static int64_t null_llseek(struct file *file, int64_t offset, int whence)
{
	(void)offset;
	(void)whence;
	return file->f_pos = 0;
}

static int64_t zero_read(struct kiocb *iocb, struct iov_iter *to)
{
	int64_t total = 0;

	(void)iocb;
	while (iov_iter_count(to)) {
		size_t part = MIN(iov_iter_count(to), (size_t)1 << 16), n = iov_iter_zero(part, to);

		total += (int64_t)n;
		if (n < part)
			return total ? total : -EFAULT;
		if (signal_pending(current))
			break;
		port_cond_resched();
	}
	return total;
}

static int zero_mmap(struct file *file, uint64_t len, int prot, int flags, struct vm_file **vm)
{
	(void)file;
	(void)prot;
	*vm = NULL;
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return 0;
	*vm = shmem_file_setup("/dev/zero", PAGE_ALIGN(len));
	return IS_ERR(*vm) ? (int)PTR_ERR(*vm) : 0;
}

static int64_t full_write(struct kiocb *iocb, struct iov_iter *from)
{
	(void)iocb;
	(void)from;
	return -ENOSPC;
}

/* --- random --------------------------------------------------------------------------------------------------------- */

static int64_t random_read(struct kiocb *iocb, struct iov_iter *to)
{
	uint8_t buf[256];
	int64_t total = 0;

	(void)iocb;
	while (iov_iter_count(to)) {
		size_t part = MIN(iov_iter_count(to), sizeof(buf)), n;

		get_random_bytes(buf, part);
		n = copy_to_iter(buf, part, to);
		total += (int64_t)n;
		if (n < part)
			return total ? total : -EFAULT;
		if (total % PAGE_SIZE == 0) {
			port_cond_resched();
			if (signal_pending(current))
				break;
		}
	}
	memset(buf, 0, sizeof(buf));
	return total;
}

static int64_t random_write(struct kiocb *iocb, struct iov_iter *from)
{
	uint8_t buf[256];
	int64_t total = 0;
	size_t n;

	(void)iocb;
	while (iov_iter_count(from)) {
		n = copy_from_iter(buf, sizeof(buf), from);
		if (!n)
			return total ? total : -EFAULT;
		add_random_bytes(buf, n);
		total += (int64_t)n;
	}
	return total;
}

#define RNDGETENTCNT 0x80045200u

static int64_t random_ioctl(struct file *file, unsigned cmd, uint64_t arg)
{
	(void)file;
	return cmd == RNDGETENTCNT ? put_user_u32(arg, 256) : -ENOTTY;
}

static const struct file_operations null_fops = {
        .read_iter = null_read, .write_iter = null_write, .llseek = null_llseek};
static const struct file_operations zero_fops = {
        .read_iter = zero_read, .write_iter = null_write, .llseek = null_llseek, .mmap = zero_mmap};
static const struct file_operations full_fops = {
        .read_iter = zero_read, .write_iter = full_write, .llseek = null_llseek};
static const struct file_operations random_fops = {.read_iter = random_read,
                                                   .write_iter = random_write,
                                                   .llseek = noop_llseek,
                                                   .ioctl = random_ioctl};

/* --- the tree --------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t mode, dev;
	const struct file_operations *fops; /* NULL: registered elsewhere */
} devices[] = {
        {"null", 0666, MKDEV(1, 3), &null_fops},
        {"zero", 0666, MKDEV(1, 5), &zero_fops},
        {"full", 0666, MKDEV(1, 7), &full_fops},
        {"random", 0666, MKDEV(1, 8), &random_fops},
        {"urandom", 0666, MKDEV(1, 9), &random_fops},
        {"kmsg", 0644, MKDEV(1, 11), &kmsg_fops},
        {"tty", 0666, MKDEV(5, 0), NULL},
        {"console", 0600, MKDEV(5, 1), NULL},
        {"ptmx", 0666, MKDEV(5, 2), NULL},
};

static const char *const links[][2] = {
        {"fd", "/proc/self/fd"},
        {"stdin", "/proc/self/fd/0"},
        {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"},
};

static int dev_fill_super(struct super_block *sb, const char *source, const char *data)
{
	int err = simple_fill_super(sb, TMPFS_MAGIC, NULL);
	struct dentry *root = sb->s_root;

	(void)source;
	(void)data;
	for (unsigned i = 0; i < ARRAY_SIZE(devices) && !err; i++)
		if (!simple_mknod(root, devices[i].name, S_IFCHR | devices[i].mode, devices[i].dev))
			err = -ENOMEM;
	for (unsigned i = 0; i < ARRAY_SIZE(links) && !err; i++)
		if (!simple_symlink(root, links[i][0], links[i][1]))
			err = -ENOMEM;
	if (!err && (!simple_mkdir(root, "shm", 01777) || !simple_mkdir(root, "pts", 0755)))
		err = -ENOMEM;
	return err;
}

struct file_system_type devtmpfs_type = {
        .name = "devtmpfs", .fs_flags = FS_NODEV, .fill_super = dev_fill_super};

int dev_init(void)
{
	int err = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(devices) && !err; i++)
		if (devices[i].fops)
			err = register_chrdev(devices[i].dev, devices[i].name, devices[i].fops);
	register_filesystem(&devtmpfs_type);
	return err;
}
