/*
 * kva.h - kernel addresses beyond the direct map (mm/kva). Lectures 001, 002, 004.
 */
#ifndef QUIRE_KVA_H
#define QUIRE_KVA_H

#include <quire/gfp.h>
#include <quire/mmu.h>

/*
 * Contiguous kernel addresses over scattered frames, with an unmapped guard page behind. Page aligned; from 2 MB on
 * aligned to 2 MB and mapped by large pages as far as there are any. NULL: no memory or no room. Sleeps.
 */
void *vmalloc(size_t size);
void *vzalloc(size_t size);

/*
 * With gfp, which lets the caller sleep: frames, tables and description are asked for as it says (GFP_NOFS, GFP_NOIO).
 * __GFP_NOFAIL never gives up for lack of memory.
 */
void *__vmalloc(size_t size, gfp_t gfp);

/* Frames of that node first, then of the next by distance; -1: as vmalloc. */
void *vmalloc_node(size_t size, int nid);
void *vzalloc_node(size_t size, int nid);

/* Frames below 4 GB: for devices with addresses of 32 bits. */
void *vmalloc_32(size_t size);

/* Between start and end only. */
void *vmalloc_range(size_t size, vaddr_t start, vaddr_t end, gfp_t gfp);

/*
 * NULL is nothing. vfree() sleeps, but in an interrupt or with interrupts off it does as vfree_atomic(), which is for any
 * context: the memory comes back with the next call of this module that may sleep.
 */
void vfree(void *addr);
void vfree_atomic(void *addr);

/*
 * Other people's frames side by side; they stay the caller's. Ordinary, cached mappings alone, as
 * they have in the direct map: mmu_bits with a cache attribute are refused. Sleep.
 */
void *vmap(struct page **pages, unsigned n, unsigned mmu_bits);
void vunmap(void *addr);

/* Flush what was unmapped lazily: addresses and the memory that describes them come back. Sleeps. */
void vm_unmap_aliases(void);
bool is_vmalloc_addr(const void *addr);
struct page *vmalloc_to_page(const void *addr); /* NULL: not mapped, or no memory. Any context */

/* kmalloc when the size allows, else vmalloc. */
void *kvmalloc(size_t size, gfp_t gfp);
void kvfree(void *p);

/*
 * Map device registers or device memory, of any address and size. NULL and a line in the log: it is RAM, or
 * mapped already in a way that cannot be reconciled. A range that has another mapping gets that one's
 * attribute where it is as strict (mm/kva/ioremap.c). Sleep.
 *
 *   ioremap         uncached, but a write-combining range stays one (UC-)
 *   ioremap_uc      uncached
 *   ioremap_wc      writes are gathered: frame buffers
 *   ioremap_cache   cached: memory that is no RAM of ours
 */
void *ioremap(phys_t phys, size_t size);
void *ioremap_uc(phys_t phys, size_t size);
void *ioremap_wc(phys_t phys, size_t size);
void *ioremap_cache(phys_t phys, size_t size);
void iounmap(void *addr);

/* The area [start, end) of kernel addresses that vmalloc may use; tables above it are made on demand. */
void kva_init(vaddr_t start, vaddr_t end);

/*
 * Row 3.6: root entries of the master table are copied into a space when it is made. One made later is copied on
 * the first fault of that space: true if there is something to see at va now (try the access again). Called by the
 * arch's fault handler for a kernel address that was not present; any context.
 */
bool pt_sync_kernel_root(struct mmu_space *space, vaddr_t va);

/* --- /proc/vmallocinfo, /proc/meminfo ------------------------------------------------------------- */

enum vmalloc_kind { VMALLOC_ALLOC, VMALLOC_MAP, VMALLOC_IOREMAP, VMALLOC_UNPURGED };

struct vmalloc_info {
	vaddr_t start, end; /* end: behind the guard */
	enum vmalloc_kind kind;
	const void *caller;
	uint64_t pages;                 /* without the guard */
	phys_t phys;                    /* of VMALLOC_IOREMAP */
	uint32_t on_node[MAX_NUMNODES]; /* pages of VMALLOC_ALLOC */
};

/* The first area at or after from, as it is at this moment. False: no more. */
bool vmalloc_info_next(vaddr_t from, struct vmalloc_info *out);
uint64_t vmalloc_used_pages(void);  /* that vmalloc has allocated */
uint64_t vmalloc_chunk_pages(void); /* the largest free piece of the range */

const char *kva_check(void);

#endif
