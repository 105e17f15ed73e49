/*
 * ring.c - records into this CPU's ring (layout: header.h).
 *
 *      data  |  free  | record | record | record |  free  |
 *                     ^ tail (host)              ^ head (this CPU)
 *
 * head - tail bytes are waiting to be read and are not touched. A record that has no room is counted as lost;
 * nothing is overwritten, so what a reader sees is a beginning of the truth, without holes but those that `lost`
 * announces. A record is written first and then published by the store of head. Interrupts are off from the
 * look at head to that store: an event of an interrupt comes wholly before or wholly after.
 *
 * Sizes are multiples of 8 and a record's header is 16, so 8 bytes may be left at the end of the data: too
 * few for a pad record. They are skipped by rule: a reader that finds fewer than 16 bytes to the end goes on
 * at the start.
 */
#include <quire/trace.h>

static void put_record(struct trace_record *r, enum trace_event event, unsigned nargs,
                       const uint64_t *args)
{
	uint64_t *out = (uint64_t *)(r + 1);

	*r = (struct trace_record){
	        .ns = port_now_ns(),
	        .event = (uint16_t)event,
	        .nargs = (uint8_t)nargs,
	        .flags = in_interrupt() ? TRACE_IRQ : 0,
	        .pid = current_pid(),
	};
	for (unsigned i = 0; i < nargs; i++)
		out[i] = args[i];
}

/* The gap to the end of the data, as one record whose arguments mean nothing. */
static void put_pad(struct trace_record *r, uint64_t gap)
{
	if (gap >= sizeof(*r))
		*r = (struct trace_record){.event = TRACE_PAD,
		                           .nargs = (uint8_t)((gap - sizeof(*r)) / 8)};
}

static void lose(struct trace_ring *ring)
{
	uint64_t lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);

	atomic_store_explicit(&ring->lost, lost + 1, memory_order_relaxed);
}

void trace_emit(enum trace_event event, unsigned nargs, const uint64_t *args)
{
	irq_state_t irq = irq_save();
	struct cpu_area *cpu = this_cpu();
	struct trace_ring *ring = cpu->ring;
	uint64_t size = sizeof(struct trace_record) + 8 * (uint64_t)nargs, head, used, at, gap;

	if (!ring)
		goto out;
	head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	used = head - atomic_load_explicit(&ring->tail, memory_order_acquire);
	at = head & (cpu->ring_size - 1);
	gap = cpu->ring_size - at < size ? cpu->ring_size - at : 0;
	/* The host writes tail: a tail that was never possible reads as a full ring. */
	if (used > cpu->ring_size || cpu->ring_size - used < size + gap) {
		lose(ring);
		goto out;
	}
	if (gap) {
		put_pad((struct trace_record *)(cpu->ring_data + at), gap);
		at = 0;
	}
	put_record((struct trace_record *)(cpu->ring_data + at), event, nargs, args);
	atomic_store_explicit(&ring->head, head + gap + size, memory_order_release);
out:
	irq_restore(irq);
}

/* Largest power of two that is not above x. */
static uint64_t round_down_pow2(uint64_t x)
{
	return x ? 1ull << (63 - __builtin_clzll(x)) : 0;
}

void trace_init(phys_t base, uint64_t size)
{
	struct machine *m = machine();
	uint64_t share = ALIGN_DOWN(size / m->nr_cpus, (uint64_t)PAGE_SIZE);
	uint64_t data = share > PAGE_SIZE ? round_down_pow2(share - PAGE_SIZE) : 0;

	if (data < PAGE_SIZE) {
		port_log("trace: %lu bytes are too few for %u CPUs: no tracing",
		         (unsigned long)size, m->nr_cpus);
		return;
	}
	for (unsigned i = 0; i < m->nr_cpus; i++) {
		phys_t at = PHYS(base.a + i * share);
		struct trace_ring *ring = phys_to_virt(at);
		struct cpu_area *cpu = m->cpu[i];

		/* Ring header in a page of its own, so that the data is page aligned. */
		*ring = (struct trace_ring){.data_paddr = at.a + PAGE_SIZE, .data_size = data};
		cpu->ring_data = phys_to_virt(PHYS(ring->data_paddr));
		cpu->ring_size = data;
		cpu->ring = ring;
	}
	m->trace_on = true;
}
