/*
 * zonelist.c - in which order a request tries the zones of all nodes, and for which node it asks.
 *
 * Each node has a list for each kind of request: its own zones from the highest that will do downwards, then those of the
 * nearest other node, and so on (Linux's "node order": near memory of a scarcer kind before far memory). Of
 * nodes at the same distance the next one upwards comes first, and one that is already the first choice of others
 * later, so that a full node does not flood one neighbour.
 *
 * Which node: that of the running CPU, unless the task has a policy (set_mempolicy(2)), or the memory (mbind(2)). A CPU's short way
 * (alloc_pages) leads to lists of its own node only, and is closed while a task with a policy runs, so it needs
 * neither flag nor policy to be looked at.
 *
 * Sources: Linux 6.1's Documentation/mm/numa, admin-guide/mm/numa_memory_policy; ACPI 6.4, 5.2.17 (distances).
 */
#include "mm/frame/internal.h"

#define LOCAL_DISTANCE  10u
#define REMOTE_DISTANCE 20u

unsigned node_distance(unsigned from, unsigned to)
{
	unsigned distance = machine()->config.node_distance[from][to];

	return distance ? distance : from == to ? LOCAL_DISTANCE : REMOTE_DISTANCE;
}

unsigned cpu_to_node(unsigned cpu)
{
	const struct frame_config *c = &machine()->config;
	unsigned nid = c->cpu_node_set ? c->cpu_node[cpu] : cpu % machine()->nr_nodes;

	return nid < machine()->nr_nodes ? nid : 0;
}

unsigned numa_node_id(void)
{
	return likely(this_cpu()->pcp_ready) ? this_cpu()->nid : cpu_to_node(cpu_id());
}

unsigned nodes_with_memory(void)
{
	unsigned nodes = 0;

	for_each_zone(zone)
		nodes |= 1u << zone->nid;
	return nodes;
}

/* --- the lists -------------------------------------------------------------------------------- */

static unsigned append_node(struct zonelist *list, unsigned n, struct pglist_data *node,
                            unsigned highest)
{
	for (unsigned i = highest + 1; i-- > 0;)
		if (node->zones[i].present)
			list->zones[n++] = &node->zones[i];
	list->zones[n] = NULL;
	return n;
}

/* The nearest node that is not in `used`; load: how often each is somebody's first of those at some distance. */
static unsigned next_best_node(unsigned from, unsigned used, const unsigned load[])
{
	unsigned best = from, best_value = UINT32_MAX;

	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++) {
		unsigned value =
		        (node_distance(from, nid) + (nid < from)) * MAX_NUMNODES * MAX_NUMNODES +
		        load[nid];

		if (!(used >> nid & 1) && (nid == from || value < best_value)) {
			best = nid;
			best_value = nid == from ? 0 : value;
		}
	}
	return best;
}

static void build_node(struct pglist_data *node, unsigned load[])
{
	unsigned nodes = machine()->nr_nodes, used = 0;
	uint8_t *near = node->near;

	for (unsigned i = 0; i < nodes; i++) {
		near[i] = (uint8_t)next_best_node(node->nid, used, load);
		used |= 1u << near[i];
		if (i && node_distance(node->nid, near[i]) != node_distance(node->nid, near[i - 1]))
			load[near[i]]++;
	}
	for (unsigned highest = 0; highest < MAX_NR_ZONES; highest++) {
		unsigned n = 0;

		append_node(&node->nofallback[highest], 0, node, highest);
		for (unsigned i = 0; i < nodes; i++)
			n = append_node(&node->zonelist[highest], n, &machine()->node[near[i]],
			                highest);
	}
}

void build_zonelists(void)
{
	unsigned load[MAX_NUMNODES] = {0};

	for (unsigned nid = 0; nid < machine()->nr_nodes; nid++)
		build_node(&machine()->node[nid], load);
}

/* --- which node ------------------------------------------------------------------------------- */

static unsigned first_node(unsigned nodes)
{
	return nodes ? (unsigned)__builtin_ctz(nodes) : 0;
}

/* The node after the last one, round and round. */
static unsigned interleave(struct mempolicy *policy)
{
	unsigned above = policy->nodes & ~((2u << policy->next) - 1);

	policy->next = (uint8_t)first_node(above ? above : policy->nodes);
	return policy->next;
}

/* Returns the node to begin with; ac->nodes: all that will do. */
static unsigned apply_policy(struct alloc_context *ac, struct mempolicy *policy)
{
	unsigned here = numa_node_id();

	switch (policy->mode) {
	case MPOL_PREFERRED:
		return first_node(policy->nodes);
	case MPOL_INTERLEAVE:
		ac->interleaved = true;
		return interleave(policy);
	case MPOL_BIND:
		/* Low zones exist on few nodes, and who needs one cannot do with another. */
		if (ac->highest_zone >= machine()->movable_zone)
			ac->nodes &= policy->nodes;
		break;
	case MPOL_PREFERRED_MANY:
		ac->preferred_nodes = policy->nodes;
		break;
	}
	return here;
}

/* No others than these, and of them the nearest that has such a zone; none: ac->preferred is NULL. */
void narrow_nodes(struct alloc_context *ac, unsigned nodes)
{
	struct zone *const *z = ac->zonelist->zones;

	ac->nodes &= nodes;
	while (*z && !(ac->nodes >> (*z)->nid & 1))
		z++;
	ac->preferred = *z;
}

void choose_nodes(struct alloc_context *ac, int nid)
{
	struct mempolicy *task = in_interrupt() ? NULL : this_cpu()->mempolicy;
	struct mempolicy *policy = ac->policy ? ac->policy : task;
	bool here_only = ac->gfp & __GFP_THISNODE;
	unsigned nodes = ~0u;

	ac->nodes = ~0u;
	if (nid < 0)
		nid = (int)(policy && !here_only ? apply_policy(ac, policy) : numa_node_id());
	if (task && task->mems && ac->gfp & __GFP_HARDWALL && !(ac->gfp & __GFP_ATOMIC))
		nodes = task->mems;
	ac->zonelist = here_only ? &machine()->node[nid].nofallback[ac->highest_zone]
	                         : &machine()->node[nid].zonelist[ac->highest_zone];
	narrow_nodes(ac, nodes);
}

void cpu_set_mempolicy(struct mempolicy *policy)
{
	struct cpu_area *cpu = this_cpu();
	irq_state_t irq = irq_save();

	cpu->mempolicy = policy && !mempolicy_is_default(policy) ? policy : NULL;
	if (cpu->pcp_ready)
		setup_fast_pcp(cpu);
	irq_restore(irq);
}

/* --- counts ----------------------------------------------------------------------------------- */

static void numa_count(struct zone *zone, enum numa_stat_item item)
{
	atomic_fetch_add_explicit(&zone->numa[item], 1, memory_order_relaxed);
}

/* Of pages that CPUs take from the zones of their own node, each request counts as one: so many are too many. */
static void discount_pages(unsigned zone_id, uint64_t pages)
{
	atomic_fetch_add_explicit(&this_cpu()->slow_pages[zone_id], pages, memory_order_relaxed);
}

void count_short_block(unsigned zone_id, unsigned order)
{
	discount_pages(zone_id, ((uint64_t)1 << order) - 1);
}

/* A hit in the CPU's own node, as nearly all are, touches nothing that others touch. */
void count_numa_event(const struct alloc_context *ac, struct zone *zone)
{
	const bool local = zone->nid == numa_node_id();

	if (likely(local && zone->nid == ac->preferred->nid && !ac->interleaved)) {
		if (ac->order)
			count_short_block(zone->id, ac->order);
		return;
	}
	discount_pages(zone->id, (uint64_t)1 << ac->order);
	numa_count(zone, local ? NUMA_LOCAL : NUMA_OTHER);
	if (zone->nid != ac->preferred->nid) {
		numa_count(zone, NUMA_MISS);
		numa_count(ac->preferred, NUMA_FOREIGN);
		return;
	}
	numa_count(zone, NUMA_HIT);
	if (ac->interleaved)
		numa_count(zone, NUMA_INTERLEAVE_HIT);
}

/*
 * What is not counted as an event: pages by kind of zone, from the CPU's own node only. A CPU at work just now discounts
 * pages before it counts them, so that there may seem to be fewer than none.
 */
static uint64_t local_hits(const struct zone *zone)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < machine()->nr_cpus; i++) {
		const struct cpu_area *cpu = machine()->cpu[i];

		if (cpu && cpu_to_node(i) == zone->nid)
			pages += READ_ONCE(cpu->counters[zone_counter(zone->id)]) -
			         atomic_load_explicit(&cpu->slow_pages[zone->id],
			                              memory_order_relaxed);
	}
	return (int64_t)pages < 0 ? 0 : pages;
}

uint64_t zone_numa_stat(const struct zone *zone, enum numa_stat_item item)
{
	uint64_t n = atomic_load_explicit(&zone->numa[item], memory_order_relaxed);

	return item == NUMA_HIT || item == NUMA_LOCAL ? n + local_hits(zone) : n;
}
