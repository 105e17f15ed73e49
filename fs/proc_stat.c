/*
 * proc_stat.c - /proc/PID/{stat,statm,status}: a task in numbers and in words.
 */
#include "fs/proc.h"

#include "fs/tty.h"
#include "kernel/sched.h"
#include "kernel/signal.h"
#include "lib/string.h"
#include <quire/machine.h>

/* Linux's numbers of the flags that programs look at. */
#define LINUX_PF_EXITING    0x00000004u
#define LINUX_PF_FORKNOEXEC 0x00000040u
#define LINUX_PF_SIGNALED   0x00000400u
#define LINUX_PF_KTHREAD    0x00200000u

/* What needs tasklist_lock, taken in one go. */
struct task_ids {
	int32_t ppid, pgid, sid;
	unsigned threads;
	uint64_t pending, shared_pending, blocked, ignored, caught;
	unsigned queued;
};

static void collect_handlers(struct task_struct *task, struct task_ids *ids)
{
	struct sighand_struct *sighand = task->sighand;

	spin_lock(&sighand->lock);
	ids->pending = task->pending_mask;
	ids->shared_pending = task->signal->shared_pending_mask;
	ids->blocked = task->blocked;
	for (int i = 0; i < _NSIG; i++) {
		if (sighand->action[i].handler == SIG_IGN)
			ids->ignored |= 1ull << i;
		else if (sighand->action[i].handler != SIG_DFL)
			ids->caught |= 1ull << i;
	}
	spin_unlock(&sighand->lock);
}

static void collect_ids(struct task_struct *task, struct task_ids *ids)
{
	struct task_struct *leader;
	irq_state_t irq;

	*ids = (struct task_ids){.threads = 1};
	irq = spin_lock_irqsave(&tasklist_lock);
	leader = task->group_leader;
	if (leader && leader->real_parent)
		ids->ppid = leader->real_parent->tgid;
	if (task->signal) {
		ids->pgid = task->signal->pgid;
		ids->sid = task->signal->sid;
		ids->threads = task->signal->nr_threads;
		ids->queued =
		        atomic_load_explicit(&task->signal->nr_sigqueue, memory_order_relaxed);
		if (task->sighand)
			collect_handlers(task, ids);
	}
	spin_unlock_irqrestore(&tasklist_lock, irq);
}

static void task_tty(struct task_struct *task, uint32_t *tty_nr, int32_t *tpgid)
{
	irq_state_t irq = spin_lock_irqsave(&tasklist_lock);
	struct tty *tty = task->signal ? task->signal->tty : NULL;

	*tty_nr = tty ? (uint32_t)new_encode_dev(tty->dev) : 0;
	*tpgid = tty ? tty->pgrp : -1;
	spin_unlock_irqrestore(&tasklist_lock, irq);
}

static uint64_t rss_of(struct mm_struct *mm, enum rss_counter kind)
{
	int64_t n = atomic_load_explicit(&mm->rss[kind], memory_order_relaxed);

	return n > 0 ? (uint64_t)n : 0;
}

static uint32_t linux_flags(struct task_struct *task)
{
	static const struct {
		uint32_t ours, linux_;
	} map[] = {
	        {PF_KTHREAD, LINUX_PF_KTHREAD},
	        {PF_EXITING, LINUX_PF_EXITING},
	        {PF_FORKNOEXEC, LINUX_PF_FORKNOEXEC},
	        {PF_SIGNALED, LINUX_PF_SIGNALED},
	};
	uint32_t flags = atomic_load_explicit(&task->flags, memory_order_relaxed), out = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (flags & map[i].ours)
			out |= map[i].linux_;
	return out;
}

struct times {
	uint64_t utime, stime, cutime, cstime;
	struct fault_stats own, children;
};

static void collect_times(struct task_struct *task, bool whole, struct times *t)
{
	*t = (struct times){.own = task->faults};
	if (!whole || !task->signal) {
		task_cputime(task, &t->utime, &t->stime);
		return;
	}
	thread_group_cputime(task, &t->utime, &t->stime);
	children_cputime(task, &t->cutime, &t->cstime);
	thread_group_faults(task, &t->own, &t->children);
}

static uint64_t rss_limit(struct task_struct *task)
{
	return task->signal ? task_rlimit(task, RLIMIT_RSS) : RLIM_INFINITY;
}

static void show_stat_memory(struct seq_file *m, struct task_struct *task, struct mm_struct *mm)
{
	seq_printf(m, " %lu %lu %lu", mm ? mm->total_vm << PAGE_SHIFT : 0, mm ? mm_rss(mm) : 0,
	           rss_limit(task));
	seq_printf(m, " %lu %lu %lu 0 0", mm ? mm->start_code : 0, mm ? mm->end_code : 0,
	           mm ? mm->start_stack : 0);
}

static void show_stat_layout(struct seq_file *m, struct mm_struct *mm)
{
	if (!mm) {
		seq_puts(m, " 0 0 0 0 0 0 0");
		return;
	}
	seq_printf(m, " %lu %lu %lu %lu %lu %lu %lu", mm->start_data, mm->end_data, mm->start_brk,
	           mm->arg_start, mm->arg_end, mm->env_start, mm->env_end);
}

int proc_show_stat(struct seq_file *m, struct task_struct *task, bool whole)
{
	struct mm_struct *mm = get_task_mm(task);
	struct task_ids ids;
	struct times t;
	char comm[TASK_COMM_LEN];
	uint32_t tty_nr = 0;
	int32_t tpgid = -1;

	collect_ids(task, &ids);
	collect_times(task, whole, &t);
	get_task_comm(comm, task);
	task_tty(task, &tty_nr, &tpgid);
	seq_printf(m, "%d (%s) %c %d %d %d %u %d %u", task->pid, comm, task_state_char(task),
	           ids.ppid, ids.pgid, ids.sid, tty_nr, tpgid, linux_flags(task));
	seq_printf(m, " %lu %lu %lu %lu", t.own.minor, t.children.minor, t.own.major,
	           t.children.major);
	seq_printf(m, " %lu %lu %lu %lu", ns_to_ticks(t.utime), ns_to_ticks(t.stime),
	           ns_to_ticks(t.cutime), ns_to_ticks(t.cstime));
	seq_printf(m, " %d %d %u 0 %lu", 20 + task->nice, task->nice, ids.threads,
	           ns_to_ticks(task->start_time));
	show_stat_memory(m, task, mm);
	seq_printf(m, " %lu %lu %lu %lu 0 0 0", (ids.pending | ids.shared_pending) & 0x7fffffff,
	           ids.blocked & 0x7fffffff, ids.ignored & 0x7fffffff, ids.caught & 0x7fffffff);
	seq_printf(m, " %d %u 0 %d 0 0 0", task->exit_signal, task->cpu, task->policy);
	show_stat_layout(m, mm);
	seq_printf(m, " %d\n", task->exit_code);
	if (mm)
		mmput(mm);
	return 0;
}

static uint64_t text_pages(const struct mm_struct *mm)
{
	uint64_t text = (PAGE_ALIGN(mm->end_code) - (mm->start_code & PAGE_MASK)) >> PAGE_SHIFT;

	return MIN(text, mm->exec_vm);
}

int proc_show_statm(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);

	if (!mm) {
		seq_puts(m, "0 0 0 0 0 0 0\n");
		return 0;
	}
	seq_printf(m, "%lu %lu %lu %lu 0 %lu 0\n", mm->total_vm, mm_rss(mm),
	           rss_of(mm, MM_FILEPAGES) + rss_of(mm, MM_SHMEMPAGES), text_pages(mm),
	           mm->data_vm + mm->stack_vm);
	mmput(mm);
	return 0;
}

/* --- status ----------------------------------------------------------------------------------- */

static const char *state_word(char c)
{
	switch (c) {
	case 'R':
		return "R (running)";
	case 'S':
		return "S (sleeping)";
	case 'D':
		return "D (disk sleep)";
	case 'T':
		return "T (stopped)";
	case 'Z':
		return "Z (zombie)";
	case 'I':
		return "I (idle)";
	default:
		return "X (dead)";
	}
}

/* comm with backslash and newline escaped. */
static void show_name(struct seq_file *m, struct task_struct *task)
{
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, task);
	seq_puts(m, "Name:\t");
	for (const char *p = comm; *p; p++) {
		if (*p == '\n')
			seq_puts(m, "\\n");
		else if (*p == '\\')
			seq_puts(m, "\\\\");
		else
			seq_putc(m, *p);
	}
	seq_putc(m, '\n');
}

static uint32_t umask_of(struct task_struct *task, bool *has)
{
	uint32_t umask = 0;

	task_lock(task);
	*has = task->fs;
	if (task->fs)
		umask = task->fs->umask;
	task_unlock(task);
	return umask;
}

static unsigned fd_size(struct task_struct *task)
{
	unsigned n = 0;

	task_lock(task);
	if (task->files)
		n = files_max(task->files);
	task_unlock(task);
	return n;
}

static void show_cred(struct seq_file *m, struct task_struct *task)
{
	struct cred cred;

	task_lock(task);
	cred = task->cred;
	task_unlock(task);
	seq_printf(m, "Uid:\t%u\t%u\t%u\t%u\n", cred.uid, cred.euid, cred.suid, cred.fsuid);
	seq_printf(m, "Gid:\t%u\t%u\t%u\t%u\n", cred.gid, cred.egid, cred.sgid, cred.fsgid);
	seq_printf(m, "FDSize:\t%u\nGroups:\t", fd_size(task));
	for (unsigned i = 0; i < cred.ngroups && i < ARRAY_SIZE(cred.groups); i++)
		seq_printf(m, "%u ", cred.groups[i]);
	seq_puts(m, cred.ngroups ? "\n" : " \n");
}

static void show_status_ids(struct seq_file *m, struct task_struct *task,
                            const struct task_ids *ids)
{
	bool has_umask;
	uint32_t umask = umask_of(task, &has_umask);

	show_name(m, task);
	if (has_umask)
		seq_printf(m, "Umask:\t%04o\n", umask);
	seq_printf(m, "State:\t%s\n", state_word(task_state_char(task)));
	seq_printf(m, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", task->tgid,
	           task->pid, ids->ppid);
	show_cred(m, task);
	seq_printf(m, "NStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", task->tgid, task->pid,
	           ids->pgid, ids->sid);
	seq_printf(m, "Kthread:\t%d\n", (linux_flags(task) & LINUX_PF_KTHREAD) != 0);
}

static void show_kb(struct seq_file *m, const char *name, uint64_t pages)
{
	seq_printf(m, "%s\t%8lu kB\n", name, pages_to_kb(pages));
}

static void show_status_memory(struct seq_file *m, struct mm_struct *mm)
{
	uint64_t rss = mm_rss(mm), text = text_pages(mm);
	uint64_t peak = atomic_load_explicit(&mm->hiwater_rss, memory_order_relaxed);

	show_kb(m, "VmPeak:", MAX(mm->hiwater_vm, mm->total_vm));
	show_kb(m, "VmSize:", mm->total_vm);
	show_kb(m, "VmLck:", mm->locked_vm);
	show_kb(m, "VmPin:", 0);
	show_kb(m, "VmHWM:", MAX(peak, rss));
	show_kb(m, "VmRSS:", rss);
	show_kb(m, "RssAnon:", rss_of(mm, MM_ANONPAGES));
	show_kb(m, "RssFile:", rss_of(mm, MM_FILEPAGES));
	show_kb(m, "RssShmem:", rss_of(mm, MM_SHMEMPAGES));
	show_kb(m, "VmData:", mm->data_vm);
	show_kb(m, "VmStk:", mm->stack_vm);
	show_kb(m, "VmExe:", text);
	show_kb(m, "VmLib:", mm->exec_vm - text);
	seq_printf(m, "VmPTE:\t%8lu kB\n",
	           atomic_load_explicit(&mm->pgtables_bytes, memory_order_relaxed) >> 10);
	show_kb(m, "VmSwap:", rss_of(mm, MM_SWAPENTS));
	show_kb(m, "HugetlbPages:", 0);
	seq_puts(m, "CoreDumping:\t0\nTHP_enabled:\t0\n");
}

static void show_status_signals(struct seq_file *m, struct task_struct *task,
                                const struct task_ids *ids)
{
	seq_printf(m, "Threads:\t%u\n", ids->threads);
	seq_printf(m, "SigQ:\t%u/%lu\n", ids->queued,
	           task->signal ? task_rlimit(task, RLIMIT_SIGPENDING) : 0);
	seq_printf(m, "SigPnd:\t%016lx\nShdPnd:\t%016lx\n", ids->pending, ids->shared_pending);
	seq_printf(m, "SigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n", ids->blocked,
	           ids->ignored, ids->caught);
}

static void show_status_caps(struct seq_file *m, struct task_struct *task)
{
	const struct cred *cred = &task->cred;

	seq_printf(m, "CapInh:\t%016lx\nCapPrm:\t%016lx\nCapEff:\t%016lx\n", cred->cap_inheritable,
	           cred->cap_permitted, cred->cap_effective);
	seq_printf(m, "CapBnd:\t%016lx\nCapAmb:\t%016lx\n", (2ul << CAP_LAST) - 1, 0ul);
	seq_printf(m, "NoNewPrivs:\t%d\nSeccomp:\t0\nSeccomp_filters:\t0\n", task->no_new_privs);
}

static void show_status_mems(struct seq_file *m, struct task_struct *task)
{
	unsigned mems = READ_ONCE(task->mempolicy.mems);

	mems = mems ? mems : nodes_with_memory();
	seq_printf(m, "Mems_allowed:\t00000000,%08x\nMems_allowed_list:\t", mems);
	seq_mask_list(m, mems);
	seq_putc(m, '\n');
}

static void show_status_cpus(struct seq_file *m, struct task_struct *task)
{
	uint64_t all = (1ull << machine()->nr_cpus) - 1;
	uint64_t mask = READ_ONCE(task->cpus_allowed) & all;

	seq_puts(m, "Cpus_allowed:\t");
	seq_mask(m, mask, machine()->nr_cpus);
	seq_puts(m, "\nCpus_allowed_list:\t");
	seq_mask_list(m, mask);
	seq_putc(m, '\n');
	show_status_mems(m, task);
	seq_printf(m, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
	           task->nvcsw, task->nivcsw);
}

int proc_show_status(struct seq_file *m, struct task_struct *task, bool whole UNUSED)
{
	struct mm_struct *mm = get_task_mm(task);
	struct task_ids ids;

	collect_ids(task, &ids);
	show_status_ids(m, task, &ids);
	if (mm) {
		show_status_memory(m, mm);
		mmput(mm);
	}
	show_status_signals(m, task, &ids);
	show_status_caps(m, task);
	show_status_cpus(m, task);
	return 0;
}
