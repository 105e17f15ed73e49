/*
 * shrinker.c - asking those who keep objects only for speed to give some back.
 *
 * How many each is asked for: of the objects it could free, 1/2^priority, times 4, by what making one again costs
 * (seeks). Less than a batch is not worth a call; it is remembered and asked for with the next round, so that small
 * caches are not spared for ever. Source: Linux 6.1's do_shrink_slab, as documented.
 *
 * Shrinkers allocate, and allocation reclaims: whoever is inside does not come in again. So one task at a time walks the
 * list, and others are told that nothing was freed.
 */
#include "mm/slab/internal.h"

void register_shrinker(struct shrinker *shrinker)
{
	shrinker->nr_deferred = 0;
	mutex_lock(&slab_state()->shrinker_lock);
	list_add_tail(&shrinker->list, &slab_state()->shrinkers);
	mutex_unlock(&slab_state()->shrinker_lock);
}

void unregister_shrinker(struct shrinker *shrinker)
{
	mutex_lock(&slab_state()->shrinker_lock);
	list_del(&shrinker->list);
	mutex_unlock(&slab_state()->shrinker_lock);
}

static uint64_t share(const struct shrinker *shrinker, uint64_t freeable, unsigned priority)
{
	if (!shrinker->seeks)
		return freeable / 2;
	return (freeable >> priority) * 4 / shrinker->seeks;
}

static uint64_t shrink_one(struct shrinker *shrinker, gfp_t gfp, unsigned priority)
{
	struct shrink_control sc = {.gfp = gfp};
	uint64_t batch = shrinker->batch ? shrinker->batch : SHRINK_BATCH, freed = 0;
	uint64_t freeable = shrinker->count_objects(shrinker, &sc), wanted;

	if (!freeable)
		return 0;
	wanted = MIN(shrinker->nr_deferred + share(shrinker, freeable, priority), 2 * freeable);
	while (wanted >= batch || (wanted && wanted >= freeable)) {
		uint64_t n;

		sc.nr_to_scan = sc.nr_scanned = MIN(batch, wanted);
		n = shrinker->scan_objects(shrinker, &sc);
		if (n == SHRINK_STOP)
			break;
		freed += n;
		wanted -= MIN(sc.nr_scanned, wanted);
		if (!sc.nr_scanned)
			break;
	}
	shrinker->nr_deferred = wanted;
	count_n(SLABS_SCANNED, freed);
	trace_mm_shrink_slab_end((uintptr_t)shrinker, freeable, wanted, freed, priority);
	return freed;
}

uint64_t shrink_slab(gfp_t gfp, unsigned priority)
{
	struct slab_state *st = slab_state();
	struct shrinker *shrinker;
	uint64_t freed = 0;

	if (!mutex_trylock(&st->shrinker_lock))
		return 0;
	list_for_each_entry(shrinker, &st->shrinkers, list)
		freed += shrink_one(shrinker, gfp, priority);
	mutex_unlock(&st->shrinker_lock);
	return freed;
}
