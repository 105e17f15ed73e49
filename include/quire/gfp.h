/*
 * gfp.h - how an allocation of frames may go about it ("get free pages").
 *
 * Names and meanings are Linux 6.1's (include/linux/gfp_types.h as documented in
 * Documentation/core-api/memory-allocation) and those of lecture 002; older names of the
 * lectures (__GFP_WAIT, __GFP_COLD, __GFP_REPEAT) are kept beside the new ones.
 */
#ifndef QUIRE_GFP_H
#define QUIRE_GFP_H

#include <quire/types.h>

typedef uint32_t gfp_t;

/* Zone modifiers: the highest zone that will do. None: NORMAL. */
#define __GFP_DMA     0x01u
#define __GFP_HIGHMEM 0x02u
#define __GFP_DMA32   0x04u
#define __GFP_MOVABLE 0x08u /* with HIGHMEM: ZONE_MOVABLE; alone: groups with movable pages */

/* Mobility and placement. */
#define __GFP_RECLAIMABLE 0x10u /* can be freed by shrinkers: groups with its like */
#define __GFP_HARDWALL    0x20u /* only nodes that the task is allowed */
#define __GFP_THISNODE    0x40u /* this node or fail */
#define __GFP_ACCOUNT     0x80u

/* Watermarks: how deep into the reserve. */
#define __GFP_HIGH       0x100u /* a quarter to a half below min */
#define __GFP_ATOMIC     0x200u /* cannot wait, and is worth the reserve */
#define __GFP_MEMALLOC   0x400u /* frees more than it takes: all of the reserve */
#define __GFP_NOMEMALLOC 0x800u /* never the reserve */

/* Reclaim: what may be done to find memory. */
#define __GFP_IO             0x1000u
#define __GFP_FS             0x2000u
#define __GFP_DIRECT_RECLAIM 0x4000u /* the caller may sleep */
#define __GFP_KSWAPD_RECLAIM 0x8000u
#define __GFP_NORETRY        0x10000u /* one round of reclaim, then fail */
#define __GFP_RETRY_MAYFAIL  0x20000u
#define __GFP_NOFAIL         0x40000u /* never NULL: waits for ever */
#define __GFP_RECLAIM        (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define __GFP_WAIT           __GFP_DIRECT_RECLAIM
#define __GFP_REPEAT         __GFP_RETRY_MAYFAIL

/* Actions. */
#define __GFP_ZERO   0x80000u
#define __GFP_COMP   0x100000u /* an order above 0 becomes one compound page */
#define __GFP_NOWARN 0x200000u
#define __GFP_COLD   0x400000u /* from the cold end of the per-CPU list */
#define __GFP_WRITE  0x800000u

#define GFP_ATOMIC           (__GFP_HIGH | __GFP_ATOMIC | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT           (__GFP_KSWAPD_RECLAIM)
#define GFP_NOIO             (__GFP_RECLAIM)
#define GFP_NOFS             (__GFP_RECLAIM | __GFP_IO)
#define GFP_KERNEL           (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_USER             (GFP_KERNEL | __GFP_HARDWALL)
#define GFP_HIGHUSER         (GFP_USER | __GFP_HIGHMEM)
#define GFP_HIGHUSER_MOVABLE (GFP_HIGHUSER | __GFP_MOVABLE)
#define GFP_DMA              __GFP_DMA
#define GFP_DMA32            __GFP_DMA32

#endif
