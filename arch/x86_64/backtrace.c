/*
 * backtrace.c - the call chain by frame pointers; one line for each return address.
 *
 * A frame pointer is believed as long as it is a kernel address that can be read and lies above the last,
 * not further than a stack is long.
 */
#include "arch/x86_64/internal.h"
#include <quire/symbol.h>

#define MAX_FRAMES 32
#define MAX_FRAME  16384u

bool kernel_load_u64(uint64_t *value, uint64_t addr); /* uaccess.S: false: it faults */

unsigned arch_stack_trace(uint64_t frame, uint64_t *address, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t next;

		if (frame < DIRECT_MAP_START || frame % 8 || !kernel_load_u64(&next, frame) ||
		    !kernel_load_u64(&address[i], frame + 8) || address[i] < KERNEL_START)
			return i;
		if (next <= frame || next - frame > MAX_FRAME)
			return i + 1;
		frame = next;
	}
	return n;
}

void arch_backtrace(const struct pt_regs *regs)
{
	uint64_t address[MAX_FRAMES];
	unsigned n = arch_stack_trace(regs ? regs->rbp : (uint64_t)__builtin_frame_address(0),
	                              address, MAX_FRAMES);
	char name[KSYM_SYMBOL_LEN];

	if (regs)
		port_log(" %s", sprint_symbol(name, regs->rip));
	for (unsigned i = 0; i < n; i++)
		port_log(" %s", sprint_backtrace(name, address[i]));
}
