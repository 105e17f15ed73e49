/*
 * iov.c - the iterator over a read's or write's memory.
 */
#include "fs/iov.h"
#include "fs/internal.h"

void iov_iter_init(struct iov_iter *i, const struct iovec *iov, size_t count)
{
	*i = (struct iov_iter){
	        .iov = iov, .ubase = iov->iov_base, .seg_left = iov->iov_len, .count = count};
}

/* To a segment that has bytes left; i->count > 0. */
static inline void next_segment(struct iov_iter *i)
{
	while (unlikely(!i->seg_left)) {
		i->iov++;
		i->ubase = i->iov->iov_base;
		i->seg_left = i->iov->iov_len;
	}
}

static inline void step(struct iov_iter *i, size_t n)
{
	i->ubase += n;
	i->seg_left -= n;
	i->count -= n;
}

enum way { TO, FROM, FROM_NOFAULT, ZERO };

/* Bytes that did not go. */
static inline size_t move_some(struct iov_iter *i, void *mem, size_t n, enum way way)
{
	if (i->kernel) {
		if (way == TO)
			memcpy(i->kbase, mem, n);
		else if (way == ZERO)
			memset(i->kbase, 0, n);
		else
			memcpy(mem, i->kbase, n);
		return 0;
	}
	if (way == TO)
		return copy_to_user_partial(i->ubase, mem, n);
	if (way == FROM)
		return copy_from_user_partial(mem, i->ubase, n);
	if (way == FROM_NOFAULT)
		return copy_from_user_nofault(mem, i->ubase, n);
	return clear_user_partial(i->ubase, n);
}

static inline size_t move_all(struct iov_iter *i, char *mem, size_t n, enum way way)
{
	size_t done = 0;

	n = MIN(n, i->count);
	while (done < n) {
		size_t part, failed;

		next_segment(i);
		part = MIN(n - done, i->seg_left);
		failed = move_some(i, way == ZERO ? NULL : mem + done, part, way);
		step(i, part - failed);
		done += part - failed;
		if (unlikely(failed))
			break;
	}
	return done;
}

size_t copy_to_iter(const void *from, size_t n, struct iov_iter *i)
{
	return move_all(i, (char *)from, n, TO);
}

size_t copy_from_iter(void *to, size_t n, struct iov_iter *i)
{
	return move_all(i, to, n, FROM);
}

size_t copy_from_iter_nofault(void *to, size_t n, struct iov_iter *i)
{
	return move_all(i, to, n, FROM_NOFAULT);
}

size_t iov_iter_zero(size_t n, struct iov_iter *i)
{
	return move_all(i, NULL, n, ZERO);
}

void iov_iter_advance(struct iov_iter *i, size_t n)
{
	n = MIN(n, i->count);
	while (n) {
		size_t part;

		next_segment(i);
		part = MIN(n, i->seg_left);
		step(i, part);
		n -= part;
	}
}

/* One byte of each page. Bytes from the first on that cannot be read. */
static size_t fault_in_range(vaddr_t addr, size_t n)
{
	vaddr_t end = addr + n;
	uint8_t byte;

	for (; addr < end; addr = (addr & PAGE_MASK) + PAGE_SIZE)
		if (copy_from_user_partial(&byte, addr, 1))
			return end - addr;
	return 0;
}

size_t fault_in_iov_iter(struct iov_iter *i, size_t n)
{
	struct iov_iter at = *i;

	n = MIN(n, at.count);
	if (at.kernel)
		return 0;
	while (n) {
		size_t part, left;

		next_segment(&at);
		part = MIN(n, at.seg_left);
		left = fault_in_range(at.ubase, part);
		n -= part - left;
		if (left)
			break;
		step(&at, part);
	}
	return n;
}
