/*
 * page.S - clearing and copying whole pages, 16 bytes an instruction.
 *
 * Kernel code is compiled without vector registers, so the program's are in them: two are borrowed and put back. An interrupt in
 * between may borrow them too, and puts them back before it returns.
 */
#include "arch/x86_64/asm.h"

	.section .text.entry, "ax"

/* void clear_page(void *page) */
ENTRY(clear_page)
	subq $24, %rsp
	movups %xmm0, (%rsp)
	pxor %xmm0, %xmm0
	.set i, 0
	.rept 4096 / 16
	movaps %xmm0, i(%rdi)
	.set i, i + 16
	.endr
	movups (%rsp), %xmm0
	addq $24, %rsp
	ret
END(clear_page)

/* void copy_page(void *to, const void *from) */
ENTRY(copy_page)
	subq $40, %rsp
	movups %xmm0, (%rsp)
	movups %xmm1, 16(%rsp)
	movl $4096 / 256, %eax
1:
	.set i, 0
	.rept 8
	movaps i(%rsi), %xmm0
	movaps i + 16(%rsi), %xmm1
	movaps %xmm0, i(%rdi)
	movaps %xmm1, i + 16(%rdi)
	.set i, i + 32
	.endr
	addq $256, %rsi
	addq $256, %rdi
	decl %eax
	jnz 1b
	movups (%rsp), %xmm0
	movups 16(%rsp), %xmm1
	addq $40, %rsp
	ret
END(copy_page)

	.section .note.GNU-stack, "", @progbits
