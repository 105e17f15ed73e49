/*
 * shm.h - System V shared memory (kernel/shm.c).
 */
#ifndef KERNEL_SHM_H
#define KERNEL_SHM_H

void shm_init(void);
/* Free removed segments that nobody maps any more; cheap when there are none. Sleeps. */
void shm_reap(void);
/* At the end: free all segments. Sleeps. */
void shm_shutdown(void);

#endif
