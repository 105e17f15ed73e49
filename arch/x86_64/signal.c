/*
 * signal.c - the frame of a signal handler, as Linux's ABI has it.
 *
 *        old rsp - 128 (red zone), or top of the alternate stack
 *              floating-point state, 64-byte aligned: XSAVE area with Linux's words in bytes 464-511, and
 *              FP_XSTATE_MAGIC2 behind it
 *              struct rt_sigframe: return address (the restorer), ucontext, siginfo
 *        rsp ->  with rsp + 8 a multiple of 16, as after a call
 *
 * Nothing that a program puts into a frame is believed: selectors are always the program's own, of the flags only those that it
 * could set itself, the XSAVE header only what this CPU has; a rip that is not canonical ends in IRET's fault (entry.S), and so
 * in SIGSEGV.
 *
 * Layout: Linux's arch/x86/include/uapi/asm/{sigcontext,ucontext}.h.
 */
#include "arch/x86_64/internal.h"
#include "kernel/signal.h"
#include "kernel/uaccess.h"
#include "lib/string.h"

struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate;
	uint64_t reserved[8];
};

struct ucontext {
	uint64_t uc_flags, uc_link;
	struct kernel_stack_t uc_stack;
	struct sigcontext uc_mcontext;
	uint64_t uc_sigmask;
};

struct rt_sigframe {
	uint64_t pretcode;
	struct ucontext uc;
	struct kernel_siginfo info;
};
static_assert(sizeof(struct sigcontext) == 256, "ABI");
static_assert(offsetof(struct ucontext, uc_mcontext) == 40, "ABI");
static_assert(offsetof(struct rt_sigframe, info) == 312, "ABI");

#define UC_FP_XSTATE         1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4

#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FP_SW_BYTES      464 /* where in the legacy area */
#define FP_LEGACY        512
#define FP_HEADER        64
#define FP_MXCSR         24
#define FP_SSE           3 /* x87 and SSE: always there */

struct fpx_sw_bytes {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};
static_assert(sizeof(struct fpx_sw_bytes) == 48, "ABI");

/* What a program may change in its flags: CF PF AF ZF SF TF DF OF RF AC. */
#define USER_FLAGS (0x8d5u | RFLAGS_TF | RFLAGS_DF | RFLAGS_RF | RFLAGS_AC)

#define RED_ZONE 128u

/* --- floating point ---------------------------------------------------------------------------------- */

/* Bytes of a frame's floating-point part. */
static size_t fp_frame_size(void)
{
	return x86.xsave_size + (x86.xsave ? sizeof(uint32_t) : 0);
}

/*
 * The live state to addr. 0 or -EFAULT. Through a buffer, here and on the way back: the task's own area is written by
 * every switch, and touching the program's memory may sleep.
 */
static int save_fp(vaddr_t addr)
{
	char fpu[FPU_SIZE_MAX] __attribute__((aligned(64)));
	struct fpx_sw_bytes sw = {
	        .magic1 = FP_XSTATE_MAGIC1,
	        .extended_size = (uint32_t)fp_frame_size(),
	        .xfeatures = x86.xcr0,
	        .xstate_size = x86.xsave_size,
	};

	memset(fpu, 0, sizeof(fpu));
	fpu_save_live(fpu);
	if (x86.xsave) {
		*(uint64_t *)(fpu + FP_LEGACY) |= FP_SSE;
		memcpy(fpu + FP_SW_BYTES, &sw, sizeof(sw));
		if (put_user_u32(addr + x86.xsave_size, FP_XSTATE_MAGIC2))
			return -EFAULT;
	}
	return copy_to_user(addr, fpu, x86.xsave_size);
}

/* Does the state at fpu, read from addr, come with all that XRSTOR loads? */
static bool fp_is_extended(const char *fpu, vaddr_t addr)
{
	struct fpx_sw_bytes sw;
	uint32_t magic2;

	memcpy(&sw, fpu + FP_SW_BYTES, sizeof(sw));
	return sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size >= FP_LEGACY + FP_HEADER &&
	       sw.xstate_size <= x86.xsave_size && sw.extended_size >= sw.xstate_size + 4 &&
	       !get_user_u32(&magic2, addr + sw.xstate_size) && magic2 == FP_XSTATE_MAGIC2;
}

/* What XRSTOR would refuse is made acceptable. */
static void sanitize_fp(char *fpu)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, fpu + FP_MXCSR, sizeof(mxcsr));
	mxcsr &= 0xffff;
	memcpy(fpu + FP_MXCSR, &mxcsr, sizeof(mxcsr));
	if (x86.xsave) {
		*(uint64_t *)(fpu + FP_LEGACY) &= x86.xcr0;
		memset(fpu + FP_LEGACY + 8, 0, FP_HEADER - 8);
	}
}

/* The state at addr becomes the live one; addr 0: as at the start of a program. 0 or -EFAULT. */
static int restore_fp(vaddr_t addr)
{
	char fpu[FPU_SIZE_MAX] __attribute__((aligned(64)));

	if (!addr) {
		arch_fpu_init(current->thread.fpu);
		return 0;
	}
	memset(fpu, 0, sizeof(fpu));
	if (copy_from_user(fpu, addr, FP_LEGACY))
		return -EFAULT;
	if (x86.xsave) {
		if (!fp_is_extended(fpu, addr))
			*(uint64_t *)(fpu + FP_LEGACY) = FP_SSE;
		else if (copy_from_user(fpu + FP_LEGACY, addr + FP_LEGACY,
		                        x86.xsave_size - FP_LEGACY))
			return -EFAULT;
	}
	sanitize_fp(fpu);
	fpu_load(fpu);
	return 0;
}

/* --- into the handler ---------------------------------------------------------------------------------- */

static void save_sigcontext(struct sigcontext *sc, const struct pt_regs *r)
{
	const struct arch_thread *t = &current->thread;

	*sc = (struct sigcontext){
	        .r8 = r->r8,
	        .r9 = r->r9,
	        .r10 = r->r10,
	        .r11 = r->r11,
	        .r12 = r->r12,
	        .r13 = r->r13,
	        .r14 = r->r14,
	        .r15 = r->r15,
	        .rdi = r->rdi,
	        .rsi = r->rsi,
	        .rbp = r->rbp,
	        .rbx = r->rbx,
	        .rdx = r->rdx,
	        .rax = r->rax,
	        .rcx = r->rcx,
	        .rsp = r->rsp,
	        .rip = r->rip,
	        .eflags = r->eflags,
	        .cs = SEL_USER_CS,
	        .ss = SEL_USER_DS,
	        .err = t->error_code,
	        .trapno = t->trap_nr,
	        .cr2 = t->fault_addr,
	};
}

/* Where the frame begins to grow down from. */
static vaddr_t frame_top(const struct ksignal *ksig, const struct pt_regs *regs)
{
	if ((ksig->ka.flags & SA_ONSTACK) && current->sas_size && !on_sig_stack(regs->rsp))
		return current->sas_sp + current->sas_size;
	return regs->rsp - RED_ZONE;
}

/* A frame that leaves the alternate stack at its low end must not be written. */
static bool frame_fits(vaddr_t frame, const struct ksignal *ksig, const struct pt_regs *regs)
{
	bool entering =
	        (ksig->ka.flags & SA_ONSTACK) && current->sas_size && !on_sig_stack(regs->rsp);

	if (!entering && !on_sig_stack(regs->rsp))
		return true;
	return frame >= current->sas_sp && frame - current->sas_sp <= current->sas_size;
}

static void save_altstack(struct kernel_stack_t *st)
{
	st->ss_sp = current->sas_sp;
	st->ss_size = current->sas_size;
	st->ss_flags = (int32_t)(current->sas_size ? current->sas_flags : SS_DISABLE);
}

static void enter_handler(struct pt_regs *regs, const struct ksignal *ksig, vaddr_t frame)
{
	regs->rdi = (uint64_t)ksig->signo;
	regs->rsi = frame + offsetof(struct rt_sigframe, info);
	regs->rdx = frame + offsetof(struct rt_sigframe, uc);
	regs->rax = 0;
	regs->rip = ksig->ka.handler;
	regs->rsp = frame;
	regs->cs = SEL_USER_CS;
	regs->ss = SEL_USER_DS;
	regs->eflags &= ~(uint64_t)(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
}

int arch_setup_frame(const struct ksignal *ksig, uint64_t blocked_mask, struct pt_regs *regs)
{
	struct rt_sigframe f = {.pretcode = ksig->ka.restorer, .info = ksig->info};
	vaddr_t fp = ALIGN_DOWN(frame_top(ksig, regs) - fp_frame_size(), (vaddr_t)64);
	vaddr_t frame = ALIGN_DOWN(fp - sizeof(f), (vaddr_t)16) - 8;

	if (!(ksig->ka.flags & SA_RESTORER) || !frame_fits(frame, ksig, regs))
		return -EFAULT;
	f.uc.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (x86.xsave ? UC_FP_XSTATE : 0);
	save_altstack(&f.uc.uc_stack);
	save_sigcontext(&f.uc.uc_mcontext, regs);
	f.uc.uc_mcontext.oldmask = blocked_mask;
	f.uc.uc_mcontext.fpstate = fp;
	f.uc.uc_sigmask = blocked_mask;
	if (save_fp(fp) || copy_to_user(frame, &f, sizeof(f)))
		return -EFAULT;
	enter_handler(regs, ksig, frame);
	return 0;
}

/* --- and back -------------------------------------------------------------------------------------------- */

static void restore_sigcontext(struct pt_regs *r, const struct sigcontext *sc)
{
	*r = (struct pt_regs){
	        .r8 = sc->r8,
	        .r9 = sc->r9,
	        .r10 = sc->r10,
	        .r11 = sc->r11,
	        .r12 = sc->r12,
	        .r13 = sc->r13,
	        .r14 = sc->r14,
	        .r15 = sc->r15,
	        .rdi = sc->rdi,
	        .rsi = sc->rsi,
	        .rbp = sc->rbp,
	        .rbx = sc->rbx,
	        .rdx = sc->rdx,
	        .rax = sc->rax,
	        .rcx = sc->rcx,
	        .rsp = sc->rsp,
	        .rip = sc->rip,
	        .cs = SEL_USER_CS,
	        .ss = SEL_USER_DS,
	        .eflags = (sc->eflags & USER_FLAGS) | RFLAGS_IF | RFLAGS_FIXED,
	        .orig_rax = (uint64_t)-1,
	};
}

int arch_sigreturn(struct pt_regs *regs, uint64_t *mask)
{
	/* The handler's return has popped pretcode. */
	vaddr_t uc_addr = regs->rsp - 8 + offsetof(struct rt_sigframe, uc);
	struct ucontext uc;

	if (copy_from_user(&uc, uc_addr, sizeof(uc)))
		return -EFAULT;
	if (restore_fp(uc.uc_mcontext.fpstate))
		return -EFAULT;
	*mask = uc.uc_sigmask;
	restore_sigcontext(regs, &uc.uc_mcontext);
	(void)do_sigaltstack(&uc.uc_stack, NULL, regs->rsp);
	return 0;
}
