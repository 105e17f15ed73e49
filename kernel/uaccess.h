/*
 * uaccess.h - touching a program's memory (of the running task).
 *
 * Each checks that the range is in the user half, may fault and sleep, and gives -EFAULT where the program
 * may not go. Never under a spin lock. Implemented in arch/x86_64/uaccess.S, the one place with stac and clac.
 */
#ifndef KERNEL_UACCESS_H
#define KERNEL_UACCESS_H

#include <quire/errno.h>
#include <quire/types.h>

/* Is [addr, addr+size) within the user half? Says nothing of what is mapped. */
bool access_ok(vaddr_t addr, size_t size);

MUST_USE int copy_from_user(void *to, vaddr_t from,
                            size_t n); /* 0 or -EFAULT; rest of `to` undefined */
MUST_USE int copy_to_user(vaddr_t to, const void *from, size_t n);
MUST_USE int clear_user(vaddr_t to, size_t n);

/* Bytes that could not be copied (0 = all): for read and write, which report how far they came. */
MUST_USE size_t copy_from_user_partial(void *to, vaddr_t from, size_t n);
MUST_USE size_t copy_to_user_partial(vaddr_t to, const void *from, size_t n);
MUST_USE size_t clear_user_partial(vaddr_t to, size_t n);

/* A string with its NUL into buf. Its length, -EFAULT, or -ENAMETOOLONG when there is no NUL in size bytes. */
MUST_USE int64_t strncpy_from_user(char *buf, vaddr_t from, size_t size);

MUST_USE int get_user_u32(uint32_t *value, vaddr_t from);
MUST_USE int get_user_u64(uint64_t *value, vaddr_t from);
MUST_USE int put_user_u32(vaddr_t to, uint32_t value);
MUST_USE int put_user_u64(vaddr_t to, uint64_t value);

/* Atomic compare and exchange of an aligned 32-bit word; *old is what was there. 0 or -EFAULT. */
MUST_USE int cmpxchg_user_u32(vaddr_t addr, uint32_t *old, uint32_t new_value);

/*
 * Likewise, but without sleeping: bytes that are not present are not copied. For whoever holds a lock that the fault would
 * need: a page's, or a futex's queue.
 */
MUST_USE size_t copy_from_user_nofault(void *to, vaddr_t from, size_t n);
/* As get_user_u32 but does not sleep: -EFAULT also when the page is not present. */
MUST_USE int get_user_u32_nofault(uint32_t *value, vaddr_t from);
MUST_USE int cmpxchg_user_u32_nofault(vaddr_t addr, uint32_t *old, uint32_t new_value);

#endif
