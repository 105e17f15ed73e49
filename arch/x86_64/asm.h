/*
 * asm.h - numbers that assembler and C share: selectors, vectors, where the entry code finds things.
 *
 * Offsets into structures are not written here but defined as absolute symbols by offsets.c
 * (OFF_...), so that assembler follows the structures by itself.
 */
#ifndef ARCH_ASM_H
#define ARCH_ASM_H

/* Segment selectors: Linux's numbers, for programs see them in signal frames. The order is SYSRET's. */
#define SEL_KERNEL_CS 0x10
#define SEL_KERNEL_DS 0x18
#define SEL_USER_DS   0x2b
#define SEL_USER_CS   0x33
#define SEL_TSS       0x40
#define STAR_USER     0x23 /* SYSRET adds 8 for SS and 16 for CS; no 32-bit code segment is there */
#define GDT_ENTRIES   10

/* Exceptions with a place of their own. */
#define VEC_DB  1
#define VEC_NMI 2
#define VEC_DF  8
#define VEC_GP  13
#define VEC_PF  14
#define VEC_MC  18

/* Vectors above the exceptions. The priority is the upper half byte. */
#define VEC_IRQ      0x30 /* IO-APIC line 0 */
#define VEC_TIMER    0xe0
#define VEC_IPI      0xf0
#define VEC_SPURIOUS 0xff

/* Interrupt stacks (IST): aligned to their size, with their CPU's address at the bottom. */
#define IST_DF         1 /* and machine check: neither returns, both write to the log */
#define IST_NMI        2
#define IST_DB         3
#define IST_SIZE       4096
#define IST_SIZE_FATAL 8192

#define RFLAGS_FIXED 0x2
#define RFLAGS_TF    0x100
#define RFLAGS_IF    0x200
#define RFLAGS_DF    0x400
#define RFLAGS_IOPL  0x3000
#define RFLAGS_NT    0x4000
#define RFLAGS_RF    0x10000
#define RFLAGS_AC    0x40000

#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_FMASK          0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_SCE 0x1
#define EFER_LME 0x100
#define EFER_NXE 0x800

#define CR0_PE  0x1
#define CR0_MP  0x2
#define CR0_ET  0x10
#define CR0_NE  0x20
#define CR0_WP  0x10000
#define CR0_AM  0x40000
#define CR0_PG  0x80000000
#define CR0_RUN (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG)

#define CR4_PAE        0x20
#define CR4_MCE        0x40
#define CR4_PGE        0x80
#define CR4_OSFXSR     0x200
#define CR4_OSXMMEXCPT 0x400
#define CR4_UMIP       0x800
#define CR4_FSGSBASE   0x10000
#define CR4_OSXSAVE    0x40000
#define CR4_SMEP       0x100000
#define CR4_SMAP       0x200000

#define BOOT_STACK_SIZE 16384
/* Room for the firmware's tables of nodes (numa.c), in boot.S's memory. */
#define NUMA_SLIT_SIZE   1024
#define NUMA_SRAT_SIZE   8192
#define NUMA_TABLES_SIZE 16384

#define TRAMPOLINE_PAGE 0x8000 /* below 1 MB, in a page of its own: where further CPUs start */

/* Task flags that must be looked at before going back to the program: TIF_SIGPENDING. */
#define EXIT_WORK_FLAGS 0x10

#ifdef __ASSEMBLER__

#define KERNEL_BASE 0xffffffff80000000 /* KERNEL_START of arch.h */

/* struct pt_regs from its start. */
#define R15      0
#define R14      8
#define R13      16
#define R12      24
#define RBP      32
#define RBX      40
#define R11      48
#define R10      56
#define R9       64
#define R8       72
#define RAX      80
#define RCX      88
#define RDX      96
#define RSI      104
#define RDI      112
#define ORIG_RAX 120
#define RIP      128
#define CS       136
#define EFLAGS   144
#define RSP      152
#define SS       160

/* clang-format off */
#define ENTRY(name)                                                                                \
	.globl name;                                                                               \
	.p2align 4;                                                                                \
	.type name, @function;                                                                     \
	name:
#define END(name) .size name, .- name

/*
 * stac and clac, three bytes each, are written as a no-op of three bytes and patched in at boot where the CPU has
 * SMAP: the table .smap_patch lists their places (setup.c).
 */
.macro SMAP_PATCH opcode
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .smap_patch, "a"
	.quad 771b
	.quad \opcode
	.popsection
.endm
#define STAC SMAP_PATCH 0xcb
#define CLAC SMAP_PATCH 0xca

/* A fault at `from` goes on at `to` (trap.c). */
.macro EXTABLE from, to
	.pushsection __ex_table, "a"
	.quad \from
	.quad \to
	.popsection
.endm
/* clang-format on */

#endif
#endif
