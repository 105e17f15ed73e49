/*
 * points.c - every access to shared memory is a point of the schedule.
 *
 * The compiler's -fsanitize=thread puts a call before each load and store and makes a call of each atomic operation. In
 * build/unit-sched those calls come here instead of to the thread sanitizer's runtime: the scheduler of a
 * deterministic machine may then let another CPU go on between any two accesses of mm/, as on a real machine
 * (sequentially consistent: reordering by the CPU is not tried).
 *
 * Only what CPUs share is a point: descriptors, memory, the machine. Atomic operations always are.
 */
#include "host/schedule.h"

bool host_sees_accesses = true;

static inline bool shared(const volatile void *at)
{
	const struct host_machine *h = this_host();
	const uintptr_t a = (uintptr_t)at;

	return a - (uintptr_t)h->ram < h->phys_size ||
	       a - (uintptr_t)h->mem_map < h->mem_map_size || a - (uintptr_t)h < sizeof(*h);
}

void (*host_access_hook)(const volatile void *at, bool stores);

/* What the hook itself does is not seen. */
static void see(const volatile void *at, bool stores)
{
	void (*hook)(const volatile void *, bool) = host_access_hook;

	host_access_hook = NULL;
	hook(at, stores);
	host_access_hook = hook;
}

static inline void access_point(const volatile void *at, bool stores)
{
	if (host_access_hook)
		see(at, stores);
	if (host.watch & HOST_WATCH_SCHEDULE && shared(at))
		schedule_access(this_host()->schedule);
}

static inline void atomic_point(const volatile void *at, bool stores)
{
	if (host_access_hook)
		see(at, stores);
	if (host.watch & HOST_WATCH_SCHEDULE)
		schedule_point(this_host()->schedule);
}

static inline void fence_point(void)
{
	if (host.watch & HOST_WATCH_SCHEDULE)
		schedule_point(this_host()->schedule);
}

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(UNUSED void *pc)
{
}

void __tsan_func_exit(void)
{
}

/* clang-format off */
#define ACCESS(name, stores)                \
	void __tsan_##name(void *at);       \
	void __tsan_##name(void *at)        \
	{                                   \
		access_point(at, stores);   \
	}
#define ACCESSES(n)                                                                  \
	ACCESS(read##n, false) ACCESS(write##n, true)                                \
	ACCESS(unaligned_read##n, false) ACCESS(unaligned_write##n, true)            \
	ACCESS(volatile_read##n, false) ACCESS(volatile_write##n, true)              \
	ACCESS(unaligned_volatile_read##n, false)                                    \
	ACCESS(unaligned_volatile_write##n, true)                                    \
	ACCESS(read_write##n, true) ACCESS(unaligned_read_write##n, true)
ACCESSES(1) ACCESSES(2) ACCESSES(4) ACCESSES(8) ACCESSES(16)

#define RANGE(name, stores)                           \
	void __tsan_##name(void *at, size_t n);       \
	void __tsan_##name(void *at, UNUSED size_t n) \
	{                                             \
		access_point(at, stores);             \
	}
RANGE(read_range, false) RANGE(write_range, true)

/* clang's, for the copies and fills of the source. */
void *__tsan_memcpy(void *to, const void *from, size_t n);
void *__tsan_memcpy(void *to, const void *from, size_t n)
{
	access_point(to, true);
	return memcpy(to, from, n);
}

void *__tsan_memmove(void *to, const void *from, size_t n);
void *__tsan_memmove(void *to, const void *from, size_t n)
{
	access_point(to, true);
	return memmove(to, from, n);
}

void *__tsan_memset(void *at, int value, size_t n);
void *__tsan_memset(void *at, int value, size_t n)
{
	access_point(at, true);
	return memset(at, value, n);
}

/* Everything is done in the strongest order: the schedule is one order of all steps anyway. */
#define MODIFY(bits, name)                                                                      \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile void *at, uint##bits##_t v, int order); \
	uint##bits##_t __tsan_atomic##bits##_##name(volatile void *at, uint##bits##_t v,        \
						    UNUSED int order)                           \
	{                                                                                       \
		atomic_point(at, true);                                                         \
		return __atomic_##name((volatile uint##bits##_t *)at, v, __ATOMIC_SEQ_CST);     \
	}
#define EXCHANGE(bits, kind)                                                                        \
	int __tsan_atomic##bits##_compare_exchange_##kind(volatile void *at, void *old,             \
		uint##bits##_t v, int order, int failure);                                          \
	int __tsan_atomic##bits##_compare_exchange_##kind(volatile void *at, void *old,             \
		uint##bits##_t v, UNUSED int order, UNUSED int failure)                             \
	{                                                                                           \
		atomic_point(at, true);                                                             \
		return __atomic_compare_exchange_n((volatile uint##bits##_t *)at,                   \
			(uint##bits##_t *)old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
	}
/* clang's form: returns what was there. */
#define EXCHANGE_VALUE(bits)                                                                        \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile void *at,                \
		uint##bits##_t old, uint##bits##_t v, int order, int failure);                      \
	uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile void *at,                \
		uint##bits##_t old, uint##bits##_t v, UNUSED int order, UNUSED int failure)         \
	{                                                                                           \
		atomic_point(at, true);                                                             \
		__atomic_compare_exchange_n((volatile uint##bits##_t *)at, &old, v, false,          \
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                        \
		return old;                                                                         \
	}
#define ATOMIC(bits)                                                                                \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile void *at, int order);              \
	uint##bits##_t __tsan_atomic##bits##_load(const volatile void *at, UNUSED int order)        \
	{                                                                                           \
		atomic_point(at, false);                                                            \
		return __atomic_load_n((const volatile uint##bits##_t *)at, __ATOMIC_SEQ_CST);      \
	}                                                                                           \
	void __tsan_atomic##bits##_store(volatile void *at, uint##bits##_t v, int order);           \
	void __tsan_atomic##bits##_store(volatile void *at, uint##bits##_t v, UNUSED int order)     \
	{                                                                                           \
		atomic_point(at, true);                                                             \
		__atomic_store_n((volatile uint##bits##_t *)at, v, __ATOMIC_SEQ_CST);               \
	}                                                                                           \
	uint##bits##_t __tsan_atomic##bits##_exchange(volatile void *at, uint##bits##_t v, int order); \
	uint##bits##_t __tsan_atomic##bits##_exchange(volatile void *at, uint##bits##_t v,          \
						      UNUSED int order)                             \
	{                                                                                           \
		atomic_point(at, true);                                                             \
		return __atomic_exchange_n((volatile uint##bits##_t *)at, v, __ATOMIC_SEQ_CST);     \
	}                                                                                           \
	MODIFY(bits, fetch_add) MODIFY(bits, fetch_sub) MODIFY(bits, fetch_and) MODIFY(bits, fetch_or) \
	MODIFY(bits, fetch_xor) MODIFY(bits, fetch_nand) EXCHANGE(bits, strong) EXCHANGE(bits, weak) \
	EXCHANGE_VALUE(bits)
ATOMIC(8) ATOMIC(16) ATOMIC(32) ATOMIC(64)
        /* clang-format on */

        void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(UNUSED int order)
{
	fence_point();
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(UNUSED int order)
{
	fence_point();
}
