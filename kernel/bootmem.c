/*
 * bootmem.c - boot words about the shape of memory, for frame_init(). Linux's names:
 *
 *   numa=fake=N        memory split into N nodes of the same size, the CPUs dealt out to them
 *   numa=off           one node, whatever the firmware's tables say
 *   kernelcore=N, movablecore=N (with K, M, G, T or %)    ZONE_MOVABLE: mm/frame/movable.c
 */
#include "kernel/bootmem.h"
#include "arch/x86_64/arch.h"
#include "kernel/log.h"
#include "lib/format.h"
#include "lib/string.h"

#include <quire/machine.h>

static void core_param(const char *key, uint64_t *bytes, unsigned *percent)
{
	char text[32];
	int64_t len = boot_param(key, text, sizeof(text));

	if (len >= 0 && (len >= (int64_t)sizeof(text) || !parse_core_size(text, bytes, percent)))
		port_log("boot: %s=%s is no size: ignored", key, text);
}

static bool parse_fake(const char *text, uint64_t *n)
{
	const char *end;

	return !strncmp(text, "fake=", 5) && !parse_u64(text + 5, 10, &end, n) && !*end && *n;
}

static void numa_param(struct frame_config *c)
{
	char text[32] = "";
	bool given = boot_param("numa", text, sizeof(text)) >= 0;
	uint64_t n;

	if (given && !strcmp(text, "off"))
		return;
	if (!given || !parse_fake(text, &n)) {
		if (given)
			port_log("boot: numa=%s is neither fake=N nor off: ignored", text);
		arch_numa_config(c);
		return;
	}
	c->nr_nodes = n;
	c->numa_fake = true;
}

void boot_frame_config(void)
{
	struct frame_config *c = &machine()->config;

	numa_param(c);
	core_param("kernelcore", &c->kernelcore, &c->kernelcore_percent);
	core_param("movablecore", &c->movablecore, &c->movablecore_percent);
}
