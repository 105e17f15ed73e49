/*
 * pid_test.c - process numbers: none is given twice, all are given, and given back.
 */
#include "kernel/pid.h"
#include "test/unit/unit.h"

#include <quire/errno.h>
#include <quire/kva.h>

UNIT_TEST(pids_follow_each_other)
{
	irq_state_t state = spin_lock_irqsave(&tasklist_lock);
	int32_t a = alloc_pid_locked(0), b = alloc_pid_locked(0);
	int32_t again = alloc_pid_locked(b), big = alloc_pid_locked(PID_MAX), c, want;

	free_pid_locked(a);
	c = alloc_pid_locked(0); /* a number that was just given back is not the next */
	want = alloc_pid_locked(a);
	free_pid_locked(want > 0 ? want : 0);
	free_pid_locked(b);
	free_pid_locked(c);
	spin_unlock_irqrestore(&tasklist_lock, state);
	CHECK(a > 0 && b > a && c > b);
	CHECK_EQ(again, -EEXIST);
	CHECK_EQ(big, -EINVAL);
	CHECK_EQ(want, a);
}

UNIT_TEST(all_pids)
{
	int32_t *all = kvmalloc(PID_MAX * sizeof(*all), GFP_KERNEL), pid = 0;
	uint8_t *seen = kvmalloc(PID_MAX, GFP_KERNEL | __GFP_ZERO);
	unsigned n = 0, twice = 0;
	irq_state_t state;

	if (all && seen) {
		state = spin_lock_irqsave(&tasklist_lock);
		while (n < PID_MAX && (pid = alloc_pid_locked(0)) > 0) {
			twice += seen[pid]++;
			all[n++] = pid;
		}
		for (unsigned i = 0; i < n; i++)
			free_pid_locked(all[i]);
		spin_unlock_irqrestore(&tasklist_lock, state);
	}
	kvfree(all);
	kvfree(seen);
	CHECK_EQ(pid, -EAGAIN);
	CHECK_EQ(twice, 0);
	CHECK(n > PID_MAX - 1000 && n < PID_MAX);
}
