/*
 * batch_test.c - one flush for many spaces (mm/pt/batch.c): what it covers, and spaces that end before it.
 */
#include "mm/pt/batch.h"
#include "test/unit/mm/space/vm.h"
#include "test/unit/unit.h"

UNIT_TEST(a_range_for_each_space)
{
	struct mm_struct *one = mm_alloc(VM_TOP), *two = mm_alloc(VM_TOP);
	struct tlb_batch batch = {.nr = 0};

	CHECK(one && two);
	CHECK(tlb_batch_add(&batch, one, VM_PAGE(5)));
	CHECK(tlb_batch_add(&batch, two, VM_PAGE(1)));
	CHECK(tlb_batch_add(&batch, one, VM_PAGE(3)));
	CHECK(tlb_batch_add(&batch, one, VM_PAGE(4)));
	CHECK_EQ(batch.nr, 2);
	CHECK_EQ(batch.range[0].start, VM_PAGE(3));
	CHECK_EQ(batch.range[0].end, VM_PAGE(6));
	CHECK_EQ(batch.range[1].start, VM_PAGE(1));
	CHECK_EQ(batch.range[1].end, VM_PAGE(2));
	CHECK(mm_tlb_flush_pending(one)); /* who finds entries gone flushes, too */
	tlb_batch_flush(&batch);
	CHECK_EQ(batch.nr, 0);
	CHECK(!mm_tlb_flush_pending(one) && !mm_tlb_flush_pending(two));
	mmput(one);
	mmput(two);
}

/* No other space gets its place before the flush. */
UNIT_TEST(a_space_ends_before_the_flush)
{
	struct mm_struct *mm = mm_alloc(VM_TOP), *next;
	struct tlb_batch batch = {.nr = 0};

	CHECK(mm);
	CHECK(tlb_batch_add(&batch, mm, VM_PAGE(0)));
	mmput(mm);
	next = mm_alloc(VM_TOP);
	CHECK(next && next != mm);
	tlb_batch_flush(&batch);
	CHECK(!mm_tlb_flush_pending(next));
	mmput(next);
}
