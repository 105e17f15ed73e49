/*
 * signals.c - signals as signal(7) and sigaction(2) have them: masks, queues, what a handler is told and finds, the alternate
 * stack, timers that send signals, and what each signal does by default. It prints the same on every Linux.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SHOW(call) show(#call, (long)(call))

static void show(const char *what, long ret)
{
	int err = errno;

	printf("%s: ", what);
	if (ret == -1)
		printf("%s\n", strerror(err));
	else
		printf("%ld\n", ret);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
}

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static void show_set(const char *what, const sigset_t *s)
{
	printf("%s:", what);
	for (int i = 1; i <= 64; i++)
		if (sigismember(s, i) == 1)
			printf(" %d", i);
	printf("\n");
}

/* --- masks and queues ---------------------------------------------------------------------------------- */

static int order[100], values[100], taken;

static void record(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (taken < 100) {
		order[taken] = sig;
		values[taken++] = info->si_value.sival_int;
	}
}

static void show_taken(const char *what)
{
	printf("%s:", what);
	for (int i = 0; i < taken; i++)
		printf(" %d/%d", order[i], values[i]);
	printf("\n");
	taken = 0;
}

static void queues(void)
{
	sigset_t all, old, pending;
	union sigval v;

	for (int s = SIGRTMIN; s < SIGRTMIN + 3; s++)
		handle(s, record, 0);
	handle(SIGUSR1, record, 0);
	handle(SIGUSR2, record, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	for (int i = 0; i < 4; i++) {
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN + 2 - i % 3, v);
		sigqueue(getpid(), SIGUSR1, v);
	}
	v.sival_int = 77;
	pthread_sigqueue(pthread_self(), SIGUSR2, v);
	pthread_sigqueue(pthread_self(), SIGRTMIN + 2, v);
	sigpending(&pending);
	show_set("pending", &pending);
	sigprocmask(SIG_SETMASK, &old, NULL);
	show_taken("handlers ran, the last first"); /* each interrupts the one before */
	sigprocmask(SIG_SETMASK, NULL, &old);
	show_set("mask", &old);
}

static void ignoring_discards(void)
{
	sigset_t s = set_of(SIGUSR1, SIGCHLD), pending;

	sigprocmask(SIG_BLOCK, &s, NULL);
	raise(SIGUSR1);
	raise(SIGCHLD);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigpending(&pending);
	show_set("after ignoring, pending", &pending);
	raise(SIGUSR1);
	sigpending(&pending);
	show_set("ignored but blocked", &pending);
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	sigpending(&pending);
	show_set("unblocked", &pending);
	signal(SIGUSR1, SIG_DFL);
}

static void bad_arguments(void)
{
	struct sigaction sa = {.sa_handler = SIG_IGN};
	sigset_t s = set_of(SIGKILL, SIGSTOP), now;
	struct timespec zero = {0, 0}, bad = {0, 1000000000};
	siginfo_t info = {.si_code = SI_USER};

	SHOW(sigaction(SIGKILL, &sa, NULL));
	SHOW(sigaction(SIGSTOP, &sa, NULL));
	SHOW(sigaction(65, &sa, NULL));
	SHOW(sigaction(0, NULL, NULL));
	SHOW(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
	SHOW(sigprocmask(SIG_BLOCK, &s, NULL));
	sigprocmask(SIG_BLOCK, NULL, &now);
	show_set("SIGKILL and SIGSTOP blocked", &now);
	SHOW(syscall(SYS_rt_sigprocmask, 17, &s, NULL, 8));
	SHOW(syscall(SYS_rt_sigprocmask, 17, NULL, NULL, 8));
	SHOW(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8));
	SHOW(kill(getpid(), 65));
	SHOW(kill(getpid(), -1));
	SHOW(kill(getpid(), 0));
	SHOW(kill(0x7fffffff, 0));
	SHOW(syscall(SYS_tgkill, getpid(), 0, SIGUSR1));
	SHOW(syscall(SYS_tgkill, 1, getpid(), 0));
	SHOW(syscall(SYS_tkill, -1, 0));
	SHOW(sigtimedwait(&s, NULL, &zero));
	SHOW(sigtimedwait(&s, NULL, &bad));
	SHOW(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info));
	SHOW(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &info));
	SHOW(syscall(SYS_rt_sigpending, &s, 9));
}

/* --- what a handler is told and finds ------------------------------------------------------------------------ */

static siginfo_t last;
static sigjmp_buf back;

static void note(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	last = *info;
}

static void note_and_leave(int sig, siginfo_t *info, void *context)
{
	note(sig, info, context);
	siglongjmp(back, 1);
}

static void show_sender(const char *what)
{
	printf("%s: signal %d code %d mine %d value %d\n", what, last.si_signo, last.si_code,
	       last.si_pid == getpid() && last.si_uid == getuid(), last.si_value.sival_int);
}

static void senders(void)
{
	union sigval v = {.sival_int = 42};
	int p[2];

	handle(SIGUSR1, note, 0);
	handle(SIGPIPE, note, 0);
	kill(getpid(), SIGUSR1);
	last.si_value.sival_int = 0; /* not of kill's */
	show_sender("kill");
	raise(SIGUSR1);
	last.si_value.sival_int = 0;
	show_sender("tgkill");
	sigqueue(getpid(), SIGUSR1, v);
	show_sender("sigqueue");
	if (pipe(p))
		return;
	close(p[0]);
	SHOW(write(p[1], "x", 1));
	printf("SIGPIPE: code %d\n", last.si_code);
	close(p[1]);
}

static char *fault_at;

static void do_read_null(void)
{
	fault_at = NULL;
	(void)*(volatile char *)fault_at;
}
static void do_write_read_only(void)
{
	fault_at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fault_at += 5;
	*(volatile char *)fault_at = 1;
}
static void do_behind_file(void)
{
	int fd = open("short", O_CREAT | O_RDWR | O_TRUNC, 0600);

	unlink("short");
	fault_at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	fault_at += 4096;
	(void)*(volatile char *)fault_at;
}
static void do_non_canonical(void)
{
	fault_at = (char *)0x8000000000000000ul;
	(void)*(volatile char *)fault_at;
}
static void do_ud2(void)
{
	__asm__ volatile("ud2");
}
static void do_int3(void)
{
	__asm__ volatile("int3");
}
static void do_divide(void)
{
	__asm__ volatile("xor %%edx, %%edx; div %0" ::"r"(0u), "a"(1) : "edx");
}
static void do_hlt(void)
{
	__asm__ volatile("hlt");
}

static void fault(const char *what, void (*run)(void), bool has_addr)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

	for (unsigned i = 0; i < 5; i++)
		handle(sigs[i], note_and_leave, 0);
	memset(&last, 0, sizeof(last));
	if (!sigsetjmp(back, 1))
		run();
	printf("%s: signal %d code %d%s\n", what, last.si_signo, last.si_code,
	       !has_addr                  ? ""
	       : last.si_addr == fault_at ? " at its address"
	                                  : " elsewhere");
	for (unsigned i = 0; i < 5; i++)
		signal(sigs[i], SIG_DFL);
}

static void faults(void)
{
	fault("read of NULL", do_read_null, true);
	fault("write to read-only", do_write_read_only, true);
	fault("behind the file", do_behind_file, true);
	fault("non-canonical", do_non_canonical, false);
	fault("ud2", do_ud2, false);
	fault("int3", do_int3, false);
	fault("divide", do_divide, false);
	fault("hlt", do_hlt, false);
}

static volatile int depth, deepest, raised;

static void nest(int sig, siginfo_t *info, void *context)
{
	sigset_t now;

	(void)info;
	(void)context;
	if (++depth > deepest)
		deepest = depth;
	sigprocmask(SIG_BLOCK, NULL, &now);
	if (raised++ < 2) {
		show_set("in the handler, mask", &now);
		raise(sig);
	}
	depth--;
}

static void handler_flags(void)
{
	struct sigaction sa = {.sa_sigaction = nest, .sa_flags = SA_SIGINFO}, old;

	sa.sa_mask = set_of(SIGUSR2, SIGKILL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	printf("depth %d\n", deepest);
	deepest = raised = 0;
	sa.sa_flags |= SA_NODEFER | SA_RESETHAND;
	sigaction(SIGUSR2, &sa, NULL);
	signal(SIGUSR1, SIG_IGN);
	sa.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	printf("depth with SA_NODEFER %d\n", deepest);
	raise(SIGUSR2);
	sigaction(SIGUSR2, NULL, &old);
	printf("after SA_RESETHAND default: %d\n", old.sa_handler == SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
}

/* A handler that spoils every register leaves the program's as they were: integer, x87, SSE, AVX, flags. */
static void spoil(int sig, siginfo_t *info, void *context)
{
	uint64_t flags;

	(void)sig;
	(void)info;
	(void)context;
	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	if (flags & 0x400)
		printf("the direction flag is set in a handler\n");
	__asm__ volatile("fninit; pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm7" ::
	                         : "xmm0", "xmm7");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vxorps %%ymm3, %%ymm3, %%ymm3" ::: "xmm3");
	__asm__ volatile("ldmxcsr %0" ::"m"((uint32_t){0x1f80}));
}

static void registers(void)
{
	uint32_t mxcsr = 0x5f80, mxcsr_after;
	uint64_t low[4] = {1, 2, 3, 4}, after[4] = {0}, xmm = 0x1234567890abcdef, xmm_after;
	uint16_t cw = 0x27f, cw_after;
	long ret;

	handle(SIGUSR1, spoil, 0);
	__asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr), "m"(cw));
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovups %0, %%ymm3" ::"m"(low) : "xmm3");
	__asm__ volatile(
	        "std; movq %5, %%xmm7; syscall; cld; movq %%xmm7, %1; stmxcsr %2; fnstcw %3"
	        : "=a"(ret), "=r"(xmm_after), "=m"(mxcsr_after), "=m"(cw_after)
	        : "0"((long)SYS_kill), "r"(xmm), "D"((long)getpid()), "S"((long)SIGUSR1)
	        : "rcx", "r11", "xmm7", "memory");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovups %%ymm3, %0" : "=m"(after));
	else
		memcpy(after, low, sizeof(low));
	printf("kill %ld xmm %d ymm %d mxcsr %#x cw %#x\n", ret, xmm == xmm_after,
	       !memcmp(low, after, sizeof(low)), mxcsr_after, cw_after);
	if (fork() == 0) {
		__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr_after), "=m"(cw_after));
		printf("in a child mxcsr %#x cw %#x\n", mxcsr_after, cw_after);
		execl("/proc/self/exe", "signals", "control", (char *)NULL);
	}
	wait(NULL);
	__asm__ volatile("ldmxcsr %0; fninit" ::"m"((uint32_t){0x1f80}));
}

static int show_control(void)
{
	uint32_t mxcsr;
	uint16_t cw;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(cw));
	printf("after exec mxcsr %#x cw %#x\n", mxcsr, cw);
	return 0;
}

/* --- the alternate stack ----------------------------------------------------------------------------------------- */

static char alternate[65536];

static void on_stack(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	stack_t now, other = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	char here;

	(void)sig;
	(void)info;
	sigaltstack(NULL, &now);
	printf("on the alternate stack %d, flags %d, in the context %d\n",
	       &here >= alternate && &here < alternate + sizeof(alternate), now.ss_flags,
	       u->uc_stack.ss_flags);
	if (now.ss_flags == SS_ONSTACK)
		SHOW(sigaltstack(&other, NULL));
}

static void alternate_stack(void)
{
	stack_t s = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, old;

	s.ss_flags = 7;
	SHOW(sigaltstack(&s, NULL));
	s.ss_flags = 0;
	s.ss_size = 100;
	SHOW(sigaltstack(&s, NULL));
	s.ss_size = sizeof(alternate);
	SHOW(sigaltstack(&s, &old));
	printf("before flags %d\n", old.ss_flags);
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
	s.ss_flags = (int)(1u << 31);
	SHOW(sigaltstack(&s, NULL));
	raise(SIGUSR1);
	sigaltstack(NULL, &old);
	printf("after SS_AUTODISARM flags %#x\n", (unsigned)old.ss_flags);
	s.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&s, NULL));
	raise(SIGUSR1);
}

/* --- timers -------------------------------------------------------------------------------------------------------- */

static volatile int ticks;
static volatile uint64_t burned;

static void tick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	last = *info;
	ticks++;
}

static void burn(int until)
{
	time_t end = time(NULL) + 20;

	while (ticks < until && time(NULL) < end)
		for (int i = 0; i < 10000; i++)
			burned += (uint64_t)i;
}

static void interval_timers(void)
{
	static const int which[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
	static const int sigs[] = {SIGALRM, SIGVTALRM, SIGPROF};
	struct itimerval t = {{0, 20000}, {0, 20000}}, zero = {{0, 0}, {0, 0}}, old;

	for (int i = 0; i < 3; i++) {
		handle(sigs[i], tick, 0);
		ticks = 0;
		setitimer(which[i], &t, NULL);
		burn(3);
		setitimer(which[i], &zero, &old);
		printf("itimer %d: signal %d code %d, 3 times %d, interval %ld\n", i, last.si_signo,
		       last.si_code, ticks >= 3, (long)old.it_interval.tv_usec);
	}
	t.it_value.tv_usec = 1000000;
	SHOW(setitimer(ITIMER_REAL, &t, NULL));
	SHOW(setitimer(3, &zero, NULL));
	SHOW(getitimer(-1, &old));
	alarm(100);
	printf("alarm: %u\n", alarm(0));
	printf("alarm: %u\n", alarm(0));
}

static void posix_timer(const char *name, clockid_t clock, int notify)
{
	struct sigevent ev = {.sigev_notify = notify, .sigev_signo = SIGRTMIN + 1};
	struct itimerspec t = {{0, 20000000}, {0, 20000000}}, now;
	timer_t id;

	ev.sigev_value.sival_int = 99;
	if (notify == SIGEV_THREAD_ID)
		ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	handle(SIGRTMIN + 1, tick, 0);
	ticks = 0;
	memset(&last, 0, sizeof(last));
	if (timer_create(clock, &ev, &id)) {
		printf("timer on %s: %s\n", name, strerror(errno));
		return;
	}
	timer_settime(id, 0, &t, NULL);
	burn(notify == SIGEV_NONE ? -1 : 3);
	timer_gettime(id, &now);
	printf("timer on %s: code %d value %d, 3 times %d, armed %d\n", name, last.si_code,
	       last.si_value.sival_int, ticks >= 3,
	       now.it_value.tv_nsec > 0 && now.it_interval.tv_nsec == 20000000);
	SHOW(timer_delete(id));
	SHOW(timer_delete(id));
}

static void overruns(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct itimerspec t = {{0, 1000000}, {0, 1000000}};
	struct timespec ts = {0, 50000000};
	sigset_t s = set_of(SIGRTMIN, 0);
	siginfo_t info;
	timer_t id;

	sigprocmask(SIG_BLOCK, &s, NULL);
	timer_create(CLOCK_MONOTONIC, &ev, &id);
	timer_settime(id, 0, &t, NULL);
	nanosleep(&ts, NULL);
	sigwaitinfo(&s, &info);
	printf("overrun %d, the same %d\n", info.si_overrun > 20,
	       info.si_overrun == timer_getoverrun(id));
	timer_delete(id);
	while (sigtimedwait(&s, NULL, &(struct timespec){0, 0}) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &s, NULL);
}

static void posix_timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 70};
	struct sigevent other = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = 10};
	timer_t id;

	posix_timer("CLOCK_REALTIME", CLOCK_REALTIME, SIGEV_SIGNAL);
	posix_timer("CLOCK_MONOTONIC", CLOCK_MONOTONIC, SIGEV_THREAD_ID);
	posix_timer("CLOCK_BOOTTIME", CLOCK_BOOTTIME, SIGEV_SIGNAL);
	posix_timer("the process's CPU time", CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL);
	posix_timer("the thread's CPU time", CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL);
	posix_timer("nothing", CLOCK_MONOTONIC, SIGEV_NONE);
	overruns();
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &id));
	other._sigev_un._tid = getppid();
	SHOW(timer_create(CLOCK_MONOTONIC, &other, &id));
	SHOW(timer_create(77, NULL, &id));
	SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, 8));
	SHOW(syscall(SYS_timer_gettime, 1000, &ev));
}

static void *sleep_on(void *arg)
{
	*(pid_t *)arg = (pid_t)syscall(SYS_gettid);
	usleep(100000);
	return NULL;
}

/* The thread that a timer sends to ends: what is sent then goes nowhere, and the process goes on. */
static void timer_of_dead_thread(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec t = {{0, 1000000}, {0, 1000000}};
	volatile pid_t tid = 0;
	pthread_t thread;
	timer_t id;

	signal(SIGRTMIN, SIG_IGN);
	pthread_create(&thread, NULL, sleep_on, (void *)&tid);
	while (!tid)
		usleep(1000);
	ev._sigev_un._tid = tid;
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &id));
	handle(SIGRTMIN, record, 0);
	timer_settime(id, 0, &t, NULL);
	pthread_join(thread, NULL);
	usleep(30000);
	SHOW(timer_delete(id));
	taken = 0;
}

/* --- robust locks ---------------------------------------------------------------------------------------------------- */

static void robust(void)
{
	pthread_mutexattr_t attr;
	struct {
		pthread_mutex_t m[3];
		atomic_int locked;
	} *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutex_t *m = shared->m;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (int i = 0; i < 3; i++)
		pthread_mutex_init(&m[i], &attr);
	for (int how = 0; how < 3; how++) {
		if (fork() == 0) {
			for (int i = 0; i < 3; i++)
				pthread_mutex_lock(&m[i]);
			shared->locked = how + 1;
			usleep(50000); /* the parent comes to wait, or comes too late: either will do */
			if (how == 1)
				raise(SIGKILL);
			if (how == 2)
				execl("/bin/true", "true", (char *)NULL);
			_exit(0);
		}
		while (shared->locked != how + 1)
			usleep(1000);
		for (int i = 0; i < 3; i++) {
			printf("robust: %s\n", strerror(pthread_mutex_lock(&m[i])));
			pthread_mutex_consistent(&m[i]);
			pthread_mutex_unlock(&m[i]);
		}
		wait(NULL);
	}
}

/* --- by default ------------------------------------------------------------------------------------------------------ */

static void defaults(void)
{
	int status;

	for (int sig = 1; sig <= 64; sig++) {
		pid_t pid;

		if (sig == 32 || sig == 33)
			continue;
		pid = fork();
		if (pid == 0) {
			setpgid(0, 0);
			signal(sig, SIG_DFL);
			kill(getpid(), sig);
			_exit(3);
		}
		waitpid(pid, &status, WUNTRACED);
		if (WIFSTOPPED(status)) {
			printf("%d stops with %d\n", sig, WSTOPSIG(status));
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
		} else if (WIFSIGNALED(status)) {
			printf("%d kills with %d\n", sig, WTERMSIG(status));
		} else {
			printf("%d is ignored\n", sig);
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "control"))
		return show_control();
	queues();
	ignoring_discards();
	bad_arguments();
	senders();
	faults();
	handler_flags();
	registers();
	alternate_stack();
	interval_timers();
	posix_timers();
	timer_of_dead_thread();
	robust();
	defaults();
	return 0;
}
