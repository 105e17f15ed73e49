/*
 * stackdepot.h - call chains, each kept once (stackdepot.c).
 */
#ifndef MM_FRAME_STACKDEPOT_H
#define MM_FRAME_STACKDEPOT_H

#include <quire/frame.h>

/* Room for the machine's chains, before the first frame is free. False: there is no memory, nothing will be kept. */
MUST_USE bool stack_depot_init(void);

#endif
