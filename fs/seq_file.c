/*
 * seq_file.c - files of text that are made when they are read.
 */
#include "fs/internal.h"
#include <quire/kva.h>
#include <quire/slab.h>

int single_open(struct file *file, int (*show)(struct seq_file *m, void *data), void *data)
{
	struct seq_file *m = kzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	mutex_init(&m->lock);
	m->show = show;
	m->private = data;
	m->file = file;
	file->private_data = m;
	return 0;
}

void single_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;

	(void)inode;
	kvfree(m->buf);
	kfree(m);
}

static void seq_grow(struct seq_file *m, size_t need)
{
	size_t size = MAX(m->size * 2, PAGE_SIZE);
	char *buf;

	while (size < need)
		size *= 2;
	buf = kvmalloc(size, GFP_KERNEL);
	if (!buf) {
		m->overflow = true;
		return;
	}
	memcpy(buf, m->buf, m->count);
	kvfree(m->buf);
	m->buf = buf;
	m->size = size;
}

void seq_write(struct seq_file *m, const void *data, size_t n)
{
	if (m->count + n > m->size)
		seq_grow(m, m->count + n);
	if (m->overflow)
		return;
	memcpy(m->buf + m->count, data, n);
	m->count += n;
}

void seq_puts(struct seq_file *m, const char *s)
{
	seq_write(m, s, strlen(s));
}

void seq_putc(struct seq_file *m, char c)
{
	seq_write(m, &c, 1);
}

static void seq_put(void *ctx, const char *text, size_t n)
{
	seq_write(ctx, text, n);
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vformat_to(seq_put, m, fmt, args);
	va_end(args);
}

void seq_escape_path(struct seq_file *m, struct dentry *dentry)
{
	char *buf = kmalloc(PATH_MAX, GFP_KERNEL), *p;

	if (!buf) {
		m->overflow = true;
		return;
	}
	p = d_path(dentry, buf, PATH_MAX);
	if (IS_ERR(p))
		p = "?";
	for (; *p; p++) {
		if (strchr(" \t\n\\", *p))
			seq_printf(m, "\\%03o", (unsigned)(uint8_t)*p);
		else
			seq_putc(m, *p);
	}
	kfree(buf);
}

bool seq_record_fits(struct seq_file *m, size_t start)
{
	if (m->count <= m->end || start <= m->pos)
		return true;
	m->count = start;
	return false;
}

/* A reader at position 0 sees a new moment; others go on in the one they began. */
static int seq_fill(struct seq_file *m, size_t pos, size_t n)
{
	int err = 0;

	if (!pos || !m->buf) {
		m->count = 0;
		m->overflow = false;
		m->more = true;
		m->cursor = 0;
	}
	m->pos = pos;
	if (__builtin_add_overflow(pos, n, &m->end))
		m->end = SIZE_MAX;
	while (m->more && !err && !m->overflow && m->count <= pos) {
		m->more = false;
		err = m->show(m, m->private);
	}
	return err ? err : m->overflow ? -ENOMEM : 0;
}

int64_t simple_read_from_buffer(struct iov_iter *to, int64_t *pos, const void *from,
                                size_t available)
{
	size_t n;

	if (*pos < 0)
		return -EINVAL;
	if ((uint64_t)*pos >= available || !iov_iter_count(to))
		return 0;
	n = copy_to_iter((const char *)from + *pos, available - (size_t)*pos, to);
	*pos += (int64_t)n;
	return n ? (int64_t)n : -EFAULT;
}

int64_t seq_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct seq_file *m = iocb->ki_filp->private_data;
	int64_t n;

	mutex_lock(&m->lock);
	n = seq_fill(m, (size_t)MAX(iocb->ki_pos, 0), iov_iter_count(to));
	if (!n)
		n = simple_read_from_buffer(to, &iocb->ki_pos, m->buf, m->count);
	mutex_unlock(&m->lock);
	return n;
}

int64_t seq_llseek(struct file *file, int64_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	if (whence == SEEK_CUR && __builtin_add_overflow(offset, file->f_pos, &offset))
		return -EINVAL;
	if (offset < 0)
		return -EINVAL;
	file->f_pos = offset;
	return offset;
}
