/*
 * iov.h - an iterator over the memory that a read or write moves: the program's or the kernel's.
 *
 * Copies advance the iterator and say how many bytes went; fewer than asked means the program's
 * memory ended (-EFAULT if nothing moved). They may fault and sleep.
 */
#ifndef FS_IOV_H
#define FS_IOV_H

#include <quire/types.h>

struct iovec {
	uint64_t iov_base, iov_len;
};

struct iov_iter {
	const struct iovec *iov; /* NULL: one segment, base */
	union {
		vaddr_t ubase;
		char *kbase;
	};
	size_t seg_left; /* bytes left in the current segment */
	size_t count;    /* bytes left in all */
	bool kernel;     /* kbase; else the program's memory */
};

static inline size_t iov_iter_count(const struct iov_iter *i)
{
	return i->count;
}

static inline void iov_iter_kernel(struct iov_iter *i, void *buf, size_t n)
{
	*i = (struct iov_iter){.kbase = buf, .seg_left = n, .count = n, .kernel = true};
}

static inline void iov_iter_user(struct iov_iter *i, vaddr_t buf, size_t n)
{
	*i = (struct iov_iter){.ubase = buf, .seg_left = n, .count = n};
}

/* iov is the caller's until the iterator is no longer used. count: the sum of the lengths. */
void iov_iter_init(struct iov_iter *i, const struct iovec *iov, size_t count);

/* To and from the iterator's memory. Bytes copied. */
size_t copy_to_iter(const void *from, size_t n, struct iov_iter *i);
size_t copy_from_iter(void *to, size_t n, struct iov_iter *i);
/* Without sleeping: as far as the program's pages are present. For whoever holds a page's lock. */
size_t copy_from_iter_nofault(void *to, size_t n, struct iov_iter *i);
size_t iov_iter_zero(size_t n, struct iov_iter *i);
void iov_iter_advance(struct iov_iter *i, size_t n);

/* Touch the next n bytes, of all segments, so that copy_from_iter_nofault() is likely to succeed. Bytes that cannot be reached. */
size_t fault_in_iov_iter(struct iov_iter *i, size_t n);

/*
 * A program's vector of n segments: checked, cut to what one call may move. fast has room for IOV_FAST; *iov is to be given
 * to import_end() in any case. Bytes, or -EINVAL, -EFAULT, -ENOMEM.
 */
#define IOV_FAST 8
int64_t import_iovec(vaddr_t addr, unsigned n, struct iovec *fast, struct iovec **iov,
                     struct iov_iter *i);
void import_end(struct iovec *iov, struct iovec *fast);

#endif
