/*
 * syscall.h - how a system call is written and found.
 *
 *     SYSCALL3(read, int, fd, vaddr_t, buf, size_t, count)
 *     {
 *             ...
 *     }
 *
 * defines sys_read, which the table in kernel/syscall.def names by number. Arguments arrive in
 * registers as 64 bits and are cut to the declared types, as the ABI says. The result is what the program
 * sees: a value or a negative errno. Pointers of the program are vaddr_t and are touched only through
 * kernel/uaccess.h.
 */
#ifndef KERNEL_SYSCALL_H
#define KERNEL_SYSCALL_H

#include <quire/errno.h>
#include <quire/types.h>

#define SYSCALL_PARAMS                                                                      \
	uint64_t a0_ UNUSED, uint64_t a1_ UNUSED, uint64_t a2_ UNUSED, uint64_t a3_ UNUSED, \
	        uint64_t a4_ UNUSED, uint64_t a5_ UNUSED

typedef int64_t (*syscall_fn)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

#define SYSCALL_WRAP(name, params, ...)            \
	static int64_t do_sys_##name params;       \
	int64_t sys_##name(SYSCALL_PARAMS);        \
	int64_t sys_##name(SYSCALL_PARAMS)         \
	{                                          \
		return do_sys_##name(__VA_ARGS__); \
	}                                          \
	static inline int64_t do_sys_##name params

#define SYSCALL0(name)                 SYSCALL_WRAP(name, (void))
#define SYSCALL1(name, t0, n0)         SYSCALL_WRAP(name, (t0 n0), (t0)a0_)
#define SYSCALL2(name, t0, n0, t1, n1) SYSCALL_WRAP(name, (t0 n0, t1 n1), (t0)a0_, (t1)a1_)
#define SYSCALL3(name, t0, n0, t1, n1, t2, n2) \
	SYSCALL_WRAP(name, (t0 n0, t1 n1, t2 n2), (t0)a0_, (t1)a1_, (t2)a2_)
#define SYSCALL4(name, t0, n0, t1, n1, t2, n2, t3, n3) \
	SYSCALL_WRAP(name, (t0 n0, t1 n1, t2 n2, t3 n3), (t0)a0_, (t1)a1_, (t2)a2_, (t3)a3_)
#define SYSCALL5(name, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4)                             \
	SYSCALL_WRAP(name, (t0 n0, t1 n1, t2 n2, t3 n3, t4 n4), (t0)a0_, (t1)a1_, (t2)a2_, \
	             (t3)a3_, (t4)a4_)
#define SYSCALL6(name, t0, n0, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5)                            \
	SYSCALL_WRAP(name, (t0 n0, t1 n1, t2 n2, t3 n3, t4 n4, t5 n5), (t0)a0_, (t1)a1_, (t2)a2_, \
	             (t3)a3_, (t4)a4_, (t5)a5_)

#define NR_SYSCALLS 512
extern const syscall_fn syscall_table[NR_SYSCALLS]; /* NULL: ENOSYS */

#endif
