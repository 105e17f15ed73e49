/*
 * types.h - the words that every other header speaks.
 *
 * Freestanding C11: nothing here comes from a C library. Quantities that must
 * not be mixed up have one-member structs (pfn_t, phys_t), so that passing a
 * frame number where an address is meant is a compile error.
 */
#ifndef QUIRE_TYPES_H
#define QUIRE_TYPES_H

#include <stdalign.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* C11's keyword under the name that <assert.h> gives it, for there is no <assert.h> here. */
#ifndef static_assert
#define static_assert _Static_assert
#endif

#define PAGE_SHIFT 12
#define PAGE_SIZE  ((size_t)1 << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

/* A physical page frame number: physical address >> PAGE_SHIFT. */
typedef struct {
	uint32_t n;
} pfn_t;

/* A physical address, in bytes. */
typedef struct {
	uint64_t a;
} phys_t;

/* A virtual address of a process or of the kernel, in bytes. Arithmetic on it is common: plain. */
typedef uint64_t vaddr_t;

#define PFN_NONE_N UINT32_MAX
#define PFN(x)     ((pfn_t){(uint32_t)(x)})
#define PHYS(x)    ((phys_t){(uint64_t)(x)})

static inline phys_t pfn_to_phys(pfn_t pfn)
{
	return PHYS((uint64_t)pfn.n << PAGE_SHIFT);
}

static inline pfn_t phys_to_pfn(phys_t phys)
{
	return PFN(phys.a >> PAGE_SHIFT);
}

#define MUST_USE      __attribute__((warn_unused_result))
#define NORETURN      __attribute__((noreturn))
#define PRINTF(f, a)  __attribute__((format(printf, f, a)))
#define CACHELINE     64
#define CACHE_ALIGNED __attribute__((aligned(CACHELINE)))
#define NOINLINE      __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNUSED        __attribute__((unused))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a)            (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, m) ((type *)((char *)(p)-offsetof(type, m)))
#define MIN(a, b)                ((a) < (b) ? (a) : (b))
#define MAX(a, b)                ((a) > (b) ? (a) : (b))
#define ALIGN_DOWN(x, a)         ((x) & ~((__typeof__(x))(a)-1))
#define ALIGN_UP(x, a)           (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define DIV_ROUND_UP(x, d)       (((x) + (d)-1) / (d))

/* One read or write of a variable that another CPU may change at the same time. */
#define READ_ONCE(x)     __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* The compiler forgets what it knows about v. No instruction. */
#define HIDE_VAR(v) __asm__("" : "+r"(v))

#define PAGE_ALIGN(x)  ALIGN_UP((x), PAGE_SIZE)
#define PAGES_OF(size) (((size) + PAGE_SIZE - 1) >> PAGE_SHIFT)

/* Pointers that carry a small negative errno, as Linux's ERR_PTR: for constructors with several ways to fail. */
#define MAX_ERRNO 4095

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *p)
{
	return (long)p;
}

static inline bool IS_ERR(const void *p)
{
	return unlikely((uintptr_t)p >= (uintptr_t)-MAX_ERRNO);
}

#endif
