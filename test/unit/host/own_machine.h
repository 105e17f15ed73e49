/*
 * own_machine.h - a machine of a test's own: the test leaves the one that it began in, if there is one, and comes back to it.
 */
#ifndef TEST_OWN_MACHINE_H
#define TEST_OWN_MACHINE_H

#include "host/host.h"

/* One at a time; NULL: none. */
extern struct host_machine *own;

/* The calling thread is its CPU 0. False: it could not be made. Either way own_leave() is next. */
bool own_enter(const struct host_config *config);
/* Its invariants are the test's to check before. */
void own_leave(void);

#endif
