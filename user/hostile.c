/*
 * hostile.c - a program that tries to crash or read the kernel. Each attempt runs in a child; the child must die by
 * the signal that Linux would send, or the call must fail with an errno. The kernel must live to run the next.
 * Prints one line for each attempt: "ok ..." or what went wrong. Every system call is made with /dev/null as every
 * descriptor, which as root leaves marks (the host's name, modes): that part runs on Quire only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define KERNEL_TEXT   0xffffffff80100000ul
#define DIRECT_MAP    0xffff888000100000ul
#define NON_CANONICAL 0x800000000000ul

static volatile uint64_t sink;

__attribute__((noinline, used)) static void jump(uint64_t to)
{
	((void (*)(void))to)();
}

static void jump_kernel(void)
{
	jump(KERNEL_TEXT);
}
static void jump_direct_map(void)
{
	jump(DIRECT_MAP);
}
static void jump_non_canonical(void)
{
	jump(NON_CANONICAL);
}
static void jump_null(void)
{
	jump(0);
}
static void read_kernel(void)
{
	sink = *(volatile uint64_t *)KERNEL_TEXT;
}
static void read_direct_map(void)
{
	sink = *(volatile uint64_t *)DIRECT_MAP;
}
static void read_non_canonical(void)
{
	sink = *(volatile uint64_t *)NON_CANONICAL;
}
static void write_kernel(void)
{
	*(volatile uint64_t *)KERNEL_TEXT = 1;
}
static void write_text(void)
{
	*(volatile uint64_t *)(uintptr_t)jump = 1;
}
static void run_data(void)
{
	static char code[16] = {(char)0xc3};
	jump((uint64_t)code);
}
static void hlt(void)
{
	__asm__ volatile("hlt");
}
static void cli(void)
{
	__asm__ volatile("cli");
}
static void in_port(void)
{
	__asm__ volatile("inb $0xf4, %%al" ::: "al");
}
static void out_port(void)
{
	__asm__ volatile("outb %%al, $0xf4" ::"a"(0));
}
static void read_cr3(void)
{
	__asm__ volatile("mov %%cr3, %0" : "=r"(sink));
}
static void write_cr3(void)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(0ul));
}
static void read_msr(void)
{
	__asm__ volatile("rdmsr" ::"c"(0xc0000080) : "eax", "edx");
}
static void lidt(void)
{
	static char d[10];
	__asm__ volatile("lidt %0" ::"m"(d));
}
static void invlpg(void)
{
	__asm__ volatile("invlpg (%0)" ::"r"(0ul));
}
static void wbinvd(void)
{
	__asm__ volatile("wbinvd");
}
static void swapgs(void)
{
	__asm__ volatile("swapgs");
}
static void sysret_(void)
{
	__asm__ volatile("sysretq");
}
static void iret_kernel(void)
{
	__asm__ volatile(
	        "pushq $0x10; pushq %%rsp; pushfq; pushq $0x8; pushq %0; iretq" ::"r"(KERNEL_TEXT));
}
static void ud2(void)
{
	__asm__ volatile("ud2");
}
static void int3(void)
{
	__asm__ volatile("int3");
}
static void int80(void)
{
	__asm__ volatile("int $0x80" ::"a"(1), "b"(0));
}
static void int_page_fault(void)
{
	__asm__ volatile("int $14");
}
static void int_double_fault(void)
{
	__asm__ volatile("int $8");
}
static void divide(void)
{
	__asm__ volatile("xor %%edx, %%edx; div %0" ::"r"(0u), "a"(1) : "edx");
}
static void load_bad_segment(void)
{
	__asm__ volatile("mov %0, %%ds" ::"r"(0x1f8));
}
static void load_kernel_ss(void)
{
	__asm__ volatile("mov %0, %%ss" ::"r"(0x10));
}
static void trap_flag(void)
{
	__asm__ volatile("pushfq; orq $0x100, (%rsp); popfq; nop; nop");
}
/* The trap comes when the kernel is entered, or left. */
static void trap_flag_syscall(void)
{
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq; syscall; nop; nop" ::"a"(SYS_getpid)
	                 : "rcx", "r11", "memory");
}
/* A load of ss holds traps back until after the next instruction: into the kernel. */
static void load_ss_syscall(void)
{
	__asm__ volatile("mov %%ss, %%edx; pushfq; orq $0x100, (%%rsp); popfq; mov %%edx, %%ss; "
	                 "syscall; nop; nop" ::"a"(SYS_getpid)
	                 : "rcx", "rdx", "r11", "memory");
}
static void load_ss_int3(void)
{
	__asm__ volatile("mov %%ss, %%edx; pushfq; orq $0x100, (%%rsp); popfq; mov %%edx, %%ss; "
	                 "int3; nop; nop" ::
	                         : "rdx", "memory");
}
static void alignment_check(void)
{
	char buf[16];

	__asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq; movq %%rax, 1(%0)" ::"r"(buf)
	                 : "memory");
}

__attribute__((noinline)) static int overflow(volatile char *above)
{
	volatile char frame[4096];

	frame[0] = above ? above[0] : 1;
	return frame[0] ? overflow(frame) + frame[0] : 0;
}
static void stack_overflow(void)
{
	sink = (uint64_t)overflow(NULL);
}

static void bad_stack_pointer_syscall(void)
{
	__asm__ volatile("mov %0, %%rsp; syscall; push %%rax" ::"r"(NON_CANONICAL + 8),
	                 "a"(SYS_getpid)
	                 : "rcx", "r11", "memory");
}
static void bad_stack_pointer_signal(void)
{
	signal(SIGUSR1, (void (*)(int))(uintptr_t)ud2);
	__asm__ volatile("mov %0, %%rsp; syscall; ud2" ::"r"(KERNEL_TEXT), "a"(SYS_kill),
	                 "D"(getpid()), "S"(SIGUSR1)
	                 : "rcx", "r11", "memory");
}

static void forge_frame(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)sig;
	(void)info;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)KERNEL_TEXT;
	u->uc_mcontext.gregs[REG_CSGSFS] = 0x0008;
	u->uc_mcontext.gregs[REG_EFL] = 0x3202;
}
static void sigreturn_to_kernel(void)
{
	struct sigaction sa = {.sa_sigaction = forge_frame, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}
static void forge_non_canonical(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)NON_CANONICAL;
}
static void sigreturn_non_canonical(void)
{
	struct sigaction sa = {.sa_sigaction = forge_non_canonical, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}
static void forge_fpstate(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.fpregs = (void *)DIRECT_MAP;
}
static void sigreturn_bad_fpstate(void)
{
	struct sigaction sa = {.sa_sigaction = forge_fpstate, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}
static void forge_mxcsr(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr = 0xffffffff;
}
static void sigreturn_bad_mxcsr(void)
{
	struct sigaction sa = {.sa_sigaction = forge_mxcsr, .sa_flags = SA_SIGINFO};

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}
static void sigreturn_without_frame(void)
{
	__asm__ volatile("mov %0, %%rsp; syscall" ::"r"(DIRECT_MAP), "a"(SYS_rt_sigreturn)
	                 : "rcx", "r11", "memory");
}
static void fs_base_kernel(void)
{
	if (syscall(SYS_arch_prctl, 0x1002, KERNEL_TEXT) != 0 && errno == EPERM)
		raise(SIGSEGV);
}
static void sysret_edge(void)
{
	/* A system call as the last instruction of the user half: the return address is not canonical. */
	char *page = mmap((void *)0x7fffffffe000ul, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (page == MAP_FAILED)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[4094] = 0x0f;
	page[4095] = 0x05;
	munmap(page + 4096, 4096);
	__asm__ volatile("jmp *%0" ::"r"(page + 4094), "a"(SYS_getpid));
}

struct attempt {
	const char *name;
	void (*run)(void);
	int signal, or_signal;
};

#define DIES(name, sig)             \
	{                           \
#name, name, sig, 0 \
	}
#define DIES_OR(name, sig, other)       \
	{                               \
#name, name, sig, other \
	}
static const struct attempt attempts[] = {
        DIES(jump_kernel, SIGSEGV),
        DIES(jump_direct_map, SIGSEGV),
        DIES(jump_non_canonical, SIGSEGV),
        DIES(jump_null, SIGSEGV),
        DIES(read_kernel, SIGSEGV),
        DIES(read_direct_map, SIGSEGV),
        DIES(read_non_canonical, SIGSEGV),
        DIES(write_kernel, SIGSEGV),
        DIES(write_text, SIGSEGV),
        DIES(run_data, SIGSEGV),
        DIES(hlt, SIGSEGV),
        DIES(cli, SIGSEGV),
        DIES(in_port, SIGSEGV),
        DIES(out_port, SIGSEGV),
        DIES(read_cr3, SIGSEGV),
        DIES(write_cr3, SIGSEGV),
        DIES(read_msr, SIGSEGV),
        DIES(lidt, SIGSEGV),
        DIES(invlpg, SIGSEGV),
        DIES(wbinvd, SIGSEGV),
        DIES_OR(swapgs, SIGSEGV, SIGILL),
        DIES_OR(sysret_, SIGSEGV, SIGILL),
        DIES(iret_kernel, SIGSEGV),
        DIES(ud2, SIGILL),
        DIES(int3, SIGTRAP),
        DIES(int80, SIGSEGV),
        DIES(int_page_fault, SIGSEGV),
        DIES(int_double_fault, SIGSEGV),
        DIES(divide, SIGFPE),
        DIES(load_bad_segment, SIGSEGV),
        DIES(load_kernel_ss, SIGSEGV),
        DIES(trap_flag, SIGTRAP),
        DIES(trap_flag_syscall, SIGTRAP),
        DIES(load_ss_syscall, SIGTRAP),
        DIES(load_ss_int3, SIGTRAP),
        /* An emulator need not implement alignment checks: then nothing happens. */
        DIES_OR(alignment_check, SIGBUS, -1),
        DIES(stack_overflow, SIGSEGV),
        DIES_OR(bad_stack_pointer_syscall, SIGSEGV, SIGBUS),
        DIES(bad_stack_pointer_signal, SIGSEGV),
        DIES(sigreturn_to_kernel, SIGSEGV),
        DIES(sigreturn_non_canonical, SIGSEGV),
        DIES(sigreturn_bad_fpstate, SIGSEGV),
        DIES_OR(sigreturn_bad_mxcsr, SIGSEGV, -1),
        DIES(sigreturn_without_frame, SIGSEGV),
        DIES(fs_base_kernel, SIGSEGV),
        DIES(sysret_edge, SIGSEGV),
};

static void attempt(const struct attempt *a)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct rlimit small = {1 << 20, 1 << 20};

		setrlimit(RLIMIT_STACK, &small);
		alarm(20);
		a->run();
		_exit(99);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		printf("FAILED %s: no child\n", a->name);
	} else if (WIFSIGNALED(status) &&
	           (WTERMSIG(status) == a->signal || WTERMSIG(status) == a->or_signal)) {
		printf("ok %s: signal\n", a->name);
	} else if (a->or_signal == -1 && WIFEXITED(status)) {
		printf("ok %s: refused\n", a->name);
	} else {
		printf("FAILED %s: status %#x, expected signal %d\n", a->name, (unsigned)status,
		       a->signal);
	}
	fflush(stdout);
}

/* Every system call with pointers into the kernel, to nowhere, and to read-only memory, in every position. */
static const uint64_t bad_pointers[] = {KERNEL_TEXT,          DIRECT_MAP,       NON_CANONICAL, 8,
                                        0xfffffffffffff000ul, 0x7ffffffff000ul, UINT64_MAX};

static int skip(long nr)
{
	switch (nr) {
	case SYS_exit:
	case SYS_exit_group:
	case SYS_fork:
	case SYS_vfork:
	case SYS_clone:
	case SYS_clone3:
	case SYS_pause:
	case SYS_rt_sigreturn:
	case SYS_reboot:
	case SYS_rt_sigsuspend:
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_pidfd_send_signal:
	case SYS_ptrace:
	case SYS_kexec_load:
	case SYS_swapon:
	case SYS_munmap:
	case SYS_mmap:
	case SYS_mremap:
	case SYS_mprotect:
	case SYS_brk:
	case SYS_alarm:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_close_range:
	case SYS_close:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_setitimer:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigaction:
	case SYS_madvise:
	case SYS_remap_file_pages:
	case SYS_munlockall:
	case SYS_pkey_mprotect:
	case SYS_process_madvise:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_select:
	case SYS_pselect6:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_flock:
	case SYS_vhangup:
	case SYS_setsid:
	case SYS_umount2:
	case SYS_chroot:
	case SYS_personality:
	case SYS_unlinkat:
	case SYS_arch_prctl:
	case SYS_seccomp:
	case SYS_setgid:
	case SYS_setuid:
		return 1;
	}
	return 0;
}

static void one_call(long nr, unsigned position, uint64_t bad)
{
	uint64_t a[6] = {3, 3, 3, 0, 0, 0};

	if (position < 6)
		a[position] = bad;
	else
		for (int i = 0; i < 6; i++)
			a[i] = bad;
	alarm(5);
	syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void all_calls(void)
{
	struct utsname u;
	int odd = 0;

	if (uname(&u) || !strstr(u.release, "quire")) {
		printf("skipped: every system call with bad pointers, on a system that is not Quire\n");
		return;
	}
	for (long nr = 0; nr < 450; nr++) {
		pid_t child;
		int status;

		if (skip(nr))
			continue;
		child = fork();
		if (child == 0) {
			int null = open("/dev/null", O_RDWR);

			signal(SIGALRM, SIG_DFL);
			dup2(null, 0);
			dup2(null, 1);
			dup2(null, 2);
			dup2(null, 3);
			for (unsigned p = 0; p < 7; p++)
				for (unsigned i = 0;
				     i < sizeof(bad_pointers) / sizeof(bad_pointers[0]); i++)
					one_call(nr, p, bad_pointers[i]);
			_exit(0);
		}
		if (child < 0 || waitpid(child, &status, 0) != child) {
			printf("FAILED system call %ld: no child\n", nr);
			odd++;
		}
	}
	if (!odd)
		printf("ok every system call with bad pointers\n");
}

/* Calls that must say EFAULT, not only survive. */
static void expect_efault(void)
{
	const uint64_t kernel = DIRECT_MAP;
	int fds[2], zero = open("/dev/zero", O_RDONLY), ok = 1;

	if (pipe(fds) != 0)
		return;
#define EFAULTS(call)                                                              \
	do {                                                                       \
		errno = 0;                                                         \
		if ((call) != -1 || errno != EFAULT) {                             \
			printf("FAILED %s: errno %d, not EFAULT\n", #call, errno); \
			ok = 0;                                                    \
		}                                                                  \
	} while (0)
	EFAULTS(syscall(SYS_read, zero, kernel, 100));
	EFAULTS(syscall(SYS_write, fds[1], kernel, 100));
	EFAULTS(syscall(SYS_write, fds[1], NON_CANONICAL, 100));
	EFAULTS(syscall(SYS_openat, AT_FDCWD, kernel, 0));
	EFAULTS(syscall(SYS_newfstatat, AT_FDCWD, "/", kernel, 0));
	EFAULTS(syscall(SYS_pipe2, kernel, 0));
	EFAULTS(syscall(SYS_clock_gettime, 0, kernel));
	EFAULTS(syscall(SYS_uname, kernel));
	EFAULTS(syscall(SYS_getcwd, kernel, 100));
	EFAULTS(syscall(SYS_execve, kernel, 0, 0));
	EFAULTS(syscall(SYS_execve, "/bin/true", kernel, 0));
	EFAULTS(syscall(SYS_futex, kernel, 0, 0, 0, 0, 0));
	EFAULTS(syscall(SYS_rt_sigaction, SIGUSR2, kernel, 0, 8));
	EFAULTS(syscall(SYS_nanosleep, kernel, 0));
	EFAULTS(syscall(SYS_readv, zero, kernel, 2));
	EFAULTS(syscall(SYS_getrandom, kernel, 16, 0));
	EFAULTS(syscall(SYS_sysinfo, kernel));
#undef EFAULTS
	if (ok)
		printf("ok EFAULT where a pointer is bad\n");
}

static void exec_garbage(void)
{
	unsigned seed = 12345;
	int ok = 1;

	for (int i = 0; i < 200; i++) {
		unsigned char image[1024] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0,  0, 0, 0,
		                             0,    0,   0,   0,   0, 2, 0, 62, 0, 1};
		int fd = open("/tmp/garbage", O_CREAT | O_TRUNC | O_WRONLY, 0755), status;
		pid_t child;

		image[32] = 64;        /* e_phoff */
		image[52] = 64;        /* e_ehsize */
		image[54] = 56;        /* e_phentsize */
		image[56] = 1 + i % 4; /* e_phnum */
		for (unsigned at = 24; at < sizeof(image); at++) {
			seed = seed * 1103515245 + 12345;
			if ((at >= 64 || i % 5 == 0) && (seed >> 16) % 3 == 0)
				image[at] = (unsigned char)(seed >> 20);
		}
		for (int p = 0; p < 4; p++)
			image[64 + 56 * p] = (unsigned char)(1 + (p + i) % 4);
		if (write(fd, image, sizeof(image)) != sizeof(image))
			ok = 0;
		close(fd);
		child = fork();
		if (child == 0) {
			alarm(5);
			execl("/tmp/garbage", "garbage", (char *)NULL);
			_exit(126);
		}
		waitpid(child, &status, 0);
	}
	unlink("/tmp/garbage");
	if (ok)
		printf("ok execve of 200 hostile images\n");
}

int main(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		attempt(&attempts[i]);
	expect_efault();
	exec_garbage();
	all_calls();
	return 0;
}
