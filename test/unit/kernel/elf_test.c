/*
 * elf_test.c - ELF files that must be refused before anything is mapped, read from memory.
 */
#include "fs/internal.h"
#include "kernel/binprm.h"
#include "test/unit/unit.h"

#define IMAGE_SIZE 8192

static uint8_t image[IMAGE_SIZE];

static int64_t image_read(struct kiocb *iocb, struct iov_iter *to)
{
	uint64_t pos = (uint64_t)iocb->ki_pos;
	size_t n = pos < IMAGE_SIZE ? MIN(IMAGE_SIZE - pos, iov_iter_count(to)) : 0;

	n = copy_to_iter(image + (n ? pos : 0), n, to);
	iocb->ki_pos += (int64_t)n;
	return (int64_t)n;
}

static const struct file_operations image_fops = {.read_iter = image_read};

static int load(void)
{
	static struct inode inode;
	static struct file file;
	static struct linux_binprm bprm;
	int err;

	atomic_store(&inode.i_data.i_size, IMAGE_SIZE);
	file = (struct file){.f_mode = FMODE_READ, .f_op = &image_fops, .f_inode = &inode};
	bprm = (struct linux_binprm){.file = &file, .filename = "image"};
	memcpy(bprm.buf, image, sizeof(bprm.buf));
	err = load_elf_binary(&bprm);
	if (bprm.mm)
		mmput(bprm.mm);
	return err;
}

static void put16(unsigned at, uint16_t v)
{
	memcpy(image + at, &v, sizeof(v));
}

static void put64(unsigned at, uint64_t v)
{
	memcpy(image + at, &v, sizeof(v));
}

/* Offsets in the header, and of the one program header behind it. */
enum {
	E_TYPE = 16,
	E_MACHINE = 18,
	E_ENTRY = 24,
	E_PHOFF = 32,
	E_PHENTSIZE = 54,
	E_PHNUM = 56,
	P_TYPE = 64,
	P_OFFSET = 72,
	P_VADDR = 80,
	P_FILESZ = 96,
	P_MEMSZ = 104
};

/* A good file with one segment; but that is loaded where a program's stack may not be. */
static void good(void)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

	memset(image, 0, sizeof(image));
	memcpy(image, ident, sizeof(ident));
	put16(E_TYPE, 2);
	put16(E_MACHINE, 62);
	put64(E_ENTRY, 0x400000);
	put64(E_PHOFF, 64);
	put16(E_PHENTSIZE, 56);
	put16(E_PHNUM, 1);
	put64(P_TYPE, 1 | 7ull << 32);
	put64(P_VADDR, 0x400000);
	put64(P_FILESZ, 4096);
	put64(P_MEMSZ, 4096);
}

UNIT_TEST(headers_that_are_refused)
{
	static const struct {
		unsigned at, size;
		uint64_t value;
	} bad[] = {
	        {0, 1, 0x7e},
	        {4, 1, 1},
	        {5, 1, 2},
	        {6, 1, 0},
	        {E_TYPE, 2, 1},
	        {E_TYPE, 2, 4},
	        {E_MACHINE, 2, 3},
	        {E_MACHINE, 2, 183},
	        {E_PHENTSIZE, 2, 0},
	        {E_PHENTSIZE, 2, 55},
	        {E_PHNUM, 2, 0},
	        {E_PHNUM, 2, 0xffff},
	        {E_PHNUM, 2, 1000}, /* behind the file's end */
	        {E_PHOFF, 8, IMAGE_SIZE - 55},
	        {E_PHOFF, 8, UINT64_MAX},
	        {E_PHOFF, 8, INT64_MAX},
	        {E_PHOFF, 8, 1ull << 63},
	        {P_TYPE, 4, 0}, /* no segment at all */
	        {P_OFFSET, 8, 1},
	        {P_OFFSET, 8, 8192},
	        {P_OFFSET, 8, UINT64_MAX & ~4095ull},
	        {P_VADDR, 8, 0x400001},
	        {P_VADDR, 8, 0x800000000000},
	        {P_VADDR, 8, 0x7ffffffff000},
	        {P_VADDR, 8, 0xffffffff80000000},
	        {P_FILESZ, 8, 4097},
	        {P_FILESZ, 8, UINT64_MAX},
	        {P_MEMSZ, 8, 4095},
	        {P_MEMSZ, 8, UINT64_MAX},
	        {P_MEMSZ, 8, 0x800000000000},
	        {P_MEMSZ, 8, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		good();
		memcpy(image + bad[i].at, &bad[i].value, bad[i].size);
		CHECK_MSG(load() == -ENOEXEC, "number %u", i);
	}
}

/* Where the pages are not there to be had: refused, and nothing is kept. */
UNIT_TEST(images_that_do_not_fit)
{
	good();
	put64(P_VADDR, 0); /* the first page */
	CHECK_EQ(load(), -ENOMEM);
	good();
	put64(P_VADDR, 0x1000);
	put64(P_FILESZ, 0);
	put64(P_MEMSZ, 0x7fffffffe000 - 0x1000); /* all there is: the stack has no room */
	CHECK_EQ(load(), -ENOMEM);
}

UNIT_TEST(random_headers)
{
	for (unsigned i = 0; i < 3000; i++) {
		good();
		put16(E_MACHINE, 62);
		put64(P_FILESZ, 0);
		put64(P_MEMSZ, 0); /* whatever else is said, there is nothing to map */
		for (unsigned n = 1 + (unsigned)random_below(unit_random(), 8); n > 0; n--) {
			unsigned at = (unsigned)random_below(unit_random(), P_FILESZ);

			if (at < E_PHOFF || at >= P_TYPE)
				image[at] = (uint8_t)random_u64(unit_random());
		}
		if (image[P_TYPE] == 3)
			continue; /* an interpreter is looked for in the file system */
		CHECK_EQ(load(), -ENOEXEC);
	}
}
