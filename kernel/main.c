/*
 * main.c - from the boot CPU's first C function to the end of the run.
 *
 *   kernel_main: memory, clocks, scheduler; makes pid 1 and becomes the idle task
 *   pid 1 (init): devices, the other CPUs, files; makes the first program, reaps whatever ends, and when the first
 *       program has ended kills the rest, gives back all memory, tells the host, and turns the machine off
 *   first program: a process with its own session and group, and the console as its terminal
 *
 * Init never runs a program of its own, so orphans have a parent that waits, and the first program sees
 * a world like any other: a parent, a session, a terminal.
 */
#include "drivers/console.h"
#include "fs/vfs.h"
#include "kernel/bootmem.h"
#include "kernel/exec.h"
#include "kernel/futex.h"
#include "kernel/log.h"
#include "kernel/oom.h"
#include "kernel/random.h"
#include "kernel/sched.h"
#include "kernel/selftest.h"
#include "kernel/shm.h"
#include "kernel/signal.h"
#include "kernel/stack.h"
#include "kernel/time.h"
#include "lib/format.h"
#include "lib/string.h"
#include <quire/header.h>
#include <quire/kva.h>
#include <quire/machine.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/trace.h>

#define EXIT_DONE 0x10

static uint64_t started_ns; /* the first program's first instruction, nearly */
static int exec_error;      /* why it could not start; 0: it ran */

/* --- the end ----------------------------------------------------------------------------------------------- */

static NORETURN void power_off(void)
{
	atomic_store_explicit(&quire_header.state, QUIRE_DONE, memory_order_release);
	console_drain();
	arch_exit(EXIT_DONE);
}

static void set_exit(enum quire_exit_kind kind, int code)
{
	quire_header.exit_kind = kind;
	quire_header.exit_code = code;
}

/* Memory did not suffice to boot: a quarter more than there is, in whole MB, is the guess. */
static NORETURN void out_of_boot_memory(void)
{
	uint64_t kib = boot_info.ram_bytes / 1024;

	port_log("memory too small to boot: %lu KiB", kib);
	set_exit(QUIRE_EXIT_MEMORY, (int)((kib + kib / 4 + 2047) / 1024 * 1024));
	power_off();
}

static NORETURN void boot_failed(int err)
{
	if (err == -ENOMEM)
		out_of_boot_memory();
	port_log("cannot boot: error %d", -err);
	set_exit(QUIRE_EXIT_EXEC, -err);
	power_off();
}

/* All who know a word have asked by now: a tunable misspelt is refused rather than ignored. */
static void check_words(void)
{
	unsigned index;
	const char *word = boot_unknown_word(&index);

	if (!word)
		return;
	port_log("boot: %.*s: no parameter of this kernel", (int)strcspn(word, " "), word);
	set_exit(QUIRE_EXIT_WORD, (int)index);
	power_off();
}

/*
 * Until init is the only process. One round of signals reaches all: a child is in the list before the lock is let go, or its
 * parent finds the signal before the child is (publish() in fork.c).
 */
static void kill_everybody(void)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p;
	bool oom_killed;
	int raw;

	for_each_process(p) if (p != init_task) send_signal(SIGKILL, p);
	spin_unlock_irqrestore(&tasklist_lock, state);
	while (kernel_wait(&raw, &oom_killed) >= 0)
		;
}

/* Everything that only existed for programs goes back to the frames. */
static void give_back(void)
{
	shm_shutdown();
	(void)fs_drop_caches();
	fs_shutdown();
	sched_drop_lazy_mm();
	stack_drain();
	(void)kmem_cache_shrink_all();
	drain_all_pages();
}

static NORETURN void end_of_run(int raw)
{
	quire_header.run_ns = port_now_ns() - started_ns;
	frame_report(&quire_header.at_exit);
	if (exec_error)
		set_exit(QUIRE_EXIT_EXEC, exec_error);
	else if (raw & 0x7f)
		set_exit(QUIRE_EXIT_SIGNAL, raw & 0x7f);
	else
		set_exit(QUIRE_EXIT_STATUS, raw >> 8 & 0xff);
	kill_everybody();
	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		kcompactd_stop(&machine()->node[nid]);
	give_back();
	frame_report(&quire_header.at_end);
	power_off();
}

/* --- the first program --------------------------------------------------------------------------------------- */

/* NUL-terminated strings one after another as a vector that ends with NULL; for kfree(). */
static char **make_vector(char *strings, size_t len)
{
	size_t n = 0;
	char **vector;

	for (size_t i = 0; i < len; i++)
		n += !strings[i];
	vector = kmalloc((n + 1) * sizeof(*vector), GFP_KERNEL);
	if (!vector)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		vector[i] = strings;
		strings += strlen(strings) + 1;
	}
	vector[n] = NULL;
	return vector;
}

static const char *find_env(char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* As execvp: a name without a slash is looked for in PATH. Returns only on failure or in the new program's name. */
static int exec_in_path(char **argv, char **env)
{
	const char *path = find_env(env, "PATH"), *dir, *end;
	int err, result = -ENOENT;
	char *full;

	if (!*argv[0] || strchr(argv[0], '/'))
		return *argv[0] ? kernel_execve(argv[0], argv, env) : -ENOENT;
	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
	full = kmalloc(strlen(path) + strlen(argv[0]) + 4, GFP_KERNEL);
	if (!full)
		return -ENOMEM;
	for (dir = path;; dir = end + 1) {
		end = dir + strcspn(dir, ":");
		format(full, strlen(path) + strlen(argv[0]) + 4, "%.*s%s%s", (int)(end - dir), dir,
		       end == dir ? "./" : "/", argv[0]);
		err = kernel_execve(full, argv, env);
		if (err != -ENOENT && err != -ENOTDIR)
			result = err;
		if (!err || (err != -ENOENT && err != -ENOTDIR && err != -EACCES) || !*end)
			break;
	}
	kfree(full);
	return err ? result : 0;
}

static void become_session_leader(void)
{
	struct signal_struct *sig = current->signal;
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);

	sig->leader = true;
	sig->sid = sig->pgid = current->pid;
	sig->tty = NULL;
	spin_unlock_irqrestore(&tasklist_lock, state);
}

static int change_to_cwd(void)
{
	struct dentry *dentry;
	int err;

	if (!boot_program.cwd)
		return 0;
	err = kern_path(boot_program.cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &dentry);
	if (err) {
		port_log("working directory %s: error %d: / instead", boot_program.cwd, -err);
		return 0;
	}
	fs_set_pwd(current->fs, dentry);
	dput(dentry);
	return 0;
}

static int start_first_program(void)
{
	char **argv = NULL, **env = NULL;
	int err;

	if (!boot_program.argv || !boot_program.argv_len) {
		port_log("the boot archive names no program (.quire/argv)");
		return -EINVAL;
	}
	argv = make_vector(boot_program.argv, boot_program.argv_len);
	env = make_vector(boot_program.env, boot_program.env ? boot_program.env_len : 0);
	err = argv && env ? change_to_cwd() : -ENOMEM;
	if (!err)
		err = fs_open_stdio(current->files);
	if (!err)
		err = exec_in_path(argv, env);
	kfree(argv);
	kfree(env);
	return err;
}

static void first_program(void *unused UNUSED)
{
	int err;

	become_session_leader();
	err = start_first_program();
	if (!err)
		return;
	exec_error = -err;
	do_group_exit(127 << 8);
}

static NORETURN void run_first_program(void)
{
	struct kernel_clone_args args = {
	        .run = first_program, .exit_signal = SIGCHLD, .name = "init"};
	struct task_struct *task;
	int32_t pid, ended;
	bool oom_killed = false;
	int raw = 0, err;

	frame_report(&quire_header.at_start);
	task = copy_process(&args);
	if (IS_ERR(task))
		boot_failed((int)PTR_ERR(task));
	pid = task->pid;
	err = kcompactd_run();
	if (err)
		boot_failed(err);
	started_ns = port_now_ns();
	quire_header.boot_ns = started_ns;
	atomic_store_explicit(&quire_header.state, QUIRE_RUNNING, memory_order_release);
	wake_up_new_task(task);
	if (slab_start_reaper())
		port_log("no memory for cache_reap: idle caches keep their objects");
	do {
		ended = kernel_wait(&raw, &oom_killed);
	} while (ended != pid && ended > 0);
	quire_header.oom_killed = oom_killed;
	end_of_run(raw);
}

/* --- boot ------------------------------------------------------------------------------------------------------- */

static uint64_t image_phys(const void *p)
{
	return (uint64_t)p >= KERNEL_START ? kernel_virt_to_phys(p).a : virt_to_phys(p).a;
}

/* What the host reads of each CPU. */
static void publish_cpus(void)
{
	struct machine *m = machine();

	quire_header.nr_cpus = m->nr_cpus;
	for (unsigned i = 0; i < m->nr_cpus; i++) {
		quire_header.cpu_counters[i] = image_phys(m->cpu[i]->counters);
		quire_header.ring[i] = m->cpu[i]->ring ? image_phys(m->cpu[i]->ring) : 0;
	}
}

/* trace=0xPADDR,SIZE */
static void start_trace(void)
{
	char text[48];
	const char *end;
	uint64_t base, size;

	if (boot_param("trace", text, sizeof(text)) <= 0)
		return;
	if (parse_u64(text, 0, &end, &base) || *end != ',' || parse_size(end + 1, &size)) {
		port_log("trace=%s is not ADDRESS,SIZE: no tracing", text);
		return;
	}
	trace_init(PHYS(base), size);
	slab_flush_all(); /* arrays that were opened before tracing was on; the other CPUs idle */
}

static void init_main(void *unused UNUSED)
{
	int err;

	drivers_init();
	arch_boot_secondary((unsigned)boot_param_u64("ncpus", 1));
	start_trace();
	publish_cpus();
	selftest(); /* does not return if there is one */
	err = fs_init();
	if (err)
		boot_failed(err);
	check_words();
	loadavg_init();
	oom_init();
	run_first_program();
}

static void make_init(void)
{
	struct kernel_clone_args args = {.run = init_main, .exit_signal = SIGCHLD, .name = "init"};
	struct task_struct *task = copy_process(&args);

	if (IS_ERR(task))
		out_of_boot_memory();
	init_task = task;
	wake_up_new_task(task);
}

static void check_kernel_map(void)
{
	const char *broken = kernel_map_check();

	if (broken)
		port_panic("boot: the kernel's memory map is not as planned: %s", broken);
}

/* seed=HEX: of the manager's own choices; the random pool takes it too. */
static void set_seed(void)
{
	char text[24];
	uint64_t seed;

	if (boot_param("seed", text, sizeof(text)) > 0 && !parse_u64(text, 16, NULL, &seed))
		machine()->seed = seed;
}

void kernel_main(void)
{
	set_seed();
	boot_frame_config();
	mm_init();
	kva_init(VMALLOC_START, VMALLOC_END);
	check_kernel_map();
	fork_init();
	signal_init();
	futex_init();
	shm_init();
	sched_init_cpu();
	timekeeping_init();
	random_init();
	make_init();
	cpu_idle();
}

void secondary_main(void)
{
	sched_init_cpu();
	cpu_idle();
}
