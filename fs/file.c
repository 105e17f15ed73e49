/*
 * file.c - open files: making and closing them, and what every kind shares.
 */
#include "fs/internal.h"
#include <quire/mm.h>
#include <quire/slab.h>

static struct kmem_cache *file_cache;
_Atomic uint64_t nr_files;
const struct file_operations empty_fops;
static const struct inode_operations anon_iops;
static struct inode *anon_inode;

/*
 * Without epmutex: an instance that is closed at this moment may be unlinking its item, and must be done with the list's head before
 * the file goes, so both its ends are looked at.
 */
static bool is_watched(struct file *file)
{
	struct list_head *head = &file->f_ep_links;

	return READ_ONCE(head->next) != head || READ_ONCE(head->prev) != head;
}

static void __fput(struct vm_file *vm)
{
	struct file *file = vm_to_file(vm);

	if (unlikely(is_watched(file)))
		eventpoll_release(file);
	if (!(file->f_mode & FMODE_PATH)) {
		locks_remove_file(file);
		if (file->f_op->release)
			file->f_op->release(file->f_inode, file);
	}
	dput(file->f_dentry);
	kmem_cache_free(file_cache, file);
	atomic_fetch_sub(&nr_files, 1);
}

static size_t file_vm_path(struct vm_file *vm, char *buf, size_t size)
{
	char *p = d_path(vm_to_file(vm)->f_dentry, buf, size);
	size_t n;

	if (IS_ERR(p)) {
		buf[0] = '\0';
		return 0;
	}
	n = strlen(p);
	memmove(buf, p, n + 1);
	return n;
}

const struct vm_file_operations file_vm_ops = {.release = __fput, .path = file_vm_path};

static unsigned mode_of_flags(uint32_t flags)
{
	static const uint8_t mode[4] = {FMODE_READ, FMODE_WRITE, FMODE_READ | FMODE_WRITE, 0};

	return flags & O_PATH ? FMODE_PATH : mode[flags & O_ACCMODE];
}

struct file *alloc_empty_file(uint32_t flags)
{
	struct file *file = kmem_cache_alloc(file_cache, GFP_KERNEL | __GFP_ZERO);

	if (!file)
		return NULL;
	refcount_set(&file->vm.count, 1);
	file->vm.vf_ops = &file_vm_ops;
	file->f_mode = mode_of_flags(flags);
	file->vm.may_write = file->f_mode & FMODE_WRITE;
	atomic_init(&file->f_flags, flags & ~O_CLOEXEC);
	mutex_init(&file->f_pos_lock);
	INIT_LIST_HEAD(&file->f_ep_links);
	atomic_fetch_add(&nr_files, 1);
	return file;
}

/* Not opened: release() must not run. */
static void discard_file(struct file *file)
{
	dput(file->f_dentry);
	kmem_cache_free(file_cache, file);
	atomic_fetch_sub(&nr_files, 1);
}

static void file_attach(struct file *file, struct dentry *dentry,
                        const struct file_operations *fops)
{
	struct inode *inode = dentry->d_inode;

	file->f_dentry = dget(dentry);
	file->f_inode = inode;
	file->f_op = fops;
	file->vm.f_mapping = inode->i_mapping;
	file->vm.noexec = dentry->d_sb->s_flags & MS_NOEXEC;
	if (inode->i_mapping)
		inode->i_mapping->ino = inode->i_ino;
	if (S_ISREG(inode->i_mode) || S_ISDIR(inode->i_mode))
		file->f_mode |= FMODE_LSEEK | FMODE_ATOMIC_POS;
	else if (S_ISCHR(inode->i_mode) || S_ISBLK(inode->i_mode))
		file->f_mode |= FMODE_LSEEK;
}

struct file *dentry_open(struct dentry *dentry, uint32_t flags)
{
	struct file *file = alloc_empty_file(flags);
	int err;

	if (!file)
		return ERR_PTR(-ENOMEM);
	if (flags & O_PATH) {
		file_attach(file, dentry, &empty_fops);
		return file;
	}
	file_attach(file, dentry, dentry->d_inode->i_fop);
	err = file->f_op->open ? file->f_op->open(file->f_inode, file) : 0;
	if (err) {
		discard_file(file);
		return ERR_PTR(err);
	}
	return file;
}

static struct file *open_pseudo(struct inode *inode, const char *name, uint32_t flags,
                                const struct file_operations *fops, void *private_data)
{
	struct dentry *dentry = d_alloc_pseudo(inode->i_sb, name);
	struct file *file;

	if (!dentry)
		return ERR_PTR(-ENOMEM);
	dentry->d_inode = igrab(inode);
	file = alloc_empty_file(flags);
	if (file) {
		file_attach(file, dentry, fops);
		file->f_mode &= ~(FMODE_LSEEK | FMODE_ATOMIC_POS);
		file->private_data = private_data;
	}
	dput(dentry);
	return file ? file : ERR_PTR(-ENOMEM);
}

struct file *alloc_file_pseudo(const char *name, uint32_t mode, uint32_t flags,
                               const struct file_operations *fops, void *private_data)
{
	struct inode *inode = new_inode(anon_super, mode, NULL);
	char text[64];
	struct file *file;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode->i_uid = current->cred.fsuid;
	inode->i_gid = current->cred.fsgid;
	inode->i_fop = fops;
	format(text, sizeof(text), "%s:[%llu]", name, (unsigned long long)inode->i_ino);
	file = open_pseudo(inode, text, flags, fops, private_data);
	iput(inode);
	return file;
}

struct file *anon_inode_getfile(const char *name, const struct file_operations *fops,
                                void *private_data, uint32_t flags)
{
	char text[64];

	format(text, sizeof(text), "anon_inode:%s", name);
	return open_pseudo(anon_inode, text, flags, fops, private_data);
}

int generic_file_open(struct inode *inode, struct file *file)
{
	(void)inode;
	(void)file;
	return 0;
}

int stream_open(struct inode *inode, struct file *file)
{
	(void)inode;
	file->f_mode &= ~(FMODE_LSEEK | FMODE_ATOMIC_POS);
	return 0;
}

/* --- mmap(2) -------------------------------------------------------------------------------------------- */

static int mmap_allowed(struct file *file, int prot, int flags)
{
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;

	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (shared && prot & PROT_WRITE) {
		if (!(file->f_mode & FMODE_WRITE))
			return -EACCES;
		if (inode_seals(file->f_inode) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
	}
	if (prot & PROT_EXEC && file->vm.noexec)
		return -EPERM;
	return 0;
}

int file_mmap(struct file *file, uint64_t len, int prot, int flags, struct vm_file **vm)
{
	int err = mmap_allowed(file, prot, flags);

	*vm = NULL;
	if (err)
		return err;
	if (file->f_op->mmap)
		return file->f_op->mmap(file, len, prot, flags, vm);
	if (!file->vm.f_mapping || !S_ISREG(file->f_inode->i_mode))
		return -ENODEV;
	if (!(file->f_inode->i_sb->s_flags & MS_RDONLY))
		file->f_inode->i_atime = file_time_now();
	*vm = get_vm_file(&file->vm);
	return 0;
}

/* --- position ---------------------------------------------------------------------------------------- */

int64_t no_llseek(struct file *file, int64_t offset, int whence)
{
	(void)file;
	(void)offset;
	(void)whence;
	return -ESPIPE;
}

int64_t noop_llseek(struct file *file, int64_t offset, int whence)
{
	(void)offset;
	(void)whence;
	return file->f_pos;
}

/* A file without a map of its holes is data up to its end, where its one hole is. */
static int64_t seek_data_hole(struct file *file, int64_t offset, int whence)
{
	uint64_t size = i_size_read(file->f_inode);

	if (offset < 0 || (uint64_t)offset >= size)
		return -ENXIO;
	return whence == SEEK_DATA ? offset : (int64_t)size;
}

int64_t generic_file_llseek(struct file *file, int64_t offset, int whence)
{
	int64_t base = 0;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = file->f_pos;
		break;
	case SEEK_END:
		base = (int64_t)i_size_read(file->f_inode);
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		offset = seek_data_hole(file, offset, whence);
		break;
	default:
		return -EINVAL;
	}
	if (offset < 0 && whence >= SEEK_DATA)
		return offset;
	if (__builtin_add_overflow(base, offset, &offset) || offset < 0)
		return -EINVAL;
	file->f_pos = offset;
	return offset;
}

/* --- character devices ------------------------------------------------------------------------------------ */

static struct chrdev {
	struct chrdev *next;
	const char *name;
	uint32_t dev;
	const struct file_operations *fops;
} * chrdevs; /* only grows, at boot */

static struct chrdev *find_chrdev(uint32_t dev)
{
	struct chrdev *c = chrdevs;

	while (c && c->dev != dev)
		c = c->next;
	return c;
}

int register_chrdev(uint32_t dev, const char *name, const struct file_operations *fops)
{
	struct chrdev *c;

	if (find_chrdev(dev))
		return -EBUSY;
	c = kmalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	*c = (struct chrdev){chrdevs, name, dev, fops};
	chrdevs = c;
	return 0;
}

static int chrdev_open(struct inode *inode, struct file *file)
{
	struct chrdev *c = find_chrdev(inode->i_rdev);

	if (!c)
		return -ENXIO;
	file->f_op = c->fops;
	return c->fops->open ? c->fops->open(inode, file) : 0;
}

const struct file_operations def_chr_fops = {.open = chrdev_open};

void file_shutdown(void)
{
	while (chrdevs) {
		struct chrdev *c = chrdevs;

		chrdevs = c->next;
		kfree(c);
	}
	iput(anon_inode);
	anon_inode = NULL;
}

/* After the anonymous super block is there. */
int file_late_init(void)
{
	anon_inode = new_inode(anon_super, S_IRWXUGO & 0600, NULL);
	if (!anon_inode)
		return -ENOMEM;
	anon_inode->i_ino = get_next_ino();
	anon_inode->i_op = &anon_iops;
	return 0;
}

void file_init(void)
{
	file_cache = kmem_cache_create("filp", sizeof(struct file), 0,
	                               SLAB_PANIC | SLAB_HWCACHE_ALIGN, NULL);
}
