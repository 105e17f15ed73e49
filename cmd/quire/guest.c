/*
 * guest.c - the guest's memory file, or files.
 */
#include "cmd/quire/guest.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIRMWARE_TABLES (1ull << 20) /* no more than this */

/* The rings make the last node that has memory larger, so that who has none still has none. */
static void plan_files(struct guest *g, const struct numa *numa, uint64_t mem)
{
	unsigned last = 0;

	g->nr_files = MAX(numa->nodes, 1u);
	g->file[0].size = mem;
	for (unsigned i = 0; i < numa->nodes; i++) {
		g->file[i].size = numa->mem[i];
		if (numa->mem[i])
			last = i;
	}
	g->file[last].size += g->trace_size;
}

static void map_file(struct guest *g, unsigned i, uint8_t *at)
{
	const uint64_t size = g->file[i].size;
	char text[24];

	g->file[i].fd = size ? memory_file("quire-ram") : -1;
	if (!size)
		return;
	if (ftruncate(g->file[i].fd, (off_t)size) < 0)
		die("no memory file of %s: %s", size_text(size, text), strerror(errno));
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
	         g->file[i].fd, 0) == MAP_FAILED)
		die("cannot map %s of guest memory: %s", size_text(size, text), strerror(errno));
}

static void place_rings(struct guest *g, uint64_t trace_size, uint64_t above)
{
	uint64_t low_end = MIN(g->size, QUIRE_HOLE_START);

	above = ALIGN_UP(above, (uint64_t)PAGE_SIZE) + trace_size;
	if (above + 2 * QUIRE_HEADER_PADDR > low_end)
		die("the trace rings do not fit into memory: lower --trace-size or raise --mem");
	g->trace_paddr = low_end - above;
	g->trace_size = trace_size;
}

void guest_create(struct guest *g, uint64_t mem, const struct numa *numa, uint64_t trace_size,
                  uint64_t archive_size)
{
	uint8_t *at;
	char text[24];

	*g = (struct guest){.size = mem + trace_size};
	if (trace_size)
		place_rings(g, trace_size, archive_size + (numa->nodes ? FIRMWARE_TABLES : 0));
	g->base =
	        mmap(NULL, g->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (g->base == MAP_FAILED)
		die("cannot map %s of guest memory: %s", size_text(g->size, text), strerror(errno));
	plan_files(g, numa, mem);
	at = g->base;
	for (unsigned i = 0; i < g->nr_files; at += g->file[i++].size)
		map_file(g, i, at);
}

void *guest_at(const struct guest *g, uint64_t paddr, uint64_t len)
{
	uint64_t end = MIN(g->size, QUIRE_HOLE_START);

	if (paddr >= QUIRE_HOLE_START + QUIRE_HOLE_SIZE) {
		paddr -= QUIRE_HOLE_SIZE;
		end = g->size;
	}
	if (paddr > end || len > end - paddr)
		return NULL;
	return g->base + paddr;
}

struct quire_header *guest_header(const struct guest *g)
{
	struct quire_header *h = guest_at(g, QUIRE_HEADER_PADDR, PAGE_SIZE);

	if (!h || READ_ONCE(h->magic) != QUIRE_HEADER_MAGIC)
		return NULL;
	atomic_thread_fence(memory_order_acquire);
	if (h->version != QUIRE_HEADER_VERSION || h->header_size != sizeof(*h))
		return NULL;
	return h;
}

void guest_log(const struct guest *g, struct buf *out)
{
	struct quire_header *h = guest_header(g);
	uint64_t head, size, first;
	const char *log;

	if (!h)
		return;
	size = h->log_size;
	log = guest_at(g, h->log_paddr, size);
	if (!log || !size || (size & (size - 1)))
		return;
	head = atomic_load_explicit(&h->log_head, memory_order_acquire);
	first = head > size ? head - size : 0;
	for (uint64_t i = first; i < head;) {
		uint64_t chunk = MIN(head - i, size - i % size);

		buf_add(out, log + i % size, chunk);
		i += chunk;
	}
}
