/*
 * backtrace.c - the call chain by frame pointers; one line for each return address. The reader of the log names them.
 *
 * A frame pointer is believed as long as it is a kernel address that can be read and lies above the last,
 * not further than a stack is long.
 */
#include "arch/x86_64/internal.h"

#define MAX_FRAMES 32
#define MAX_FRAME  16384u

bool kernel_load_u64(uint64_t *value, uint64_t addr); /* uaccess.S: false: it faults */

static void log_address(uint64_t address)
{
	port_log("  [<%016lx>]", address);
}

void arch_backtrace(const struct pt_regs *regs)
{
	uint64_t frame = regs ? regs->rbp : (uint64_t)__builtin_frame_address(0);

	if (regs)
		log_address(regs->rip);
	for (unsigned i = 0; i < MAX_FRAMES; i++) {
		uint64_t next, address;

		if (frame < DIRECT_MAP_START || frame % 8 || !kernel_load_u64(&next, frame) ||
		    !kernel_load_u64(&address, frame + 8) || address < KERNEL_START)
			break;
		log_address(address);
		if (next <= frame || next - frame > MAX_FRAME)
			break;
		frame = next;
	}
}
