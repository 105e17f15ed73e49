/*
 * kcompactd.c - a thread for each node compacts in the background.
 *
 * A request for a block that found none of its order wakes it, whatever the request itself can do; so that the next
 * one, which may come from an interrupt, finds some. And every now and then it looks whether free memory is in pieces
 * (proactive.c).
 */
#include "lib/format.h"
#include "mm/frame/compaction.h"

#define KCOMPACTD_STOP_NS  1000000u   /* between looks whether it has stopped */
#define FRAG_CHECK_NS      500000000u /* between looks at the score */
#define FRAG_CHECK_LONG_NS ((uint64_t)FRAG_CHECK_NS << COMPACT_MAX_DEFER_SHIFT)

static bool kcompactd_has_work(const struct pglist_data *node)
{
	return atomic_load(&node->kcompactd_max_order) > 0 || atomic_load(&node->kcompactd_stop) ||
	       atomic_load(&node->proactive_compact_trigger);
}

void wakeup_kcompactd(struct pglist_data *node, unsigned order, unsigned highest_zone)
{
	unsigned old = atomic_load(&node->kcompactd_max_order);

	if (!atomic_load(&node->kcompactd_running))
		return;
	while (old < order &&
	       !atomic_compare_exchange_weak(&node->kcompactd_max_order, &old, order))
		;
	atomic_store(&node->kcompactd_highest_zoneidx, highest_zone);
	trace_mm_compaction_wakeup_kcompactd(node->nid, order, highest_zone);
	wake_up(&node->kcompactd_wait);
}

static void kcompactd_zone(struct zone *zone, unsigned order, unsigned highest_zone)
{
	struct compact_control cc = {.zone = zone,
	                             .order = order,
	                             .type = first_pageblock_type(),
	                             .highest_zone = highest_zone,
	                             .mode = MIGRATE_SYNC_LIGHT};
	enum compact_result status;

	if (compaction_deferred(zone, order) ||
	    compaction_suitable(zone, order, highest_zone) != COMPACT_CONTINUE)
		return;
	status = compact_zone(&cc);
	if (status == COMPACT_SUCCESS)
		compaction_defer_reset(zone, order, false);
	else if (status == COMPACT_COMPLETE || status == COMPACT_PARTIAL_SKIPPED)
		defer_compaction(zone, order);
	count_n(KCOMPACTD_MIGRATE_SCANNED, cc.total_migrate_scanned);
	count_n(KCOMPACTD_FREE_SCANNED, cc.total_free_scanned);
}

static void kcompactd_do_work(struct pglist_data *node)
{
	const unsigned order = atomic_exchange(&node->kcompactd_max_order, 0);
	const unsigned highest = atomic_load(&node->kcompactd_highest_zoneidx);

	trace_mm_compaction_kcompactd_wake(node->nid, order, highest);
	count(KCOMPACTD_WAKE);
	for (unsigned i = 0; i <= highest && order; i++)
		if (node->zones[i].present)
			kcompactd_zone(&node->zones[i], order, highest);
}

/* Nobody asked. Returns how long until the next look. */
static uint64_t kcompactd_look(struct pglist_data *node)
{
	atomic_store(&node->proactive_compact_trigger, false);
	if (!should_proactive_compact_node(node))
		return FRAG_CHECK_NS;
	count(KCOMPACTD_WAKE);
	return proactive_compact_node(node) ? FRAG_CHECK_NS : FRAG_CHECK_LONG_NS;
}

/* Until there is work, or it is time to look. A machine that is never to be proactive is not woken for it. */
static void kcompactd_sleep(struct pglist_data *node, uint64_t look)
{
	trace_mm_compaction_kcompactd_sleep(node->nid);
	if (READ_ONCE(machine()->sysctl_compaction_proactiveness))
		wait_event_until(&node->kcompactd_wait, kcompactd_has_work(node), look);
	else
		wait_event(&node->kcompactd_wait, kcompactd_has_work(node));
}

void kcompactd(void *arg)
{
	struct pglist_data *node = arg;
	uint64_t look = port_now_ns() + FRAG_CHECK_NS;

	atomic_store(&node->kcompactd_running, true);
	while (!atomic_load(&node->kcompactd_stop)) {
		kcompactd_sleep(node, look);
		if (atomic_load(&node->kcompactd_stop))
			break;
		if (atomic_load(&node->kcompactd_max_order))
			kcompactd_do_work(node);
		else
			look = port_now_ns() + kcompactd_look(node);
	}
	atomic_store(&node->kcompactd_running, false);
}

void kcompactd_stop(struct pglist_data *node)
{
	atomic_store(&node->kcompactd_stop, true);
	wake_up(&node->kcompactd_wait);
	while (atomic_load(&node->kcompactd_running))
		port_block_until(port_now_ns() + KCOMPACTD_STOP_NS);
}

int kcompactd_run(void)
{
	char name[16];
	int err = 0;

	for (unsigned nid = 0; nid < machine()->nr_nodes && !err; nid++) {
		format(name, sizeof(name), "kcompactd%u", nid);
		err = port_kthread_start(name, kcompactd, &machine()->node[nid]);
	}
	return err;
}
