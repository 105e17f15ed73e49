/*
 * kva.h - kernel addresses beyond the direct map (mm/kva). Lectures 001, 002, 004.
 */
#ifndef QUIRE_KVA_H
#define QUIRE_KVA_H

#include <quire/gfp.h>
#include <quire/mmu.h>

/*
 * Contiguous kernel addresses over scattered frames, with an unmapped guard page behind. Page aligned.
 * NULL: no memory or no room. Sleeps.
 */
void *vmalloc(size_t size);
void *vzalloc(size_t size);
void *vmap(struct page **pages, unsigned n, unsigned mmu_bits); /* the frames stay the caller's */
void vunmap(void *addr);                                        /* sleeps */
void vfree(void *addr);                                         /* NULL is nothing; sleeps */

/* Flush what was unmapped lazily: addresses and the memory that describes them come back. Sleeps. */
void vm_unmap_aliases(void);
bool is_vmalloc_addr(const void *addr);
struct page *vmalloc_to_page(const void *addr); /* NULL: not mapped */

/* kmalloc when the size allows, else vmalloc. */
void *kvmalloc(size_t size, gfp_t gfp);
void kvfree(void *p);

/* Map device registers, uncached. Sleeps. */
void *ioremap(phys_t phys, size_t size);
void iounmap(void *addr);

/* The area [start, end) of kernel addresses that vmalloc may use; tables above it are made on demand. */
void kva_init(vaddr_t start, vaddr_t end);

/* Calls show for each area in address order (/proc/vmallocinfo). Sleeps. */
void vmalloc_for_each(void (*show)(vaddr_t start, size_t size, unsigned pages, void *ctx), void *ctx);
uint64_t vmalloc_used_pages(void);
const char *kva_check(void);

#endif
