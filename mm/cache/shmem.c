/*
 * shmem.c - memory that is shared without a file system (mechanism 5.8): MAP_SHARED | MAP_ANONYMOUS, System V segments.
 *
 * It is a file without a name or a store: its pages are the only copy, are zeros when new, and count as
 * shared memory. The last mapping or holder of the vm_file frees it.
 */
#include <quire/errno.h>
#include "lib/string.h"
#include "mm/cache/filemap.h"
#include "mm/space/space.h"

#define SHMEM_NAME_LEN 48

struct shmem_file {
	struct vm_file file;
	struct address_space mapping;
	char name[SHMEM_NAME_LEN];
};

const struct address_space_operations shmem_aops = {.readpages = NULL};

static struct shmem_file *shmem_of(struct vm_file *file)
{
	return container_of(file, struct shmem_file, file);
}

static void shmem_release(struct vm_file *file)
{
	struct shmem_file *shmem = shmem_of(file);

	address_space_destroy(&shmem->mapping);
	kmem_cache_free(machine()->cache->shmem_cache, shmem);
}

static size_t shmem_path(struct vm_file *file, char *buf, size_t size)
{
	const char *name = shmem_of(file)->name;
	size_t n = strlen(name);

	if (!size)
		return 0;
	n = MIN(n, size - 1);
	memcpy(buf, name, n);
	buf[n] = '\0';
	return n;
}

static const struct vm_file_operations shmem_file_ops = {shmem_release, shmem_path};

void shmem_init(struct cache_state *s)
{
	s->shmem_cache =
	        kmem_cache_create("shmem_file", sizeof(struct shmem_file), 0, SLAB_PANIC, NULL);
}

struct vm_file *shmem_file_setup(const char *name, uint64_t size)
{
	static const char deleted[] = " (deleted)";
	struct shmem_file *shmem;
	size_t n = strlen(name);

	if (overcommit_refuses(PAGES_OF(size)))
		return ERR_PTR(-ENOMEM);
	shmem = kmem_cache_alloc(machine()->cache->shmem_cache, GFP_KERNEL);
	if (!shmem)
		return ERR_PTR(-ENOMEM);
	n = MIN(n, sizeof(shmem->name) - sizeof(deleted));
	memcpy(shmem->name, name, n);
	memcpy(shmem->name + n, deleted, sizeof(deleted));
	refcount_set(&shmem->file.count, 1);
	shmem->file.f_mapping = &shmem->mapping;
	shmem->file.vf_ops = &shmem_file_ops;
	shmem->file.may_write = true;
	shmem->file.noexec = false;
	address_space_init(&shmem->mapping, &shmem_aops, shmem, AS_SHMEM);
	atomic_store_explicit(&shmem->mapping.i_size, size, memory_order_relaxed);
	return &shmem->file;
}
