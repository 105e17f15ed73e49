/*
 * own_machine.c - see own_machine.h.
 */
#include "test/unit/host/own_machine.h"

#include "host/internal.h"

struct host_machine *own;
static struct host_machine *outer;

bool own_enter(const struct host_config *config)
{
	outer = machine() ? host_of(machine()) : NULL;
	own = host_create(config);
	return own != NULL;
}

void own_leave(void)
{
	if (own)
		host_destroy(own);
	own = NULL;
	if (outer)
		host_enter(outer, 0);
}
