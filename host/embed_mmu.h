/*
 * embed_mmu.h - what the quire_mmu.h of both hosted machines share, whatever their entries look like: entries are read and
 * written atomically, and a new translation of a kernel address becomes a mapping of the process. Included at their end.
 */
#ifndef HOST_EMBED_MMU_H
#define HOST_EMBED_MMU_H

static inline pte_t pte_read(pte_t *entry)
{
	return (pte_t){__atomic_load_n(&entry->v, __ATOMIC_ACQUIRE)};
}

static inline void pte_set(pte_t *entry, pte_t e)
{
	__atomic_store_n(&entry->v, e.v, __ATOMIC_RELEASE);
}

static inline pte_t pte_exchange(pte_t *entry, pte_t e)
{
	return (pte_t){__atomic_exchange_n(&entry->v, e.v, __ATOMIC_ACQ_REL)};
}

static inline bool pte_cmpxchg(pte_t *entry, pte_t *old, pte_t e)
{
	return __atomic_compare_exchange_n(&entry->v, &old->v, e.v, false, __ATOMIC_ACQ_REL,
	                                   __ATOMIC_ACQUIRE);
}

/* Kernel addresses are addresses of this process: a new translation becomes a mapping of it. host/soft_mmu.c */
void host_mmu_update(struct mmu_space *s, vaddr_t va, pte_t e, unsigned level);

static inline void mmu_update(struct mmu_space *s, vaddr_t va, pte_t e)
{
	if (va >= mmu_user_end())
		host_mmu_update(s, va, e, 1);
}

static inline void mmu_update_huge(struct mmu_space *s, vaddr_t va, pte_t e)
{
	host_mmu_update(s, va, e, 2);
}

#endif
