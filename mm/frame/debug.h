/*
 * debug.h - debug.c for the rest of mm/frame.
 */
#ifndef MM_FRAME_DEBUG_H
#define MM_FRAME_DEBUG_H

#include "mm/frame/internal.h"

#define CALLER ((uintptr_t)__builtin_return_address(0))

void page_debug_init(void); /* before the first frame is free */

/* What is known about a frame, to the log: its state, why, its history. */
void dump_page(const struct page *page, const char *why);

/* The same, and stop. caller: an address in who met it. */
NORETURN NOINLINE void bad_page(struct page *page, const char *why, uintptr_t caller);

/* While machine()->careful: a block has left the free lists and is not yet in use; a frame is about to join them. */
void page_allocated(struct page *page, unsigned order, gfp_t gfp, uintptr_t caller);
void page_freed(struct page *page, uintptr_t caller);

/* Out of use beside a block that somebody has (buddy.c)? Approximate without (Z). */
bool page_is_guard(const struct page *page);

/* Free frames get a kernel address, or lose it; nothing unless machine()->debug_pagealloc. */
void map_frames(struct page *page, unsigned n, bool present);

/* A block is no guard any more. */
void check_guard(struct page *page, unsigned order, uintptr_t caller);

/* Frames [start, end) are about to be the buddy's for the first time; while machine()->poison. */
void poison_range(pfn_t start, pfn_t end);

#endif
