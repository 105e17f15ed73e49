/*
 * policy.c - the replacement policies by name.
 */
#include <quire/policy.h>

#include "lib/string.h"

static const struct policy *const policies[] = {
        &policy_active_inactive,
};

const struct policy *policy_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
		if (strcmp(policies[i]->name, name) == 0)
			return policies[i];
	return NULL;
}
