/*
 * cpio.c - the boot archive: newc members become boot settings or files, cpio(5).
 *
 * The archive lies in frames that the boot reserved. Pages of a file's data that begin on a page boundary are adopted: the frame
 * itself becomes the page of the file. All other data is copied, and the frames behind the place we are at go to the buddy
 * as we pass, so that memory never holds two copies. Several archives may follow one another (TRAILER!!!, zeros, the next).
 *
 *     | ... freed ... | adopted | freed | not yet read ...        |
 *                                       ^ passed    ^ at          ^ end
 */
#include "fs/internal.h"
#include <quire/slab.h>

#define HEADER_SIZE 110
#define STEP        (64 * 1024u) /* copied and freed at a time */

struct boot_program boot_program;

struct member {
	uint32_t ino, mode, uid, gid, nlink, mtime, size, dev_major, dev_minor, rdev_major,
	        rdev_minor, name_size;
	const char *name; /* ends with NUL */
};

struct hard_link {
	struct hard_link *next;
	uint32_t ino, dev_major, dev_minor;
	struct dentry *dentry;
};

struct unpack {
	const char *base;  /* first byte of the archive in the direct map */
	uint64_t size, at; /* bytes */
	uint64_t passed;   /* physical address: frames below are not ours any more */
	uint64_t phys;     /* of base */
	bool files;        /* root=cpio: members become files */
	struct hard_link *links;
};

/* --- frames behind us ----------------------------------------------------------------------------------------- */

/* Frames wholly before physical address `end` are free. */
static void pass(struct unpack *u, uint64_t end)
{
	end = ALIGN_DOWN(end, (uint64_t)PAGE_SIZE);
	if (end > u->passed) {
		free_reserved_area(PHYS(u->passed), PHYS(end));
		u->passed = end;
	}
}

static void pass_some(struct unpack *u)
{
	if (u->phys + u->at >= u->passed + STEP)
		pass(u, u->phys + u->at);
}

/* --- reading the archive ----------------------------------------------------------------------------------------- */

static int bad(struct unpack *u, const char *what)
{
	port_log("cpio: boot archive, byte %llu: %s", (unsigned long long)u->at, what);
	return -EINVAL;
}

static bool parse_hex(const char *s, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		char c = s[i];
		uint32_t digit;

		if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			digit = (uint32_t)((c | 32) - 'a' + 10);
		else
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

/* The header at u->at; moves to the data. 0 or -EINVAL with a log line. */
static int read_header(struct unpack *u, struct member *m)
{
	const char *h = u->base + u->at;
	uint32_t *field[] = {&m->ino,       &m->mode,       &m->uid,        &m->gid,
	                     &m->nlink,     &m->mtime,      &m->size,       &m->dev_major,
	                     &m->dev_minor, &m->rdev_major, &m->rdev_minor, &m->name_size};

	if (u->size - u->at < HEADER_SIZE)
		return bad(u, "the last header is cut off");
	if (memcmp(h, "070701", 6) && memcmp(h, "070702", 6))
		return bad(u, "no newc header");
	for (unsigned i = 0; i < ARRAY_SIZE(field); i++)
		if (!parse_hex(h + 6 + 8 * i, field[i]))
			return bad(u, "a header field is not hexadecimal");
	if (!m->name_size || m->name_size > u->size - u->at - HEADER_SIZE)
		return bad(u, "a name runs over the end");
	m->name = h + HEADER_SIZE;
	if (m->name[m->name_size - 1])
		return bad(u, "a name does not end");
	if (strnlen(m->name, m->name_size) >= PATH_MAX)
		return bad(u, "a name is too long");
	if (ALIGN_UP(u->at + HEADER_SIZE + m->name_size, 4ull) + m->size > u->size)
		return bad(u, "a file runs over the end");
	u->at = ALIGN_UP(u->at + HEADER_SIZE + m->name_size, 4ull);
	return 0;
}

/* --- settings ------------------------------------------------------------------------------------------------------ */

static int keep_setting(struct unpack *u, const struct member *m, const char *what)
{
	char *text = kmalloc(m->size + 1, GFP_KERNEL);

	if (!text)
		return -ENOMEM;
	memcpy(text, u->base + u->at, m->size);
	text[m->size] = '\0';
	if (!strcmp(what, "argv") && !boot_program.argv) {
		boot_program.argv = text;
		boot_program.argv_len = m->size;
	} else if (!strcmp(what, "env") && !boot_program.env) {
		boot_program.env = text;
		boot_program.env_len = m->size;
	} else if (!strcmp(what, "cwd") && !boot_program.cwd) {
		boot_program.cwd = text;
	} else if (!strcmp(what, "shares") && !boot_program.shares) {
		boot_program.shares = text;
		boot_program.shares_len = m->size;
	} else {
		kfree(text);
	}
	return 0;
}

/* --- files --------------------------------------------------------------------------------------------------------- */

/* The whole pages of data that begin at a page boundary; bytes taken or -errno. */
static int64_t adopt_pages(struct unpack *u, struct address_space *mapping, uint64_t size)
{
	uint64_t phys = u->phys + u->at, done = 0;

	if (phys & ~PAGE_MASK || size < PAGE_SIZE)
		return 0;
	pass(u, phys);
	while (size - done >= PAGE_SIZE) {
		struct page *page = take_reserved_page(phys_to_pfn(PHYS(phys + done)));
		int err = filemap_adopt_page(mapping, done >> PAGE_SHIFT, page);

		u->passed = phys + done + PAGE_SIZE;
		if (err) {
			put_page(page);
			return err;
		}
		done += PAGE_SIZE;
	}
	return (int64_t)done;
}

static int copy_data(struct unpack *u, struct file *file, uint64_t size, int64_t pos)
{
	while (size) {
		size_t n = MIN(size, STEP);
		int64_t done = kernel_write(file, u->base + u->at, n, &pos);

		if (done != (int64_t)n)
			return done < 0 ? (int)done : -EIO;
		u->at += n;
		size -= n;
		pass_some(u);
	}
	return 0;
}

static int fill_file(struct unpack *u, const struct member *m, struct dentry *dentry)
{
	struct inode *inode = dentry->d_inode;
	struct file *file;
	int64_t adopted;
	int err;

	adopted = adopt_pages(u, inode->i_mapping, m->size);
	if (adopted < 0)
		return (int)adopted;
	u->at += (uint64_t)adopted;
	i_size_write(inode, (uint64_t)adopted);
	if ((uint64_t)adopted == m->size)
		return 0;
	file = dentry_open(dentry, O_WRONLY);
	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	err = copy_data(u, file, m->size - (uint64_t)adopted, adopted);
	fput(file);
	return err;
}

/* Standard input that came along: a file without a name. */
static int keep_input(struct unpack *u, const struct member *m)
{
	struct file *file = tmpfs_unnamed_file("/stdin", 0);
	int err;

	if (IS_ERR(file))
		return (int)PTR_ERR(file);
	err = fill_file(u, m, file->f_dentry);
	if (err || boot_program.stdin)
		fput(file);
	else
		boot_program.stdin = file;
	return err;
}

static struct hard_link *find_link(struct unpack *u, const struct member *m)
{
	struct hard_link *l = u->links;

	while (l &&
	       (l->ino != m->ino || l->dev_major != m->dev_major || l->dev_minor != m->dev_minor))
		l = l->next;
	return l;
}

static int remember_link(struct unpack *u, const struct member *m, struct dentry *dentry)
{
	struct hard_link *l = kmalloc(sizeof(*l), GFP_KERNEL);

	if (!l)
		return -ENOMEM;
	*l = (struct hard_link){u->links, m->ino, m->dev_major, m->dev_minor, dget(dentry)};
	u->links = l;
	return 0;
}

static void forget_links(struct unpack *u)
{
	while (u->links) {
		struct hard_link *l = u->links;

		u->links = l->next;
		dput(l->dentry);
		kfree(l);
	}
}

/* A new file, or another name of one; data may come with any of the names. */
static int make_file(struct unpack *u, const struct member *m, const char *path)
{
	struct hard_link *l = m->nlink > 1 ? find_link(u, m) : NULL;
	struct dentry *dentry;
	int err;

	if (l) {
		dentry = dget(l->dentry);
		err = vfs_link_at(dentry, AT_FDCWD, path);
	} else {
		err = vfs_create_at(AT_FDCWD, path, S_IFREG | (m->mode & S_IALLUGO), 0, &dentry);
		if (err)
			return err;
		if (m->nlink > 1)
			err = remember_link(u, m, dentry);
	}
	if (!err && m->size && i_size_read(dentry->d_inode) == 0)
		err = fill_file(u, m, dentry);
	dput(dentry);
	return err;
}

static int make_symlink(struct unpack *u, const struct member *m, const char *path)
{
	char *target;
	int err;

	if (!m->size || m->size >= PATH_MAX)
		return bad(u, "a symlink is empty or too long");
	target = kmalloc(m->size + 1, GFP_KERNEL);
	if (!target)
		return -ENOMEM;
	memcpy(target, u->base + u->at, m->size);
	target[m->size] = '\0';
	err = vfs_symlink_at(target, AT_FDCWD, path);
	kfree(target);
	return err;
}

static int make_dir(const char *path, uint32_t mode)
{
	int err = vfs_mkdir_at(AT_FDCWD, path, mode);

	return err == -EEXIST ? 0 : err;
}

/* Directories above path that the archive did not name. */
static int make_parents(char *path)
{
	int err = 0;

	for (char *p = strchr(path + 1, '/'); p && !err; p = strchr(p + 1, '/')) {
		*p = '\0';
		err = make_dir(path, 0755);
		*p = '/';
	}
	return err;
}

static int make_node(struct unpack *u, const struct member *m, char *path)
{
	switch (m->mode & S_IFMT) {
	case S_IFDIR:
		return make_dir(path, m->mode & S_IALLUGO);
	case S_IFREG:
		return make_file(u, m, path);
	case S_IFLNK:
		return make_symlink(u, m, path);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return vfs_create_at(AT_FDCWD, path, m->mode & (S_IFMT | S_IALLUGO),
		                     MKDEV(m->rdev_major, m->rdev_minor), NULL);
	default:
		return bad(u, "a member is of no known type");
	}
}

/* Attributes that making does not set; a directory's time is that of its own member, though more come into it. */
static int set_attributes(const struct member *m, const char *path)
{
	struct dentry *dentry;
	struct inode *inode;
	int err = kern_path(path, 0, &dentry);

	if (err)
		return err;
	inode = dentry->d_inode;
	inode->i_uid = m->uid;
	inode->i_gid = m->gid;
	if (S_ISDIR(inode->i_mode))
		inode->i_mode = S_IFDIR | (m->mode & S_IALLUGO);
	inode->i_atime = inode->i_mtime = inode->i_ctime =
	        (file_time_t)m->mtime * (file_time_t)NSEC_PER_SEC;
	dput(dentry);
	return 0;
}

static int make_member(struct unpack *u, const struct member *m, const char *name)
{
	char *path = kmalloc(PATH_MAX + 1, GFP_KERNEL);
	int err;

	if (!path)
		return -ENOMEM;
	path[0] = '/';
	strscpy(path + 1, name, PATH_MAX);
	err = make_node(u, m, path);
	if (err == -ENOENT) {
		err = make_parents(path);
		if (!err)
			err = make_node(u, m, path);
	}
	if (!err)
		err = set_attributes(m, path);
	if (err && err != -EINVAL)
		port_log("cpio: %s: error %d", path, -err);
	kfree(path);
	return err;
}

/* --- the archive ----------------------------------------------------------------------------------------------------- */

static const char *plain_name(const char *name)
{
	for (;;) {
		if (*name == '/')
			name++;
		else if (name[0] == '.' && name[1] == '/')
			name += 2;
		else
			return name;
	}
}

static int take_member(struct unpack *u, const struct member *m)
{
	const char *name = plain_name(m->name);

	if (!strcmp(name, ".quire/stdin"))
		return keep_input(u, m);
	if (!strncmp(name, ".quire/", 7))
		return keep_setting(u, m, name + 7);
	if (!u->files || !*name || !strcmp(name, ".") || !strcmp(name, ".quire"))
		return 0;
	return make_member(u, m, name);
}

/* Zeros up to the next archive. */
static void skip_padding(struct unpack *u)
{
	while (u->at < u->size && !u->base[u->at])
		u->at++;
	pass_some(u);
}

static int unpack_all(struct unpack *u)
{
	skip_padding(u);
	while (u->at < u->size) {
		struct member m;
		uint64_t end;
		int err = read_header(u, &m);

		if (err)
			return err;
		end = MIN(ALIGN_UP(u->at + m.size, 4ull), u->size);
		if (!strcmp(m.name, "TRAILER!!!")) {
			forget_links(u); /* numbers of inodes are an archive's own */
			u->at = end;
			skip_padding(u);
			continue;
		}
		err = take_member(u, &m);
		if (err)
			return err;
		u->at = end;
		pass_some(u);
	}
	return 0;
}

int cpio_unpack(void)
{
	struct unpack u = {
	        .phys = boot_info.initrd_start.a,
	        .size = boot_info.initrd_end.a - boot_info.initrd_start.a,
	        .passed = ALIGN_DOWN(boot_info.initrd_start.a, (uint64_t)PAGE_SIZE),
	};
	char root[8] = "";
	int err;

	if (!u.size)
		return 0;
	u.base = phys_to_virt(boot_info.initrd_start);
	u.files = boot_param("root", root, sizeof(root)) > 0 && !strcmp(root, "cpio");
	err = unpack_all(&u);
	forget_links(&u);
	pass(&u, PAGE_ALIGN(boot_info.initrd_end.a));
	return err;
}
