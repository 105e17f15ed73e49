/*
 * pid.h - the table of process numbers, for fork, exit and exec alone. tasklist_lock held in all.
 */
#ifndef KERNEL_PID_H
#define KERNEL_PID_H

#include "kernel/task.h"

/* A free number (or `want` if not 0): -EAGAIN none left, -EEXIST, -EINVAL. */
MUST_USE int32_t alloc_pid_locked(int32_t want);
void free_pid_locked(int32_t pid);
void attach_pid_locked(struct task_struct *task); /* found by its pid from now on */
void detach_pid_locked(struct task_struct *task); /* and the number is free */
void exchange_pids_locked(struct task_struct *a, struct task_struct *b);

#endif
