/*
 * switch.S - from one kernel stack to another (thread.c does the rest).
 */
#include "arch/x86_64/asm.h"

	.section .text.entry, "ax"

/* void switch_stacks(uint64_t *save_sp, uint64_t load_sp). A new task's stack holds the same frame (thread.c). */
ENTRY(switch_stacks)
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
END(switch_stacks)

	.section .note.GNU-stack, "", @progbits
