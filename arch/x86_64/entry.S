/*
 * entry.S - into the kernel and back.
 *
 * Every entry leaves a struct pt_regs at the top of the stack that it runs on (regs.h). From a program that is the
 * task's kernel stack: SYSCALL takes it from this CPU's struct cpu, interrupts from the TSS.
 *
 * Going back. The C code that an entry calls preserves rbx, rbp and r12-r15 as its ABI demands, so the short ways
 * back load only what the call may have spoiled. Whoever gives a program other registers than it came with
 * (signal delivery, sigreturn, exec, the first return of a new task) takes the long way: through exit_to_user(), or
 * marked by a negative orig_rax at the end of a system call.
 *
 * System calls. Numbers that the table knows are called from here, without a stop in between, as long as nothing is
 * traced; anything else goes through do_syscall(). SYSRET needs a canonical rip: the short way returns to where the SYSCALL
 * instruction was, and the last page of the user half is never mapped, so it is. The long way is IRET.
 *
 * %gs. In the kernel GS_BASE is the struct cpu and KERNEL_GS_BASE the program's; entries from a program swap
 * them. #DB, NMI, #DF and #MC can hit between an entry and its swapgs, and with FSGSBASE the base in force says nothing about whose
 * it is: they run on stacks of their own, at whose bottom lies the struct cpu, and save and set GS_BASE.
 *
 * Source: Intel SDM vol. 2 (SYSCALL, SYSRET, IRET), vol. 3, 6.14; Linux's Documentation/x86/entry_64.rst.
 */
#include "arch/x86_64/asm.h"

#define NR_SYSCALLS 512 /* kernel/syscall.h */
#define ENOSYS      38

	.section .text.entry, "ax"

/* The fifteen general registers below orig_rax. */
.macro PUSH_REGS_BELOW_RDI
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
.endm

.macro POP_REGS
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
.endm

/* What a call spoils, for the short ways back; rsp stays. */
.macro LOAD_SPOILED_ARGS
	movq R10(%rsp), %r10
	movq R9(%rsp), %r9
	movq R8(%rsp), %r8
	movq RDX(%rsp), %rdx
	movq RSI(%rsp), %rsi
	movq RDI(%rsp), %rdi
.endm

/* Interrupts off. Spoils rcx. */
.macro TEST_EXIT_WORK target
	cmpl $0, %gs:OFF_CPU_NEED_RESCHED
	jne \target
	movq %gs:OFF_CPU_CURRENT, %rcx
	testl $EXIT_WORK_FLAGS, OFF_TASK_FLAGS(%rcx)
	jnz \target
.endm

ENTRY(entry_syscall)
	swapgs
	movq %rsp, %gs:OFF_CPU_USER_SP
	movq %gs:OFF_CPU_KERNEL_SP, %rsp
	pushq $SEL_USER_DS
	pushq %gs:OFF_CPU_USER_SP
	pushq %r11
	pushq $SEL_USER_CS
	pushq %rcx
	pushq %rax
	pushq %rdi
	PUSH_REGS_BELOW_RDI
	cmpq $NR_SYSCALLS, %rax
	jae syscall_slow
	movq syscall_table(, %rax, 8), %rax
	testq %rax, %rax
	jz syscall_slow
	cmpb $0, trace_on
	jne syscall_slow
	incq %gs:OFF_CPU_SYSCALLS
	movq %r10, %rcx
	sti
	call *%rax
	cli
	movq %rax, RAX(%rsp)
syscall_exit:
	TEST_EXIT_WORK exit_work
	cmpl $0, ORIG_RAX + 4(%rsp)
	js exit_iret
	LOAD_SPOILED_ARGS
	movq RIP(%rsp), %rcx
	movq EFLAGS(%rsp), %r11
	movq RSP(%rsp), %rsp
	swapgs
	sysretq

syscall_slow:
	movq $-ENOSYS, RAX(%rsp)
	movq %rsp, %rdi
	sti
	call do_syscall
	cli
	movq RAX(%rsp), %rax
	jmp syscall_exit

/* Interrupts off; regs at rsp. */
exit_work:
	movq %rsp, %rdi
	call exit_to_user
exit_iret:
	POP_REGS
	addq $8, %rsp
	swapgs
user_iret:
	iretq
END(entry_syscall)

/* A new task's first switch arrives here (switch.S): rbx = function or 0, r12 = its argument. */
ENTRY(task_start)
	call schedule_tail
	testq %rbx, %rbx
	jz 1f
	sti
	movq %r12, %rdi
	call *%rbx
	ud2
1:	cli
	jmp exit_work
END(task_start)

/* SYSCALL from 32-bit code: there is no such code segment, so none comes; should one, nothing is done. */
ENTRY(entry_compat)
	movl $-ENOSYS, %eax
	sysretl
END(entry_compat)

ENTRY(entry_page_fault)
	CLAC
	pushq %rdi
	PUSH_REGS_BELOW_RDI
	cld
	movq %rsp, %rdi
	movq %cr2, %rsi
	movq ORIG_RAX(%rsp), %rdx
	movq $-1, ORIG_RAX(%rsp)
	testb $3, CS(%rsp)
	jz 1f
	swapgs
	sti
	call page_fault_user
	cli
interrupt_exit:
	TEST_EXIT_WORK exit_work
	LOAD_SPOILED_ARGS
	movq R11(%rsp), %r11
	movq RCX(%rsp), %rcx
	movq RAX(%rsp), %rax
	addq $RIP, %rsp
	swapgs
	jmp user_iret
1:	call page_fault_kernel
kernel_exit:
	POP_REGS
	addq $8, %rsp
	iretq
END(entry_page_fault)

/*
 * One stub for each vector, 16 bytes apart: an error code or -1 in orig_rax's place, and the vector in edi. The CPU
 * pushes an error code itself for 8, 10-14, 17, 21, 29 and 30.
 */
	.p2align 4
	.globl vector_stubs
vector_stubs:
	.set vector, 0
	.rept 256
	.p2align 4
	.set has_error, 0
	.if vector < 32
	.set has_error, (0x60227d00 >> vector) & 1
	.endif
	.if has_error == 0
	pushq $-1
	.endif
	pushq %rdi
	movl $vector, %edi
	jmp trap_common
	.set vector, vector + 1
	.endr
	.p2align 4

ENTRY(trap_common)
	CLAC
	PUSH_REGS_BELOW_RDI
	cld
	movl %edi, %esi
	movq %rsp, %rdi
	movq ORIG_RAX(%rsp), %rdx
	movq $-1, ORIG_RAX(%rsp)
	testb $3, CS(%rsp)
	jz 1f
	swapgs
	call trap_user
	jmp interrupt_exit
1:	cmpq $user_iret, RIP(%rsp)
	je bad_iret
	call trap_kernel
	jmp kernel_exit
END(trap_common)

/*
 * IRET to the program refused its frame: the fault came in the kernel but with the program's %gs and registers. Those
 * registers move up to where the frame is, as if the program itself had faulted there.
 */
bad_iret:
	swapgs
	movq RSP(%rsp), %rdi
	subq $ORIG_RAX + 8, %rdi
	movq %rsp, %rsi
	call move_regs /* (to, from); returns to */
	movq %rax, %rsp
	movq %rsp, %rdi
	call bad_iret_fault
	jmp exit_work

/* Entries on stacks of their own. rbx keeps GS_BASE. */
.macro PARANOID name, handler, error, size=IST_SIZE
ENTRY(\name)
	CLAC
	.if \error == 0
	pushq $-1
	.endif
	pushq %rdi
	PUSH_REGS_BELOW_RDI
	cld
	movl $MSR_GS_BASE, %ecx
	rdmsr
	shlq $32, %rdx
	leaq (%rax, %rdx), %rbx
	movq %rsp, %rax
	andq $-\size, %rax
	movq (%rax), %rax
	movq %rax, %rdx
	shrq $32, %rdx
	wrmsr
	movq %rsp, %rdi
	movq ORIG_RAX(%rsp), %rsi
	movq $-1, ORIG_RAX(%rsp)
	call \handler
	movq %rbx, %rax
	movq %rbx, %rdx
	shrq $32, %rdx
	movl $MSR_GS_BASE, %ecx
	wrmsr
	POP_REGS
	addq $8, %rsp
	iretq
END(\name)
.endm

	PARANOID entry_nmi, nmi_interrupt, 0
	PARANOID entry_double_fault, double_fault, 1, IST_SIZE_FATAL
	PARANOID entry_machine_check, machine_check, 0, IST_SIZE_FATAL
	PARANOID debug_paranoid, debug_kernel, 0

/* #DB of a program may sleep and be sent a signal: it moves to the task's stack and goes on as any exception. */
ENTRY(entry_debug)
	testb $3, 8(%rsp)
	jz debug_paranoid
	CLAC
	swapgs
	pushq %rdi
	movq %rsp, %rdi
	movq %gs:OFF_CPU_KERNEL_SP, %rsp
	pushq 40(%rdi)
	pushq 32(%rdi)
	pushq 24(%rdi)
	pushq 16(%rdi)
	pushq 8(%rdi)
	pushq $-1
	pushq (%rdi)
	PUSH_REGS_BELOW_RDI
	cld
	movq %rsp, %rdi
	movl $VEC_DB, %esi
	movq $-1, %rdx
	call trap_user
	jmp interrupt_exit
END(entry_debug)

	.section .note.GNU-stack, "", @progbits
