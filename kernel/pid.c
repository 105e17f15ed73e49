/*
 * pid.c - process numbers, and finding tasks by them.
 *
 * Numbers are given out upwards and wrap at PID_MAX, so that one is not reused soon; a bitmap says which are
 * taken. After the wrap a number that still names a process group or a session, whose leader may be gone before its
 * members, is passed over.
 */
#include "kernel/sched.h"
#include "kernel/pid.h"
#include "lib/hash.h"
#include <quire/errno.h>
#include "lib/string.h"

#define PID_HASH_BITS 7
#define RESERVED_PIDS 300 /* not given again after the first wrap, as Linux */

spinlock_t tasklist_lock;
struct list_head task_list = LIST_HEAD_INIT(task_list);

static struct hlist_head pid_hash[1u << PID_HASH_BITS];
static uint64_t pid_map[PID_MAX / 64]; /* tasklist_lock, as the rest */
static int32_t last;
static unsigned count_tasks;
static uint64_t count_forks;

static bool pid_in_use(int32_t pid)
{
	return pid_map[pid / 64] >> (pid % 64) & 1;
}

/* A dead leader's number lives on as the name of its group or session. */
static bool pid_names_group(int32_t pid)
{
	struct task_struct *p;

	for_each_process(p) if (p->signal->pgid == pid || p->signal->sid == pid) return true;
	return false;
}

int32_t alloc_pid_locked(int32_t want)
{
	int32_t pid = last;

	if (want) {
		if (want >= PID_MAX || pid_in_use(want))
			return want >= PID_MAX ? -EINVAL : -EEXIST;
		pid_map[want / 64] |= 1ull << (want % 64);
		return want;
	}
	for (unsigned tries = 0; tries < PID_MAX; tries++) {
		pid = pid + 1 < PID_MAX ? pid + 1 : RESERVED_PIDS;
		if (pid_in_use(pid) || (pid < last && pid_names_group(pid)))
			continue;
		pid_map[pid / 64] |= 1ull << (pid % 64);
		last = pid;
		return pid;
	}
	return -EAGAIN;
}

void free_pid_locked(int32_t pid)
{
	pid_map[pid / 64] &= ~(1ull << (pid % 64));
}

void attach_pid_locked(struct task_struct *task)
{
	hlist_add_head(&task->pid_link, &pid_hash[hash_32((uint32_t)task->pid, PID_HASH_BITS)]);
	count_tasks++;
	count_forks++;
}

void detach_pid_locked(struct task_struct *task)
{
	hlist_del(&task->pid_link);
	free_pid_locked(task->pid);
	count_tasks--;
}

void exchange_pids_locked(struct task_struct *a, struct task_struct *b)
{
	int32_t pid = a->pid;

	hlist_del(&a->pid_link);
	hlist_del(&b->pid_link);
	a->pid = b->pid;
	b->pid = pid;
	hlist_add_head(&a->pid_link, &pid_hash[hash_32((uint32_t)a->pid, PID_HASH_BITS)]);
	hlist_add_head(&b->pid_link, &pid_hash[hash_32((uint32_t)b->pid, PID_HASH_BITS)]);
}

struct task_struct *find_task_by_pid_locked(int32_t pid)
{
	struct task_struct *task;

	if (pid <= 0)
		return NULL;
	hlist_for_each_entry(task, &pid_hash[hash_32((uint32_t)pid, PID_HASH_BITS)], pid_link)
		if (task->pid == pid)
			return task;
	return NULL;
}

struct task_struct *find_get_task_by_pid(int32_t pid)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *task = find_task_by_pid_locked(pid);

	if (task)
		get_task(task);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return task;
}

struct task_struct *find_get_process(int32_t pid)
{
	struct task_struct *task = find_get_task_by_pid(pid);

	if (task && !thread_group_leader(task)) {
		put_task(task);
		return NULL;
	}
	return task;
}

struct task_struct *next_process(int32_t pid)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *p, *best = NULL;

	for_each_process(p) if (p->pid >= pid && (!best || p->pid < best->pid)) best = p;
	if (best)
		get_task(best);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return best;
}

struct task_struct *next_thread(struct task_struct *leader, int32_t tid)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct task_struct *t, *best = NULL;

	for_each_thread(leader, t)
		if (t->pid >= tid && (!best || t->pid < best->pid))
			best = t;
	if (best)
		get_task(best);
	spin_unlock_irqrestore(&tasklist_lock, state);
	return best;
}

unsigned nr_tasks(void)
{
	return READ_ONCE(count_tasks);
}

uint64_t nr_forks(void)
{
	return READ_ONCE(count_forks);
}

int32_t last_pid(void)
{
	return READ_ONCE(last);
}

struct mm_struct *get_task_mm(struct task_struct *task)
{
	struct mm_struct *mm;

	task_lock(task);
	mm = task->mm;
	if (mm && !refcount_inc_not_zero(&mm->mm_users))
		mm = NULL;
	task_unlock(task);
	return mm;
}

void get_task_comm(char *buf, struct task_struct *task)
{
	task_lock(task);
	memcpy(buf, task->comm, TASK_COMM_LEN);
	task_unlock(task);
}

void set_task_comm(struct task_struct *task, const char *name)
{
	char padded[TASK_COMM_LEN] = {0};

	strscpy(padded, name, sizeof(padded));
	task_lock(task);
	memcpy(task->comm, padded, TASK_COMM_LEN);
	task_unlock(task);
}

char task_state_char(struct task_struct *task)
{
	switch (atomic_load_explicit(&task->state, memory_order_relaxed)) {
	case TASK_RUNNING:
		return 'R';
	case TASK_INTERRUPTIBLE:
		return 'S';
	case TASK_NEW:
	case TASK_UNINTERRUPTIBLE:
		return task->flags & PF_KTHREAD ? 'S' : 'D';
	case TASK_STOPPED:
		return 'T';
	case TASK_ZOMBIE:
		return 'Z';
	default:
		return 'X';
	}
}
