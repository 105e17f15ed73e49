/*
 * pipe.h - the inside of a pipe, for pipe.c and splice.c.
 *
 *       tail                head
 *        |                   |
 *     [ page ][ page ][ page ][ free ][ free ] ...   a ring of ring_size places, a power of two
 *
 * head and tail only grow; a place is number & (ring_size - 1). Everything is guarded by the mutex. Readers sleep on rd_wait
 * while the ring is empty, writers on wr_wait while it is full, each exclusively: a change wakes one, which wakes the
 * next if there is still something for it. Nobody is woken for data that a reader has not come back for.
 */
#ifndef FS_PIPE_H
#define FS_PIPE_H

#include "fs/internal.h"

struct pipe_buffer {
	struct page *page; /* a reference */
	uint32_t offset, len;
	bool merge;  /* the pipe's own page: a write may go on in it */
	bool packet; /* O_DIRECT: a read takes all of it or loses the rest */
};

struct pipe_inode_info {
	struct mutex mutex;
	struct wait_queue rd_wait, wr_wait;
	unsigned head, tail, ring_size;
	unsigned readers, writers;     /* open ends */
	unsigned r_counter, w_counter; /* opens so far: FIFO opens wait for the other side's */
	unsigned files;                /* inode's i_rwsem: open files of both kinds */
	bool poll_usage;               /* somebody polls: tell of every change */
	struct page *tmp_page[2];      /* emptied pages, for the next writes */
	struct pipe_buffer *bufs;
};

static inline unsigned pipe_occupancy(const struct pipe_inode_info *pipe)
{
	return pipe->head - pipe->tail;
}
static inline bool pipe_empty(const struct pipe_inode_info *pipe)
{
	return pipe->head == pipe->tail;
}
static inline bool pipe_full(const struct pipe_inode_info *pipe)
{
	return pipe_occupancy(pipe) >= pipe->ring_size;
}
static inline struct pipe_buffer *pipe_buf(struct pipe_inode_info *pipe, unsigned slot)
{
	return &pipe->bufs[slot & (pipe->ring_size - 1)];
}

/* The mutex is held, let go while asleep. 0 or -ERESTARTSYS. */
int pipe_wait_readable(struct pipe_inode_info *pipe); /* until data, or no writers */
int pipe_wait_writable(struct pipe_inode_info *pipe); /* until room, or no readers */
/* After a change, mutex held: who may go on now. */
void pipe_wake_readers(struct pipe_inode_info *pipe, bool was_empty);
void pipe_wake_writers(struct pipe_inode_info *pipe, bool was_full);
/* The buffer at tail has been used up. */
void pipe_release_tail(struct pipe_inode_info *pipe);

#endif
