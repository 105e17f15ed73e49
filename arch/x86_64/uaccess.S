/*
 * uaccess.S - the only instructions of the kernel that touch a program's memory (kernel/uaccess.h).
 *
 * Between STAC and CLAC (no-ops without SMAP). Each checks that the range lies in the user half, below x86_user_end;
 * a fault there is handled like the program's own, by its address (section .uaccess: trap.c), or goes on at the place
 * that EXTABLE names. Code in .nofault goes there at once.
 *
 * n bytes are copied as n / 8 words, then n % 8 bytes. A fault among the words starts again with the bytes that
 * are left, so that what is reported as copied is exact.
 */
#include "arch/x86_64/asm.h"

#define EFAULT 14

	.section .uaccess, "ax"

/* \reg .. \reg + rdx is the program's; spoils rax. */
.macro CHECK_RANGE reg, bad
	movq \reg, %rax
	addq %rdx, %rax
	jc \bad
	cmpq x86_user_end, %rax
	ja \bad
.endm

/* rdx bytes by \op (movs or stos); what is left in rax. */
.macro BY_WORDS op
	movq %rdx, %rcx
	shrq $3, %rcx
	STAC
91:	rep \op\()q
	movl %edx, %ecx
	andl $7, %ecx
	jz 93f
92:	rep \op\()b
93:	CLAC
	movq %rcx, %rax
	ret
94:	leaq (, %rcx, 8), %rcx
	andl $7, %edx
	addq %rdx, %rcx
	jmp 92b
	EXTABLE 91b, 94b
	EXTABLE 92b, 93b
.endm

/* size_t copy_from_user_partial(void *to, vaddr_t from, size_t n) */
ENTRY(copy_from_user_partial)
	CHECK_RANGE %rsi, 1f
	BY_WORDS movs
1:	movq %rdx, %rax
	ret
END(copy_from_user_partial)

/* size_t copy_to_user_partial(vaddr_t to, const void *from, size_t n) */
ENTRY(copy_to_user_partial)
	CHECK_RANGE %rdi, 1f
	BY_WORDS movs
1:	movq %rdx, %rax
	ret
END(copy_to_user_partial)

/* size_t clear_user_partial(vaddr_t to, size_t n) */
ENTRY(clear_user_partial)
	movq %rsi, %rdx
	CHECK_RANGE %rdi, 1f
	xorl %eax, %eax
	BY_WORDS stos
1:	movq %rdx, %rax
	ret
END(clear_user_partial)

/* The same three, 0 or -EFAULT. */
.macro ALL_OR_FAULT name, partial
ENTRY(\name)
	call \partial
	negq %rax
	sbbl %eax, %eax
	andl $-EFAULT, %eax
	ret
END(\name)
.endm
	ALL_OR_FAULT copy_from_user, copy_from_user_partial
	ALL_OR_FAULT copy_to_user, copy_to_user_partial
	ALL_OR_FAULT clear_user, clear_user_partial

/* \reg .. \reg + \size is the program's; spoils rax. */
.macro CHECK_WORD reg, size
	movq x86_user_end, %rax
	subq $\size, %rax
	cmpq %rax, \reg
	ja 98f
.endm

/* The end of each of the functions below: 97 succeeded, 98 failed. */
.macro RETURN_0_OR_EFAULT
97:	CLAC
	xorl %eax, %eax
	ret
99:	CLAC
98:	movl $-EFAULT, %eax
	ret
	EXTABLE 96b, 99b
.endm

/* int get_user_u32(uint32_t *value, vaddr_t from), and its like */
.macro GET_USER name, size, reg
ENTRY(\name)
	CHECK_WORD %rsi, \size
	STAC
96:	mov (%rsi), \reg
	mov \reg, (%rdi)
	RETURN_0_OR_EFAULT
END(\name)
.endm

/* int put_user_u32(vaddr_t to, uint32_t value), and its like */
.macro PUT_USER name, size, reg
ENTRY(\name)
	CHECK_WORD %rdi, \size
	STAC
96:	mov \reg, (%rdi)
	RETURN_0_OR_EFAULT
END(\name)
.endm

/* int cmpxchg_user_u32(vaddr_t addr, uint32_t *old, uint32_t new_value) */
.macro CMPXCHG_USER name
ENTRY(\name)
	CHECK_WORD %rdi, 4
	movl (%rsi), %eax
	STAC
96:	lock cmpxchgl %edx, (%rdi)
	movl %eax, (%rsi)
	RETURN_0_OR_EFAULT
END(\name)
.endm

	GET_USER get_user_u8, 1, %cl
	GET_USER get_user_u32, 4, %ecx
	GET_USER get_user_u64, 8, %rcx
	PUT_USER put_user_u32, 4, %esi
	PUT_USER put_user_u64, 8, %rsi
	CMPXCHG_USER cmpxchg_user_u32

	.section .nofault, "ax"
/* size_t copy_from_user_nofault(void *to, vaddr_t from, size_t n) */
ENTRY(copy_from_user_nofault)
	CHECK_RANGE %rsi, 1f
	BY_WORDS movs
1:	movq %rdx, %rax
	ret
END(copy_from_user_nofault)

	GET_USER get_user_u32_nofault, 4, %ecx
	CMPXCHG_USER cmpxchg_user_u32_nofault

/* bool kernel_load_u64(uint64_t *value, uint64_t addr) */
ENTRY(kernel_load_u64)
96:	movq (%rsi), %rcx
	movq %rcx, (%rdi)
	movl $1, %eax
	ret
97:	xorl %eax, %eax
	ret
	EXTABLE 96b, 97b
END(kernel_load_u64)

	.section .note.GNU-stack, "", @progbits
