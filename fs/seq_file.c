/*
 * seq_file.c - files of text that are made when they are read.
 *
 * show() may hold locks that reclaim takes, so nothing is allocated below it: what does not fit into the buffer is left out, and
 * when show() has returned the buffer is doubled and show() is called again. A reader who is told of an error may read again: the
 * text goes on where it was.
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

/* A larger buffer for what is there so far. Only the file is held: an allocation may reclaim, and wait for whom it must. */
static int seq_grow(struct seq_file *m)
{
	size_t size = MAX(m->size * 2, PAGE_SIZE);
	char *buf = kvmalloc(size, GFP_KERNEL);

	if (!buf)
		return -ENOMEM;
	memcpy(buf, m->buf, m->count);
	kvfree(m->buf);
	m->buf = buf;
	m->size = size;
	return 0;
}

void seq_write(struct seq_file *m, const void *data, size_t n)
{
	if (n > m->size - m->count)
		m->overflow = true;
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

void seq_mask(struct seq_file *m, uint64_t mask, unsigned bits)
{
	seq_printf(m, "%0*lx", (int)DIV_ROUND_UP(bits, 4), mask);
}

void seq_mask_list(struct seq_file *m, uint64_t mask)
{
	const char *comma = "";

	for (unsigned i = 0; i < 64; i++) {
		unsigned last = i;

		if (!(mask >> i & 1))
			continue;
		while (last < 63 && mask >> (last + 1) & 1)
			last++;
		seq_printf(m, last > i ? "%s%u-%u" : "%s%u", comma, i, last);
		comma = ",";
		i = last;
	}
}

/* The path is made at the end of the buffer and moves to its place, which is never beyond what is still to be read. */
void seq_escape_path(struct seq_file *m, struct dentry *dentry)
{
	const char *p = d_path(dentry, m->buf + m->count, m->size - m->count);

	if (IS_ERR(p))
		m->overflow = true;
	for (; !m->overflow && *p; p++) {
		const char c = *p;

		if (m->buf + m->count + 4 > p)
			m->overflow = true;
		else if (strchr(" \t\n\\", c))
			seq_printf(m, "\\%03o", (unsigned)(uint8_t)c);
		else
			seq_putc(m, c);
	}
}

bool seq_record_fits(struct seq_file *m, size_t start)
{
	if (m->count <= m->end || start <= m->pos)
		return true;
	m->count = start;
	return false;
}

/* The next part of the text, in as large a buffer as it takes. */
static int seq_show(struct seq_file *m)
{
	size_t count = m->count;
	uint64_t cursor = m->cursor;

	for (;;) {
		int err;

		m->overflow = false;
		m->more = false;
		err = m->size ? m->show(m, m->private) : 0;
		if (!err && m->size && !m->overflow)
			return 0;
		m->count = count;
		m->cursor = cursor;
		m->more = true;
		err = err ? err : seq_grow(m);
		if (err)
			return err;
	}
}

/* A reader at position 0 sees a new moment; others go on in the one they began. */
static int seq_fill(struct seq_file *m, size_t pos, size_t n)
{
	int err = 0;

	if (!pos || !m->buf) {
		m->count = 0;
		m->more = true;
		m->cursor = 0;
	}
	m->pos = pos;
	if (__builtin_add_overflow(pos, n, &m->end))
		m->end = SIZE_MAX;
	while (m->more && !err && m->count <= pos)
		err = seq_show(m);
	return err;
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
