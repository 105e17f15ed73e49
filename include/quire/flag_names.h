/*
 * flag_names.h - the names of flags, once, for the manager's reports and for the command's trace.
 */
#ifndef QUIRE_FLAG_NAMES_H
#define QUIRE_FLAG_NAMES_H

#include <quire/gfp.h>

/* The formatter would indent these further with each run. */
/* clang-format off */
/* Whole masks first: the longest name that fits is printed. */
#define GFP_FLAG_NAMES(F)                                                                       \
	F(GFP_HIGHUSER_MOVABLE) F(GFP_HIGHUSER) F(GFP_USER) F(GFP_KERNEL) F(GFP_NOFS)           \
	F(GFP_ATOMIC) F(GFP_NOIO) F(GFP_NOWAIT) F(__GFP_DMA) F(__GFP_HIGHMEM)                   \
	F(__GFP_DMA32) F(__GFP_MOVABLE) F(__GFP_RECLAIMABLE) F(__GFP_HARDWALL)                  \
	F(__GFP_THISNODE) F(__GFP_ACCOUNT) F(__GFP_HIGH) F(__GFP_ATOMIC) F(__GFP_MEMALLOC)      \
	F(__GFP_NOMEMALLOC) F(__GFP_IO) F(__GFP_FS) F(__GFP_DIRECT_RECLAIM)                     \
	F(__GFP_KSWAPD_RECLAIM) F(__GFP_NORETRY) F(__GFP_RETRY_MAYFAIL) F(__GFP_NOFAIL)         \
	F(__GFP_ZERO) F(__GFP_COMP) F(__GFP_NOWARN) F(__GFP_COLD) F(__GFP_WRITE)

/* PG_name, in the order of the bits (page.h). */
#define PAGE_FLAG_NAMES(F)                                                                      \
	F(locked) F(waiters) F(referenced) F(uptodate) F(dirty) F(lru) F(active)                \
	F(swapbacked) F(unevictable) F(slab) F(writeback) F(reclaim) F(buddy) F(swapcache)      \
	F(head) F(tail) F(mlocked) F(reserved) F(table) F(kstack) F(vmalloc) F(error)
/* clang-format on */

#endif
