/*
 * proc_system.c - /proc/{stat,uptime,loadavg,version,cmdline,filesystems,diskstats}.
 */
#include "fs/proc.h"

#include "arch/x86_64/arch.h"
#include "kernel/sched.h"
#include "kernel/time.h"
#include "kernel/utsname.h"
#include "lib/string.h"
#include <quire/machine.h>
#include <quire/trace.h>

/* --- stat ------------------------------------------------------------------------------------- */

/* Ticks of all tasks by mode, in the proportion of which a CPU's busy time is shown. */
static void user_share(uint64_t *user, uint64_t *all)
{
	struct task_struct *task;
	int32_t pid = 1;

	*user = *all = 0;
	while ((task = next_process(pid))) {
		uint64_t utime = 0, stime = 0;

		pid = task->pid + 1;
		if (task->signal)
			thread_group_cputime(task, &utime, &stime);
		put_task(task);
		*user += utime;
		*all += utime + stime;
	}
}

/*
 * user / all is taken in thousandths: the sums are of nanoseconds and their product with ticks
 * would not fit.
 */
static void show_cpu(struct seq_file *m, uint64_t busy, uint64_t idle, uint64_t user, uint64_t all)
{
	uint64_t ticks = ns_to_ticks(busy);
	uint64_t in_user = all >= 1000 ? ticks * MIN(user / (all / 1000), 1000ul) / 1000 : 0;

	seq_printf(m, "%lu 0 %lu %lu 0 0 0 0 0 0\n", in_user, ticks - in_user, ns_to_ticks(idle));
}

static void show_cpus(struct seq_file *m)
{
	uint64_t busy = 0, idle = 0, user, all;

	user_share(&user, &all);
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++) {
		busy += cpu_busy_ns(cpu);
		idle += cpu_idle_ns(cpu);
	}
	seq_puts(m, "cpu  ");
	show_cpu(m, busy, idle, user, all);
	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++) {
		seq_printf(m, "cpu%u ", cpu);
		show_cpu(m, cpu_busy_ns(cpu), cpu_idle_ns(cpu), user, all);
	}
}

static unsigned nr_blocked(void)
{
	struct task_struct *task;
	unsigned n = 0;

	for (int32_t pid = 1; (task = next_process(pid)); put_task(task)) {
		pid = task->pid + 1;
		n += task_state_char(task) == 'D';
	}
	return n;
}

static int stat_show(struct seq_file *m, void *unused UNUSED)
{
	show_cpus(m);
	seq_printf(m, "intr %lu\n", counter_read(COUNT_INTERRUPTS));
	seq_printf(m, "ctxt %lu\n", counter_read(COUNT_CONTEXT_SWITCH));
	seq_printf(m, "btime %llu\n", (ktime_get_real_ns() - ktime_get_ns()) / NSEC_PER_SEC);
	seq_printf(m, "processes %lu\n", nr_forks());
	seq_printf(m, "procs_running %u\nprocs_blocked %u\n", nr_running(), nr_blocked());
	seq_puts(m, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

/* --- times and load --------------------------------------------------------------------------- */

static void show_seconds(struct seq_file *m, uint64_t ns, char end)
{
	seq_printf(m, "%llu.%02llu%c", ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / 10000000, end);
}

static int uptime_show(struct seq_file *m, void *unused UNUSED)
{
	uint64_t idle = 0;

	for (unsigned cpu = 0; cpu < machine()->nr_cpus; cpu++)
		idle += cpu_idle_ns(cpu);
	show_seconds(m, ktime_get_ns(), ' ');
	show_seconds(m, idle, '\n');
	return 0;
}

/* Averages are in 1/2048 and shown rounded to hundredths. */
static int loadavg_show(struct seq_file *m, void *unused UNUSED)
{
	uint64_t avg[3];

	get_loadavg(avg);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t v = avg[i] + 2048 / 200;

		seq_printf(m, "%lu.%02lu ", v >> 11, (v & 2047) * 100 >> 11);
	}
	seq_printf(m, "%u/%u %d\n", nr_running(), nr_tasks(), last_pid());
	return 0;
}

/* --- what the machine is ---------------------------------------------------------------------- */

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

static int version_show(struct seq_file *m, void *unused UNUSED)
{
	seq_printf(m, "Linux version %s (quire) (" COMPILER ") %s\n", init_uts.release,
	           init_uts.version);
	return 0;
}

static int cmdline_show(struct seq_file *m, void *unused UNUSED)
{
	seq_puts(m, boot_info.cmdline);
	seq_putc(m, '\n');
	return 0;
}

static void filesystem_line(const struct file_system_type *type, void *ctx)
{
	seq_printf(ctx, "%s\t%s\n", type->fs_flags & FS_NODEV ? "nodev" : "", type->name);
}

static int filesystems_show(struct seq_file *m, void *unused UNUSED)
{
	filesystems_for_each(filesystem_line, m);
	return 0;
}

/* No block devices: an empty file, as on a Linux without them. */
static int diskstats_show(struct seq_file *m UNUSED, void *unused UNUSED)
{
	return 0;
}

int proc_system_init(struct dentry *root)
{
	static const struct proc_file files[] = {
	        {"stat", stat_show, 0},           {"uptime", uptime_show, 0},
	        {"loadavg", loadavg_show, 0},     {"version", version_show, 0},
	        {"cmdline", cmdline_show, 0},     {"filesystems", filesystems_show, 0},
	        {"diskstats", diskstats_show, 0},
	};

	return proc_create_files(root, files, ARRAY_SIZE(files));
}
