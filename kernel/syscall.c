/*
 * syscall.c - from the number to the function.
 *
 * The way in is as short as it can be: count, look up, call. A call that does not exist, or of which
 * syscall.def says "none", is ENOSYS and logged once for each number.
 */
#include "kernel/syscall.h"
#include "arch/x86_64/arch.h"
#include "kernel/task.h"
#include <quire/trace.h>

#define full                    1
#define partial                 1
#define none                    0
#define SYSCALL_DECLARE_1(name) int64_t sys_##name(SYSCALL_PARAMS);
#define SYSCALL_DECLARE_0(name)
#define SYSCALL_ENTRY_1(nr, name) [nr] = sys_##name,
#define SYSCALL_ENTRY_0(nr, name)
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

#define SYSCALL(nr, name, status, note) PASTE(SYSCALL_DECLARE_, status)(name)
#include "kernel/syscall.def"
#undef SYSCALL

const syscall_fn syscall_table[NR_SYSCALLS] = {
#define SYSCALL(nr, name, status, note) PASTE(SYSCALL_ENTRY_, status)(nr, name)
#include "kernel/syscall.def"
#undef SYSCALL
};

static const char *const names[NR_SYSCALLS] = {
#define SYSCALL(nr, name, status, note) [nr] = #name,
#include "kernel/syscall.def"
#undef SYSCALL
};

static NOINLINE int64_t unknown_syscall(uint64_t nr)
{
	static _Atomic uint64_t logged[NR_SYSCALLS / 64];
	const char *name = nr < NR_SYSCALLS && names[nr] ? names[nr] : "?";
	uint64_t bit = 1ull << (nr % 64);

	if (nr < NR_SYSCALLS && !(atomic_fetch_or(&logged[nr / 64], bit) & bit))
		port_log("%s: system call %lu (%s) is not implemented", current->comm, nr, name);
	return -ENOSYS;
}

static NOINLINE void traced_syscall(struct pt_regs *regs, syscall_fn fn)
{
	uint64_t nr = regs->orig_rax;

	trace_sys_enter(nr, regs->rdi);
	regs->rax = (uint64_t)fn(regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9);
	trace_sys_exit(nr, regs->rax);
}

void do_syscall(struct pt_regs *regs)
{
	uint64_t nr = regs->orig_rax;
	syscall_fn fn = likely(nr < NR_SYSCALLS) ? syscall_table[nr] : NULL;

	count(SYSCALLS);
	if (unlikely(!fn))
		regs->rax = (uint64_t)unknown_syscall(nr);
	else if (trace_enabled())
		traced_syscall(regs, fn);
	else
		regs->rax = (uint64_t)fn(regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8,
		                         regs->r9);
}
