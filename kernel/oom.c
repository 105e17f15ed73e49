/*
 * oom.c - out of memory: somebody dies so that the others can go on.
 *
 * An allocation that must not fail easily comes here through oom_hook when nothing more can be freed. The process that has most, by
 * Linux's badness, is killed, and with it all that run in the same memory; then the request waits a little and looks again.
 *
 * 1. One victim at a time: while one is on its way out, nobody else is chosen. Choosing and marking are one step under
 *    tasklist_lock, so that askers on several CPUs agree.
 *    And nobody is chosen by an asker who has not looked for memory since the last victim went: between its look and its turn
 *    here, a CPU that the host lets wait may have missed the whole death.
 * 2. No deadlock: an asker may hold any lock that is held over an allocation, and the victim may sleep for just that one. So the
 *    victim has OOM_PATIENCE_NS; then it is passed over, and the next is chosen. When all are passed over the request fails.
 * 3. The victim may itself need memory before it sees the signal: it takes a part of the reserve, and when that is used up its requests
 *    fail: on the way out everything does without.
 * 4. Whoever runs in the victim's memory dies too, whatever its adjustment: one alone would bring nothing.
 * 5. Only its own user space makes a process a candidate: kernel threads, and init, which is one, have none.
 *
 * Where the last resort is not for a request - nodes that a policy names are full, or a test makes an allocation fail - a page fault without a
 * frame ends the program that faults: the system is not short of memory, and others' deaths would not help. Likewise if nobody can be
 * killed; Linux panics there.
 *
 * Sources: Linux 6.1's Documentation/filesystems/proc.rst (oom_score_adj, oom_score), admin-guide/mm/concepts.rst.
 */
#include "kernel/oom.h"
#include "kernel/sched.h"
#include "kernel/signal.h"

#include <quire/trace.h>

#define OOM_WAIT_NS     1000000u
#define OOM_PATIENCE_NS 2000000000u

/* --- badness ---------------------------------------------------------------------------------- */

int64_t oom_badness(uint64_t pages, int adj, uint64_t total)
{
	return adj == OOM_SCORE_ADJ_MIN ? INT64_MIN
	                                : (int64_t)pages + adj * (int64_t)(total / 1000);
}

uint64_t oom_score(int64_t badness, uint64_t total)
{
	int64_t score;

	if (badness == INT64_MIN || !total)
		return 0;
	score = (1000 + badness * 1000 / (int64_t)total) * 2 / 3;
	return score > 0 ? (uint64_t)score : 0;
}

/* What the death of whoever has this memory would bring, in pages: his and the tables'. */
static uint64_t mm_oom_pages(const struct mm_struct *mm)
{
	return mm_rss(mm) + (mm->pgtables_bytes >> PAGE_SHIFT);
}

/* A thread of the process that still has memory, its alloc_lock held; or NULL. tasklist_lock held. */
static struct task_struct *find_lock_task_mm(struct task_struct *p)
{
	struct task_struct *t;

	for_each_thread(p, t) {
		task_lock(t);
		if (t->mm)
			return t;
		task_unlock(t);
	}
	return NULL;
}

/* The child of a vfork has nothing of its own yet: its parent stands for both. */
static bool in_vfork(const struct task_struct *t)
{
	return t->vfork_done && t->real_parent && t->real_parent->mm == t->mm;
}

/* tasklist_lock held. */
static int64_t process_badness(struct task_struct *p)
{
	struct task_struct *t = find_lock_task_mm(p);
	int64_t badness = INT64_MIN;

	if (!t)
		return INT64_MIN;
	if (!in_vfork(t))
		badness = oom_badness(mm_oom_pages(t->mm), READ_ONCE(p->signal->oom_score_adj),
		                      totalram_pages());
	task_unlock(t);
	return badness;
}

uint64_t process_oom_score(struct task_struct *task)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	int64_t badness = task->signal ? process_badness(task) : INT64_MIN;

	spin_unlock_irqrestore(&tasklist_lock, state);
	return oom_score(badness, totalram_pages());
}

/* All victims have gone, or were passed over, so many times; and are there new ones since? tasklist_lock. */
static uint32_t departures;
static bool awaited;

/* --- the deed --------------------------------------------------------------------------------- */

static uint64_t kb(struct mm_struct *mm, enum rss_counter counter)
{
	int64_t pages = atomic_load(&mm->rss[counter]);

	return pages > 0 ? (uint64_t)pages * (PAGE_SIZE / 1024) : 0;
}

static void report(struct task_struct *p, struct mm_struct *mm)
{
	uint64_t total = mm->total_vm * (PAGE_SIZE / 1024);

	port_log(
	        "Out of memory: Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, "
	        "shmem-rss:%lukB oom_score_adj:%d",
	        p->tgid, p->comm, total, kb(mm, MM_ANONPAGES), kb(mm, MM_FILEPAGES),
	        kb(mm, MM_SHMEMPAGES), READ_ONCE(p->signal->oom_score_adj));
	trace_mark_victim((uint64_t)p->tgid, total, kb(mm, MM_ANONPAGES), kb(mm, MM_FILEPAGES));
	count(OOM_KILL);
}

static bool has_mm(struct task_struct *p, const struct mm_struct *mm)
{
	struct task_struct *t = find_lock_task_mm(p);
	bool same = t && t->mm == mm;

	if (t)
		task_unlock(t);
	return same;
}

/* By exit or by another's signal. A signal alone does not say: exec sends one to the other threads. */
static bool is_dying(const struct task_struct *p)
{
	return READ_ONCE(p->signal->group_exit);
}

/* Whoever is dying anyway is waited for likewise, but that was not for want of memory. */
static void kill_and_mark(struct task_struct *p)
{
	if (!is_dying(p))
		atomic_store(&p->signal->oom_killed, true);
	awaited = true;
	atomic_store(&p->signal->oom_victim_ns, port_now_ns());
	send_signal(SIGKILL, p);
}

/* The memory that its death will free, with a reference; NULL: it has none any more. tasklist_lock held. */
static struct mm_struct *oom_kill_process(struct task_struct *p)
{
	struct task_struct *t = find_lock_task_mm(p);
	struct mm_struct *mm = t ? t->mm : NULL;

	if (!mm)
		return NULL;
	mmgrab(mm);
	if (!is_dying(p))
		report(p, mm);
	task_unlock(t);
	kill_and_mark(p);
	return mm;
}

/* One alone would bring nothing, if others run in the same memory. tasklist_lock held. */
static void kill_sharers(const struct task_struct *victim, const struct mm_struct *mm)
{
	struct task_struct *p;

	for_each_process(p) if (p != victim && p->signal && has_mm(p, mm)) kill_and_mark(p);
}

/* --- the choice ------------------------------------------------------------------------------- */

struct choice {
	struct task_struct *victim;
	int64_t badness;
	bool waiting; /* somebody is on its way out */
};

static bool is_gone(struct task_struct *p)
{
	return p->signal->nr_threads == 1 && atomic_load(&p->state) & (TASK_ZOMBIE | TASK_DEAD);
}

static void consider(struct task_struct *p, struct choice *best)
{
	const uint64_t since = atomic_load(&p->signal->oom_victim_ns);
	int64_t badness;

	if (since && !is_gone(p) && port_now_ns() - since < OOM_PATIENCE_NS)
		best->waiting = true;
	if (since)
		return;
	badness = process_badness(p);
	if (badness != INT64_MIN && badness >= best->badness) {
		best->victim = p;
		best->badness = badness;
	}
}

/* No victim is on its way out: have some gone since the running task last looked for memory? tasklist_lock held. */
static bool should_look_again(void)
{
	if (awaited)
		departures++;
	awaited = false;
	if (current->oom_departures == departures)
		return false;
	current->oom_departures = departures;
	return true;
}

/* False: there is nobody whose death could be waited for. */
static bool select_and_kill(void)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	struct choice best = {.badness = INT64_MIN};
	struct mm_struct *mm = NULL;
	struct task_struct *p;
	bool wait;

	for_each_process(p) if (p->signal) consider(p, &best);
	wait = best.waiting || should_look_again();
	if (best.victim && !wait)
		mm = oom_kill_process(best.victim);
	if (mm)
		kill_sharers(best.victim, mm);
	spin_unlock_irqrestore(&tasklist_lock, state);
	if (mm)
		mmdrop(mm);
	return best.victim || wait;
}

static bool current_is_dying(void)
{
	return atomic_load(&current->flags) & PF_EXITING || port_fatal_signal_pending();
}

static enum oom_result out_of_memory(void)
{
	if (current_is_dying())
		return OOM_DYING;
	if (!select_and_kill())
		return OOM_NOBODY;
	if (current_is_dying())
		return OOM_DYING;
	port_block_until(port_now_ns() + OOM_WAIT_NS);
	return OOM_RETRY;
}

void pagefault_out_of_memory(void)
{
	struct mm_struct *mm;
	irq_state_t state;

	if (current_is_dying())
		return;
	state = spin_lock_irqsave(&tasklist_lock);
	mm = oom_kill_process(current->group_leader);
	spin_unlock_irqrestore(&tasklist_lock, state);
	if (mm)
		mmdrop(mm);
}

void oom_init(void)
{
	oom_hook = out_of_memory;
}
