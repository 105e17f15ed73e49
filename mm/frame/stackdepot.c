/*
 * stackdepot.c - call chains, each kept once (Linux's stack depot; Potapenko 2016).
 *
 * A million frames are allocated from a few hundred places. So who notes for each frame where it came from keeps a handle of 4
 * bytes, and the chain of return addresses, up to 16, is kept once: in a hash table of lists without locks.
 *
 *     table[hash] --> record {next, hash, n, address[n]} --> record --> none
 *                     \________ in one piece of memory, filled from its start, never freed ________/
 *
 * A record is complete before it is linked in by compare-and-exchange, and never changes. Two CPUs may add the same chain at once,
 * and then there are two of it: that wastes room, and nothing else. When the piece is full, new chains are not kept.
 *
 * The memory is taken at boot, for chains are noted while frames are allocated. A handle is the record's place in units of 8
 * bytes, 0 is none.
 */
#include "lib/hash.h"
#include "mm/frame/internal.h"
#include "mm/frame/stackdepot.h"

#include <quire/symbol.h>

#define TABLE_BITS 12u
#define TABLE_SIZE (1u << TABLE_BITS)
#define UNIT       8u

/* 16 bytes for each frame, within these. */
#define LEAST_BYTES (128ull << 10)
#define MOST_BYTES  (1ull << 20)

struct stack_record {
	uint32_t next; /* handle */
	uint32_t hash;
	uint32_t n;
	uintptr_t address[];
};

/* At the start of the piece; records follow. */
struct stack_depot {
	_Atomic uint32_t table[TABLE_SIZE]; /* handles */
	_Atomic uint32_t used;              /* units, this head included */
	uint32_t size;                      /* units */
};

static struct stack_record *record_of(struct stack_depot *depot, stack_handle_t handle)
{
	return (struct stack_record *)((char *)depot + (size_t)handle * UNIT);
}

bool stack_depot_init(void)
{
	struct machine *m = machine();
	const uint64_t room = MIN(MAX(m->max_pfn * 16, LEAST_BYTES), MOST_BYTES);
	const phys_t at = memblock_alloc(room, PAGE_SIZE, m->config.lowmem_end);

	m->stack_depot = at.a ? phys_to_virt(at) : NULL;
	if (!at.a)
		return false;
	__builtin_memset(m->stack_depot, 0, sizeof(*m->stack_depot));
	m->stack_depot->used = (uint32_t)((sizeof(*m->stack_depot) + UNIT - 1) / UNIT);
	m->stack_depot->size = (uint32_t)(room / UNIT);
	return true;
}

static uint32_t hash_chain(const uintptr_t *address, unsigned n)
{
	uint64_t hash = n;

	for (unsigned i = 0; i < n; i++)
		hash = hash_combine(hash, address[i]);
	return (uint32_t)(hash ^ hash >> 32);
}

static bool same_chain(const struct stack_record *r, uint32_t hash, const uintptr_t *address,
                       unsigned n)
{
	return r->hash == hash && r->n == n &&
	       !__builtin_memcmp(r->address, address, n * sizeof(*address));
}

static stack_handle_t find(struct stack_depot *depot, uint32_t hash, const uintptr_t *address,
                           unsigned n)
{
	stack_handle_t handle =
	        atomic_load_explicit(&depot->table[hash % TABLE_SIZE], memory_order_acquire);

	while (handle && !same_chain(record_of(depot, handle), hash, address, n))
		handle = record_of(depot, handle)->next;
	return handle;
}

/* Room for a record of n addresses; 0: there is none. */
static stack_handle_t take_room(struct stack_depot *depot, unsigned n)
{
	const size_t bytes = sizeof(struct stack_record) + n * sizeof(uintptr_t);
	const uint32_t units = (uint32_t)((bytes + UNIT - 1) / UNIT);
	uint32_t used = atomic_load_explicit(&depot->used, memory_order_relaxed);

	do
		if (used + units > depot->size)
			return 0;
	while (!atomic_compare_exchange_weak_explicit(&depot->used, &used, used + units,
	                                              memory_order_relaxed, memory_order_relaxed));
	return used;
}

static stack_handle_t add(struct stack_depot *depot, uint32_t hash, const uintptr_t *address,
                          unsigned n)
{
	_Atomic uint32_t *head = &depot->table[hash % TABLE_SIZE];
	const stack_handle_t handle = take_room(depot, n);
	struct stack_record *r;
	uint32_t first;

	if (!handle)
		return 0;
	r = record_of(depot, handle);
	r->hash = hash;
	r->n = n;
	__builtin_memcpy(r->address, address, n * sizeof(*address));
	first = atomic_load_explicit(head, memory_order_relaxed);
	do
		r->next = first;
	while (!atomic_compare_exchange_weak_explicit(head, &first, handle, memory_order_release,
	                                              memory_order_relaxed));
	return handle;
}

stack_handle_t stack_depot_save(uintptr_t from)
{
	struct stack_depot *depot = machine()->stack_depot;
	uintptr_t address[STACK_DEPTH + 8];
	unsigned n, skip = 0;
	stack_handle_t handle;
	uint32_t hash;

	n = depot ? port_stack_trace(address, ARRAY_SIZE(address)) : 0;
	while (skip < n && address[skip] != from)
		skip++;
	if (skip == n)
		skip = 0;
	n = MIN(n - skip, STACK_DEPTH);
	if (!n)
		return 0;
	hash = hash_chain(address + skip, n);
	handle = find(depot, hash, address + skip, n);
	return handle ? handle : add(depot, hash, address + skip, n);
}

unsigned stack_depot_fetch(stack_handle_t handle, const uintptr_t **address)
{
	const struct stack_record *r;

	if (!handle)
		return 0;
	r = record_of(machine()->stack_depot, handle);
	*address = r->address;
	return r->n;
}

void stack_depot_log(stack_handle_t handle, uintptr_t caller)
{
	const uintptr_t *address = &caller;
	unsigned n = stack_depot_fetch(handle, &address);
	char name[KSYM_SYMBOL_LEN];

	for (unsigned i = 0; i < MAX(n, 1u); i++)
		port_log(" %s", sprint_backtrace(name, address[i]));
}
