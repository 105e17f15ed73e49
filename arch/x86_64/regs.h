/*
 * regs.h - what the entry code saves of a program (or of the kernel) on the kernel stack.
 *
 * The order is that of Linux's pt_regs and of ptrace's user_regs_struct. orig_rax: the system call's number, or
 * -1 for an exception or interrupt (then a signal does not restart anything).
 */
#ifndef ARCH_REGS_H
#define ARCH_REGS_H

#include <quire/types.h>

struct pt_regs {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi;
	uint64_t orig_rax;
	uint64_t rip, cs, eflags, rsp, ss;
};

static inline bool user_mode(const struct pt_regs *regs)
{
	return (regs->cs & 3) != 0;
}

#endif
