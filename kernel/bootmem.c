/*
 * bootmem.c - boot words about the shape of memory, for frame_init(). Linux's names:
 *
 *   numa=fake=N        memory split into N nodes of the same size, the CPUs dealt out to them
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

static void numa_param(struct frame_config *c)
{
	char text[32];
	const char *end;
	uint64_t n;

	if (boot_param("numa", text, sizeof(text)) < 0)
		return;
	if (strncmp(text, "fake=", 5) || parse_u64(text + 5, 10, &end, &n) || *end || !n) {
		port_log("boot: numa=%s is not fake=N: ignored", text);
		return;
	}
	c->nr_nodes = (unsigned)MIN(n, UINT32_MAX);
	c->numa_fake = true;
}

void boot_frame_config(void)
{
	struct frame_config *c = &machine()->config;

	numa_param(c);
	core_param("kernelcore", &c->kernelcore, &c->kernelcore_percent);
	core_param("movablecore", &c->movablecore, &c->movablecore_percent);
}
