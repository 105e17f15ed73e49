/*
 * oom.h - out of memory: who is killed so that the others can go on.
 */
#ifndef KERNEL_OOM_H
#define KERNEL_OOM_H

#include "kernel/task.h"

#define OOM_SCORE_ADJ_MIN (-1000)
#define OOM_SCORE_ADJ_MAX 1000

/* Linux's measure of who has much: pages, and the adjustment in thousandths of all memory. INT64_MIN: never to be killed. */
int64_t oom_badness(uint64_t pages, int adj, uint64_t total);

/* As /proc/PID/oom_score shows it: 0 never, 666 nothing, 1333 all of memory, 2000 with an adjustment of 1000 besides. */
uint64_t oom_score(int64_t badness, uint64_t total);

/* That of the process that the task is of. */
uint64_t process_oom_score(struct task_struct *task);

/* A page fault of the running task found no frame, whatever the allocator tried: the task dies. */
void pagefault_out_of_memory(void);

/* From now on programs are killed for others' requests. */
void oom_init(void);

#endif
