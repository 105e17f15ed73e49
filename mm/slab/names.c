/*
 * names.c - what caches are called, and looking at them.
 *
 * A name is a word of /proc/slabinfo and a file's in /sys/kernel/slab: printable characters without a space or a slash. It
 * is copied, for a string may go before the cache that is called so.
 *
 * A cache that becomes one with an older one leaves its name as an alias. kmem_cache_destroy() is told a cache, and of
 * several creations it is not known which one ends: therefore aliases stay until the cache ends, or until another is
 * made under that name. (So do Linux's links in /sys/kernel/slab.)
 */
#include "mm/slab/internal.h"

#include "lib/string.h"

static bool name_character(char c)
{
	return c > ' ' && c <= '~' && c != '/';
}

/* If not, the log says so. */
bool slab_name_good(const char *name)
{
	size_t n = 0;

	while (name && n < SLAB_NAME_SIZE && name_character(name[n]))
		n++;
	if (n && n < SLAB_NAME_SIZE && !name[n] && name[0] != '.')
		return true;
	port_log(
	        "kmem_cache_create: bad name, wrong at %u: write 1 to %u printable characters, no space, no /, no . first",
	        (unsigned)n, SLAB_NAME_SIZE - 1);
	return false;
}

/* --- aliases: mutex held ------------------------------------------------------------------------------------ */

/* Mutex held. */
static struct kmem_cache *find_cache(const char *name)
{
	struct kmem_cache *s;

	list_for_each_entry(s, &slab_state()->caches, list)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static struct kmem_cache *find_alias(const char *name)
{
	struct slab_alias *a;

	list_for_each_entry(a, &slab_state()->aliases, list)
		if (!strcmp(a->name, name))
			return a->cache;
	return NULL;
}

static void drop_alias(struct slab_alias *a)
{
	list_del(&a->list);
	kfree(a);
}

void slab_forget_name(const char *name)
{
	struct slab_alias *a, *next;

	list_for_each_entry_safe(a, next, &slab_state()->aliases, list)
		if (!strcmp(a->name, name))
			drop_alias(a);
}

void slab_forget_aliases(const struct kmem_cache *s)
{
	struct slab_alias *a, *next;

	list_for_each_entry_safe(a, next, &slab_state()->aliases, list)
		if (a->cache == s)
			drop_alias(a);
}

void slab_add_alias(struct slab_alias *a, struct kmem_cache *s, const char *name)
{
	if (find_cache(name)) {
		kfree(a);
		return;
	}
	a->cache = s;
	strscpy(a->name, name, sizeof(a->name));
	list_add_tail(&a->list, &slab_state()->aliases);
}

/* --- looking at them ---------------------------------------------------------------------------------------- */

void slab_count_objects(struct kmem_cache *s, struct slabinfo *info)
{
	uint64_t free = s->ops->info(s, info);

	for (unsigned i = 0; i < machine()->nr_cpus; i++)
		free += slab_array_objects(&s->cpu[i]);
	info->active_objs = info->num_objs > free ? info->num_objs - free : 0;
}

static void fill_info(struct kmem_cache *s, struct slabinfo *info)
{
	*info = (struct slabinfo){
	        .objsize = s->size,
	        .objperslab = s->objects,
	        .pagesperslab = 1u << s->order,
	        .object_size = s->object_size,
	        .align = s->align,
	        .flags = s->flags,
	        .aliases = s->refcount - 1,
	        .alloc_fastpath = atomic_load_explicit(&s->alloc_fast, memory_order_relaxed),
	        .alloc_slowpath = atomic_load_explicit(&s->alloc_slow, memory_order_relaxed),
	        .free_fastpath = atomic_load_explicit(&s->free_fast, memory_order_relaxed),
	        .free_slowpath = atomic_load_explicit(&s->free_slow, memory_order_relaxed),
	        .alloc_slab = atomic_load_explicit(&s->new_slabs, memory_order_relaxed),
	        .free_slab = atomic_load_explicit(&s->discarded, memory_order_relaxed),
	};
	strscpy(info->name, s->name, sizeof(info->name));
	slab_count_objects(s, info);
}

static bool next_info(uint64_t *after, struct slabinfo *info)
{
	struct kmem_cache *s;

	mutex_lock(&slab_state()->lock);
	s = slab_next_cache(after);
	if (s)
		fill_info(s, info);
	mutex_unlock(&slab_state()->lock);
	return s != NULL;
}

void slab_for_each(void (*show)(const struct slabinfo *info, void *ctx), void *ctx)
{
	struct slabinfo info;
	uint64_t last = 0;

	while (next_info(&last, &info))
		show(&info, ctx);
}

int slab_find(const char *name, struct slabinfo *info)
{
	struct kmem_cache *s, *alias;

	mutex_lock(&slab_state()->lock);
	s = find_cache(name);
	alias = s ? NULL : find_alias(name);
	if (s || alias)
		fill_info(s ? s : alias, info);
	info->is_alias = alias != NULL;
	mutex_unlock(&slab_state()->lock);
	return s || alias ? 0 : -ENOENT;
}

void slab_for_each_name(void (*show)(const char *name, void *ctx), void *ctx)
{
	struct kmem_cache *s;
	struct slab_alias *a;

	mutex_lock(&slab_state()->lock);
	list_for_each_entry(s, &slab_state()->caches, list)
		show(s->name, ctx);
	list_for_each_entry(a, &slab_state()->aliases, list)
		show(a->name, ctx);
	mutex_unlock(&slab_state()->lock);
}

const char *slab_allocator(void)
{
	return slab_state()->options.ops->name;
}
