/*
 * boot.S - from the loader to C, on the first CPU (PVH) and on the others (start-up IPI).
 *
 * PVH enters at start32: 32 bits, paging off, flat segments, ebx -> start_info; no stack. Until paging is on, every
 * address is physical: symbol - KERNEL_BASE. The tables made here map the first gigabyte three times, at 0 (so
 * that turning on paging does not pull the rug), in the direct map and at KERNEL_BASE; paging.c makes the final ones.
 *
 * Source: Xen's docs/misc/pvh.pandoc; Intel SDM vol. 3, 9.8.5 (IA-32e mode), 8.4 (multiple processors).
 */
#include "arch/x86_64/asm.h"

#define PHYS(symbol) (symbol - KERNEL_BASE)

	.section .note.pvh, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.align 4
	.long PHYS(start32)

	.section .text.boot, "ax"
	.code32
ENTRY(start32)
	cli
	cld
	movl %ebx, %ebp
	xorl %eax, %eax
	movl $PHYS(__bss_start), %edi
	movl $PHYS(__bss_end), %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	rep stosl
	movl $PHYS(boot_stack_top), %esp

	movl $0x80000000, %eax
	cpuid
	movl $PHYS(no_long_mode), %esi
	cmpl $0x80000001, %eax
	jb complain
	movl $0x80000001, %eax
	cpuid
	testl $1 << 29, %edx
	jz complain
	movl $PHYS(no_nx), %esi
	testl $1 << 20, %edx
	jz complain

	movl $PHYS(boot_pdpt) + 3, PHYS(boot_pml4)
	movl $PHYS(boot_pdpt) + 3, PHYS(boot_pml4) + 273 * 8
	movl $PHYS(boot_kernel_pdpt) + 3, PHYS(boot_pml4) + 511 * 8
	movl $PHYS(boot_pd) + 3, PHYS(boot_pdpt)
	movl $PHYS(boot_pd) + 3, PHYS(boot_kernel_pdpt) + 510 * 8
	movl $PHYS(boot_pd), %edi
	movl $0x83, %eax
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	cmpl $0x40000000, %eax
	jb 1b

	call enable_long_mode
	ljmp $0x10, $PHYS(start64)
END(start32)

/* 32-bit code of both kinds of CPU; needs a stack. */
enable_long_mode:
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PHYS(boot_pml4), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl $(EFER_SCE | EFER_LME | EFER_NXE), %eax
	xorl %edx, %edx
	wrmsr
	movl $CR0_RUN, %eax
	movl %eax, %cr0
	lgdt PHYS(boot_gdt_pointer)
	ret

/* One line on the serial port, and out by the debug exit: without long mode there is nothing to fall back to. */
complain:
	movw $0x3f8, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	movl $0x12, %eax
	movw $0xf4, %dx
	outl %eax, %dx
3:	hlt
	jmp 3b

	.code64
start64:
	movq $start_high, %rax
	jmp *%rax
start_high:
	movl $SEL_KERNEL_DS, %eax
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	movl %ebp, %edi
	xorl %ebp, %ebp
	call start_kernel
	ud2

/*
 * The page that further CPUs start in, copied to TRAMPOLINE_PAGE: 16 bits, cs = page / 16. All of them run it at the
 * same time; each takes a number and with it its struct cpu and stack.
 */
	.section .rodata.trampoline, "a"
	.globl trampoline_start, trampoline_end
	.code16
trampoline_start:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt_pointer - trampoline_start
	movl $1, %eax
	movl %eax, %cr0
	ljmpl $8, $TRAMPOLINE_PAGE + (trampoline_32 - trampoline_start)
	.code32
trampoline_32:
	movw $0x18, %ax
	movw %ax, %ds
	movw %ax, %ss
	ljmp $8, $PHYS(secondary_32)
	.align 8
trampoline_gdt_pointer:
	.word 4 * 8 - 1
	.long PHYS(boot_gdt)
trampoline_end:

	.section .text.boot, "ax"
	.code32
secondary_32:
	movl $1, %eax
	lock xaddl %eax, PHYS(secondary_next)
	cmpl PHYS(secondary_count), %eax
	jae 1f
	movl $1, %eax /* its number: how many of them have a lower APIC id, when all are here */
	cpuid
	shrl $24, %ebx
	lock btsl %ebx, PHYS(secondary_ids)
	lock incl PHYS(secondary_here)
2:	pause
	movl PHYS(secondary_here), %eax
	cmpl PHYS(secondary_count), %eax
	jb 2b
	xorl %edi, %edi
3:	subl $1, %ebx
	jc 4f
	btl %ebx, PHYS(secondary_ids)
	adcl $0, %edi
	jmp 3b
4:	movl %edi, %eax
	shll $6, %eax
	movl $TRAMPOLINE_PAGE + 4096, %esp
	subl %eax, %esp
	call enable_long_mode
	ljmp $0x10, $PHYS(secondary_64)
1:	cli
	hlt
	jmp 1b

	.code64
secondary_64:
	movq $secondary_high, %rax
	jmp *%rax
secondary_high:
	movl $SEL_KERNEL_DS, %eax
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl $PHYS(kernel_root), %eax /* the stack is not in boot.S's tables */
	movq %rax, %cr3
	movl %edi, %edi
	movq secondary_stack(, %rdi, 8), %rsp
	xorl %ebp, %ebp
	call start_secondary
	ud2

	.section .rodata
no_long_mode:
	.asciz "quire: this CPU has no 64-bit mode: use another -cpu\n"
no_nx:
	.asciz "quire: this CPU has no execute-disable bit: use another -cpu\n"
	.align 8
boot_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* 0x08: 32-bit code */
	.quad 0x00af9b000000ffff /* 0x10: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x18: data */
boot_gdt_pointer:
	.word 4 * 8 - 1
	.quad PHYS(boot_gdt)

	.section .noinit, "aw", @nobits
	.align 4096
	.globl boot_stack_guard, boot_stack, boot_stack_top
boot_stack_guard: /* not mapped in the final tables */
	.skip 4096
boot_stack:
	.skip BOOT_STACK_SIZE
boot_stack_top:

	.section .init.bss, "aw", @nobits
	.align 4096
	.globl boot_pml4
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_kernel_pdpt:
	.skip 4096
boot_pd:
	.skip 4096
	.globl numa_tables
numa_tables:
	.skip NUMA_TABLES_SIZE

	.section .note.GNU-stack, "", @progbits
