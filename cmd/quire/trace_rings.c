/*
 * trace_rings.c - the consumer of the guest's trace rings.
 */
#include "cmd/quire/trace_rings.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_SIZE sizeof(struct trace_record)

static void flush(struct trace_rings *t)
{
	int err = t->error ? 0 : write_all(t->fd, t->out, t->out_len);

	if (err)
		t->error = -err;
	t->out_len = 0;
}

static char *line_room(struct trace_rings *t)
{
	if (t->out_len + TRACE_LINE_MAX > TRACE_OUT_SIZE)
		flush(t);
	return t->out + t->out_len;
}

static void find_ring(struct trace_cpu *c, const struct guest *g, uint64_t paddr)
{
	struct trace_ring *ring = paddr ? guest_at(g, paddr, sizeof(*ring)) : NULL;

	if (!ring || paddr % 8 || ring->data_paddr % 8 || ring->data_size < RECORD_SIZE ||
	    (ring->data_size & (ring->data_size - 1)))
		return;
	c->data = guest_at(g, ring->data_paddr, ring->data_size);
	c->size = ring->data_size;
	if (c->data)
		c->ring = ring;
}

void trace_rings_init(struct trace_rings *t, const struct guest *g, const struct quire_header *h,
                      int fd)
{
	struct buf head = {0};

	*t = (struct trace_rings){.fd = fd, .out = xcalloc(1, TRACE_OUT_SIZE)};
	trace_text_init(&t->text);
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++)
		find_ring(&t->cpu[i], g, h->ring[i]);
	trace_text_header(&head, h->nr_cpus);
	memcpy(t->out, head.data, head.len);
	t->out_len = head.len;
	buf_free(&head);
}

void trace_rings_free(struct trace_rings *t)
{
	trace_text_free(&t->text);
	free(t->out);
}

/* What is no record ends the reading of what the ring holds now. */
static const struct trace_record *damaged(struct trace_rings *t, struct trace_cpu *c)
{
	t->damaged = true;
	c->tail = c->scanned = c->head;
	return NULL;
}

/* The record at *pos or, over padding, after it; NULL when there is none before head. */
static const struct trace_record *record_at(struct trace_rings *t, struct trace_cpu *c,
                                            uint64_t *pos)
{
	while (*pos < c->head) {
		uint64_t at = *pos & (c->size - 1), room = c->size - at;
		const struct trace_record *r = (const void *)(c->data + at);

		if (room >= RECORD_SIZE && r->event != TRACE_PAD) {
			uint64_t size = RECORD_SIZE + r->nargs * sizeof(uint64_t);

			return size > room || size > c->head - *pos ? damaged(t, c) : r;
		}
		if (room > c->head - *pos)
			return damaged(t, c);
		*pos += room; /* a pad record, or too little room for one, goes to the end of the data */
	}
	return NULL;
}

static uint64_t record_size(const struct trace_record *r)
{
	return RECORD_SIZE + r->nargs * sizeof(uint64_t);
}

/* See the ring's head; it cannot be more than its size ahead of what we gave back. */
static void look(struct trace_rings *t, struct trace_cpu *c)
{
	uint64_t head = atomic_load_explicit(&c->ring->head, memory_order_acquire);

	if (head < c->head || head - c->tail > c->size || head % 8) {
		t->damaged = true;
		return;
	}
	c->head = head;
}

static uint64_t scan(struct trace_rings *t, struct trace_cpu *c, uint64_t newest)
{
	const struct trace_record *r;

	while ((r = record_at(t, c, &c->scanned))) {
		newest = MAX(newest, r->ns);
		c->scanned += record_size(r);
	}
	return newest;
}

static void write_lost(struct trace_rings *t, struct trace_cpu *c)
{
	t->out_len += trace_text_lost((unsigned)(c - t->cpu), c->lost, line_room(t));
	t->dropped += c->lost;
	c->lost = 0;
}

/* The CPU whose next record is the oldest, not after limit; NULL if there is none. */
static struct trace_cpu *oldest(struct trace_rings *t, uint64_t limit,
                                const struct trace_record **record)
{
	struct trace_cpu *found = NULL;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct trace_cpu *c = &t->cpu[i];
		const struct trace_record *r = c->ring ? record_at(t, c, &c->tail) : NULL;

		if (r && r->ns <= limit && (!found || r->ns < (*record)->ns)) {
			found = c;
			*record = r;
		}
	}
	return found;
}

static void write_records(struct trace_rings *t, uint64_t limit)
{
	const struct trace_record *r = NULL;
	struct trace_cpu *c;

	while ((c = oldest(t, limit, &r))) {
		if (c->lost && c->tail >= c->lost_at)
			write_lost(t, c);
		t->out_len += trace_text_line(&t->text, (unsigned)(c - t->cpu), r,
		                              (const uint64_t *)(r + 1), line_room(t));
		t->records++;
		c->tail += record_size(r);
	}
}

/* Records were lost behind the head that this round saw: the ring was full from there on. */
static void note_lost(struct trace_cpu *c)
{
	uint64_t lost = atomic_load_explicit(&c->ring->lost, memory_order_relaxed);

	if (lost <= c->lost_seen)
		return;
	if (!c->lost)
		c->lost_at = c->head;
	c->lost += lost - c->lost_seen;
	c->lost_seen = lost;
}

unsigned trace_rings_round(struct trace_rings *t, bool final, bool advance)
{
	uint64_t limit = final ? UINT64_MAX : t->newest, newest = t->newest;
	unsigned fullest = 0;

	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct trace_cpu *c = &t->cpu[i];

		if (!c->ring)
			continue;
		look(t, c);
		note_lost(c);
		fullest = MAX(fullest, (unsigned)((c->head - c->tail) * 256 / c->size));
		newest = scan(t, c, newest);
	}
	write_records(t, limit);
	t->newest = newest;
	for (unsigned i = 0; i < QUIRE_MAX_CPUS; i++) {
		struct trace_cpu *c = &t->cpu[i];

		if (c->ring && advance)
			atomic_store_explicit(&c->ring->tail, c->tail, memory_order_release);
		if (c->ring && final && c->lost)
			write_lost(t, c);
	}
	if (final)
		flush(t);
	return fullest;
}
