/*
 * numa.c - see numa.h. Nodes stand in a row: the distance that is given is that of neighbours, and each node
 * further on is as much further again. CPUs are dealt out in runs: with 2 nodes, the first half and the second.
 */
#define _GNU_SOURCE
#include "cmd/quire/numa.h"

#include <stdlib.h>
#include <string.h>

#define GRAIN          (4ull << 20)  /* the kernel's largest block lies in one node */
#define MAX_SIZE       (64ull << 30) /* of all memory */
#define LOCAL_DISTANCE 10u
#define MAX_DISTANCE   254u

static NORETURN void die_of(const char *text)
{
	die("--numa %s is no choice of nodes: write 2 to %d, or SIZE,SIZE, and perhaps :DISTANCE",
	    text, NUMA_MAX_NODES);
}

static void parse_sizes(struct numa *numa, const char *text, char *list)
{
	numa->sizes = true;
	for (char *word; (word = strsep(&list, ","));) {
		uint64_t size;

		if (!parse_size(word, &size) || numa->nodes == NUMA_MAX_NODES)
			die_of(text);
		if (size > MAX_SIZE)
			die("--numa %s: %s is more than a guest can have", text, word);
		if (size % GRAIN)
			die("--numa %s: %s is no multiple of 4M", text, word);
		numa->mem[numa->nodes++] = size;
	}
	if (numa->nodes < 2)
		die_of(text);
	if (!numa->mem[0])
		die("--numa %s: the kernel boots in the first node: give it memory", text);
}

static void parse_distance(struct numa *numa, const char *text, const char *distance)
{
	const unsigned hops = numa->nodes - 1;
	const unsigned max = LOCAL_DISTANCE + (MAX_DISTANCE - LOCAL_DISTANCE) / hops;

	if (!parse_number(distance, LOCAL_DISTANCE + 1, max, &numa->distance))
		die("--numa %s: the distance of neighbours is from %u to %u", text,
		    LOCAL_DISTANCE + 1, max);
}

void numa_parse(struct numa *numa, const char *text)
{
	char *list = xstrdup(text), *distance = strchr(list, ':');

	*numa = (struct numa){0};
	if (distance)
		*distance++ = '\0';
	if (strchr(list, ','))
		parse_sizes(numa, text, list);
	else if (!parse_number(list, 2, NUMA_MAX_NODES, &numa->nodes))
		die_of(text);
	if (distance)
		parse_distance(numa, text, distance);
	free(list);
}

void numa_share(struct numa *numa, uint64_t *mem, bool given)
{
	uint64_t sum = 0, part;
	char have[24], want[24];

	if (!numa->nodes)
		return;
	for (unsigned i = 0; i < numa->nodes; i++)
		sum += numa->mem[i];
	if (numa->sizes && given && sum != *mem)
		die("--mem %s is not the sum of --numa, which is %s: leave it out",
		    size_text(*mem, have), size_text(sum, want));
	if (numa->sizes) {
		*mem = sum;
		return;
	}
	part = ALIGN_DOWN(*mem / numa->nodes, GRAIN);
	if (!part)
		die("--mem %s is too small for %u nodes: write at least --mem %s",
		    size_text(*mem, have), numa->nodes, size_text(numa->nodes * GRAIN, want));
	for (unsigned i = 0; i + 1 < numa->nodes; i++)
		numa->mem[i] = part;
	numa->mem[numa->nodes - 1] = *mem - (numa->nodes - 1) * part;
}

unsigned numa_distance(const struct numa *numa, unsigned from, unsigned to)
{
	unsigned hops = from < to ? to - from : from - to;

	return LOCAL_DISTANCE + hops * (numa->distance - LOCAL_DISTANCE);
}

unsigned numa_node_of_cpu(const struct numa *numa, unsigned cpu, unsigned cpus)
{
	return cpu * numa->nodes / cpus;
}
