/*
 * usercopy.c - what of kernel/uaccess.h needs no instruction of its own.
 */
#include "arch/x86_64/internal.h"
#include "kernel/uaccess.h"

int get_user_u8(uint8_t *value, vaddr_t from); /* uaccess.S */

bool access_ok(vaddr_t addr, size_t size)
{
	vaddr_t end = mmu_user_end();

	return size <= end && addr <= end - size;
}

/* A number that is not 0 if a byte of word is; its lowest set bit is in the first such byte. */
static uint64_t zero_bytes(uint64_t word)
{
	return (word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull;
}

/* Words as long as they do not reach into another page, which the string may not, then bytes. */
int64_t strncpy_from_user(char *buf, vaddr_t from, size_t size)
{
	size_t n = 0;

	while (n < size) {
		vaddr_t at = from + n;
		uint64_t word, zero;

		if (size - n >= 8 && (at & (PAGE_SIZE - 1)) <= PAGE_SIZE - 8) {
			if (get_user_u64(&word, at))
				return -EFAULT;
			__builtin_memcpy(buf + n, &word, 8);
			zero = zero_bytes(word);
			if (zero)
				return (int64_t)n + __builtin_ctzll(zero) / 8;
			n += 8;
			continue;
		}
		if (get_user_u8((uint8_t *)buf + n, at))
			return -EFAULT;
		if (!buf[n])
			return (int64_t)n;
		n++;
	}
	return -ENAMETOOLONG;
}
