/*
 * property_test.c - random calls on a tree of processes against a naive model: an array of pages, each knowing its
 * permissions, what it shows, and whether it has been written.
 */
#include "test/unit/mm/space/vm.h"

#define WINDOW 96u /* pages that the calls play with */
#define SPACES 4u

enum kind { ANON_PAGE, FILE_PRIVATE, FILE_SHARED };

struct model_page {
	bool mapped, own; /* own: a private copy with a value of its own */
	uint8_t prot, kind;
	unsigned index; /* page of the file */
	uint64_t value;
};

struct model {
	struct mm_struct *mm; /* NULL: no such process */
	struct model_page page[WINDOW];
};

static struct play {
	struct model space[SPACES];
	struct test_file file;
	uint64_t file_value[TFILE_PAGES];
	uint64_t next_value;
} play;

static uint64_t draw(uint64_t n)
{
	return random_below(unit_random(), n);
}

static uint64_t model_value(const struct model_page *p)
{
	if (p->kind != FILE_SHARED && p->own)
		return p->value;
	return p->kind == ANON_PAGE ? 0 : play.file_value[p->index];
}

static void op_mmap(struct model *m, unsigned at, unsigned n)
{
	static const int prots[] = {RW, RW, PROT_READ, PROT_NONE};
	const int prot = prots[draw(4)];
	const unsigned kind = (unsigned)draw(3), first = (unsigned)draw(TFILE_PAGES - n + 1);
	int flags = MAP_FIXED | (kind == FILE_SHARED ? MAP_SHARED : MAP_PRIVATE);
	int64_t got;

	if (kind == ANON_PAGE)
		flags |= MAP_ANONYMOUS;
	got = do_mmap(m->mm, VM_PAGE(at), n * PAGE_SIZE, prot, flags,
	              kind == ANON_PAGE ? NULL : &play.file.file, kind == ANON_PAGE ? 0 : first);
	CHECK_EQ(got, (int64_t)VM_PAGE(at));
	for (unsigned i = 0; i < n; i++)
		m->page[at + i] = (struct model_page){true,          false,     (uint8_t)prot,
		                                      (uint8_t)kind, first + i, 0};
}

static void op_munmap(struct model *m, unsigned at, unsigned n)
{
	CHECK_EQ(do_munmap(m->mm, VM_PAGE(at), n * PAGE_SIZE), 0);
	for (unsigned i = 0; i < n; i++)
		m->page[at + i].mapped = false;
}

static void op_mprotect(struct model *m, unsigned at, unsigned n)
{
	static const int prots[] = {RW, PROT_READ, PROT_NONE};
	const int prot = prots[draw(3)];
	int want = 0;

	for (unsigned i = 0; i < n && !want; i++) {
		if (!m->page[at + i].mapped)
			want = -ENOMEM;
		else
			m->page[at + i].prot = (uint8_t)prot;
	}
	CHECK_EQ(do_mprotect(m->mm, VM_PAGE(at), n * PAGE_SIZE, prot), want);
}

static void op_dontneed(struct model *m, unsigned at, unsigned n)
{
	int want = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!m->page[at + i].mapped)
			want = -ENOMEM;
		m->page[at + i].own = false;
	}
	CHECK_EQ(do_madvise(m->mm, VM_PAGE(at), n * PAGE_SIZE, MADV_DONTNEED), want);
}

static void op_write(struct model *m, unsigned at)
{
	struct model_page *p = &m->page[at];
	const bool allowed = p->mapped && (p->prot & PROT_WRITE);
	const uint64_t value = ++play.next_value;

	CHECK_EQ(vm_write(m->mm, VM_PAGE(at), value), allowed ? 0 : -EFAULT);
	if (!allowed)
		return;
	if (p->kind == FILE_SHARED)
		play.file_value[p->index] = value;
	p->own = p->kind != FILE_SHARED;
	p->value = value;
}

static void op_read(struct model *m, unsigned at)
{
	struct model_page *p = &m->page[at];
	uint64_t value = 0;

	if (!p->mapped || !p->prot) {
		CHECK_EQ(vm_read(m->mm, VM_PAGE(at), &value), -EFAULT);
		return;
	}
	CHECK_EQ(vm_read(m->mm, VM_PAGE(at), &value), 0);
	CHECK_EQ(value, model_value(p));
}

/* Move a range; it works only within one area, which the model does not know, so both answers may be right. */
static void op_mremap(struct model *m, unsigned at, unsigned n)
{
	const unsigned to = (unsigned)draw(WINDOW - n + 1);
	const bool overlap = at < to + n && to < at + n;
	struct model_page moved[WINDOW];
	int64_t got;

	if (!m->page[at].mapped)
		return;
	got = do_mremap(m->mm, VM_PAGE(at), n * PAGE_SIZE, n * PAGE_SIZE,
	                MREMAP_MAYMOVE | MREMAP_FIXED, VM_PAGE(to));
	if (overlap) {
		CHECK_EQ(got, -EINVAL);
		return;
	}
	memcpy(moved, &m->page[at], n * sizeof(moved[0]));
	for (unsigned i = 0; i < n; i++)
		m->page[to + i].mapped = false;
	if (got == -EFAULT) {
		CHECK(n > 1);
		return;
	}
	CHECK_EQ(got, (int64_t)VM_PAGE(to));
	for (unsigned i = 0; i < n; i++) {
		m->page[to + i] = moved[i];
		CHECK(moved[i].mapped);
		m->page[at + i].mapped = false;
	}
}

static void op_fork(struct model *m)
{
	for (unsigned i = 0; i < SPACES; i++) {
		struct model *child = &play.space[i];

		if (child->mm)
			continue;
		*child = *m;
		child->mm = dup_mm(m->mm);
		CHECK(!IS_ERR(child->mm));
		return;
	}
}

static void op_exit(struct model *m)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < SPACES; i++)
		alive += play.space[i].mm != NULL;
	if (alive < 2)
		return;
	mmput(m->mm);
	m->mm = NULL;
}

static void op_file_write(void)
{
	const unsigned index = (unsigned)draw(TFILE_PAGES);

	play.file_value[index] = ++play.next_value;
	CHECK_EQ(tfile_write(&play.file, index, play.next_value), 0);
}

static void check_everything(bool contents)
{
	for (unsigned i = 0; i < SPACES; i++) {
		struct model *m = &play.space[i];

		if (!m->mm)
			continue;
		CHECK_SOUND(space_check(m->mm));
		for (unsigned at = 0; contents && at < WINDOW; at++)
			CHECK_CALL(op_read(m, at));
	}
	CHECK_SOUND(cache_check(&play.file.mapping));
}

static void step(unsigned round)
{
	struct model *m;
	const unsigned at = (unsigned)draw(WINDOW);
	const unsigned n = 1 + (unsigned)draw(MIN(24u, WINDOW - at));

	do
		m = &play.space[draw(SPACES)];
	while (!m->mm);
	switch (draw(16)) {
	case 0:
	case 1:
		CHECK_CALL(op_mmap(m, at, n));
		break;
	case 2:
		CHECK_CALL(op_munmap(m, at, n));
		break;
	case 3:
	case 4:
		CHECK_CALL(op_mprotect(m, at, n));
		break;
	case 5:
		CHECK_CALL(op_dontneed(m, at, n));
		break;
	case 6:
		CHECK_CALL(op_mremap(m, at, n));
		break;
	case 7:
		CHECK_CALL(op_fork(m));
		break;
	case 8:
		op_exit(m);
		break;
	case 9:
		CHECK_CALL(op_file_write());
		break;
	case 10:
	case 11:
		CHECK_CALL(op_read(m, at));
		break;
	default:
		CHECK_CALL(op_write(m, at));
	}
	CHECK_CALL(check_everything(round % 16 == 0));
}

static void play_begin(void)
{
	memset(&play, 0, sizeof(play));
	tfile_init(&play.file, TFILE_PAGES);
	memcpy(play.file_value, play.file.store, sizeof(play.file_value));
	play.next_value = 1u << 20;
	play.space[0].mm = mm_alloc(VM_TOP);
}

static void play_end(void)
{
	for (unsigned i = 0; i < SPACES; i++)
		if (play.space[i].mm)
			mmput(play.space[i].mm);
	address_space_destroy(&play.file.mapping);
}

static void rounds(unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		CHECK_CALL(step(i));
		if (unit_failed())
			return;
	}
}

UNIT_TEST(random_calls_match_a_naive_model)
{
	uint64_t frames;

	play_begin();
	play_end();
	frames = vm_baseline();
	for (unsigned game = 0; game < 20; game++) {
		play_begin();
		CHECK(play.space[0].mm);
		rounds(400);
		play_end();
		if (unit_failed())
			return;
		CHECK_EQ(vm_free_frames(), frames);
		CHECK_EQ(frame_kind_pages(FRAME_ANON), 0);
	}
	CHECK_SOUND(slab_check());
}
