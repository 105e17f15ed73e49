/*
 * elf.c - ELF64 executables: static, position independent, with an interpreter.
 *
 * Nothing in the file is believed: every offset, size and sum is checked before it is used, against the file's length
 * and the end of the user half. Text and data are mappings of the file and come in by page faults; the end of a
 * segment that is not in the file (p_memsz > p_filesz) is zeroed in its last page and anonymous after it.
 *
 *   0x400000            ET_EXEC, where it says            brk behind it
 *   2/3 of user half    ET_DYN (PIE, static or not)       brk behind it
 *   below the stack     the interpreter, at the top of the area that mmap fills downwards
 *
 * Sources: System V ABI, chapter 5, and its AMD64 supplement; elf(5); getauxval(3).
 */
#include "kernel/binprm.h"
#include "kernel/random.h"
#include "kernel/signal.h"
#include "lib/string.h"
#include <quire/slab.h>

struct elf64_ehdr {
	uint8_t e_ident[16];
	uint16_t e_type, e_machine;
	uint32_t e_version;
	uint64_t e_entry, e_phoff, e_shoff;
	uint32_t e_flags;
	uint16_t e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx;
};

struct elf64_phdr {
	uint32_t p_type, p_flags;
	uint64_t p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align;
};
static_assert(sizeof(struct elf64_ehdr) == 64 && sizeof(struct elf64_phdr) == 56, "ELF64");

#define ET_EXEC      2
#define ET_DYN       3
#define EM_X86_64    62
#define PT_LOAD      1
#define PT_INTERP    3
#define PT_GNU_STACK 0x6474e551
#define PF_X         1
#define PF_W         2
#define PF_R         4
#define PHDRS_MAX    (65536 / sizeof(struct elf64_phdr))

enum {
	AT_NULL,
	AT_PHDR = 3,
	AT_PHENT,
	AT_PHNUM,
	AT_PAGESZ,
	AT_BASE,
	AT_FLAGS,
	AT_ENTRY,
	AT_UID = 11,
	AT_EUID,
	AT_GID,
	AT_EGID,
	AT_PLATFORM,
	AT_HWCAP,
	AT_CLKTCK,
	AT_SECURE = 23,
	AT_RANDOM = 25,
	AT_HWCAP2,
	AT_EXECFN = 31,
	AT_MINSIGSTKSZ = 51,
};

/* An ELF file with its headers read and checked. */
struct elf_image {
	struct file *file;
	struct elf64_ehdr ehdr;
	struct elf64_phdr *phdr;
	vaddr_t low, high; /* what its segments span, in its own addresses, whole pages */
	vaddr_t bias;      /* loaded at its own addresses plus this */
};

/* --- reading and checking ---------------------------------------------------------------------------------- */

/* Exactly n bytes from pos, or -ENOEXEC. */
static int read_exact(struct file *file, void *buf, size_t n, uint64_t pos)
{
	int64_t at = (int64_t)pos, got;

	if (pos > INT64_MAX - n)
		return -ENOEXEC;
	got = kernel_read(file, buf, n, &at);
	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -ENOEXEC;
}

static bool ehdr_valid(const struct elf64_ehdr *h)
{
	static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1}; /* 64 bits, little endian */

	return !memcmp(h->e_ident, ident, sizeof(ident)) &&
	       (h->e_type == ET_EXEC || h->e_type == ET_DYN) && h->e_machine == EM_X86_64 &&
	       h->e_phentsize == sizeof(struct elf64_phdr) && h->e_phnum >= 1 &&
	       h->e_phnum <= PHDRS_MAX;
}

static bool segment_valid(const struct elf64_phdr *p, uint64_t file_size)
{
	vaddr_t end = mmu_user_end();

	return p->p_filesz <= p->p_memsz && p->p_vaddr < end && p->p_memsz <= end - p->p_vaddr &&
	       (!p->p_filesz || /* nothing but zeros: its offset means nothing, and may lie behind a stripped file */
	        (p->p_offset <= file_size && p->p_filesz <= file_size - p->p_offset &&
	         (p->p_offset & (PAGE_SIZE - 1)) == (p->p_vaddr & (PAGE_SIZE - 1))));
}

static int check_segments(struct elf_image *elf)
{
	uint64_t size = i_size_read(elf->file->f_inode);

	elf->low = UINT64_MAX;
	elf->high = 0;
	for (unsigned i = 0; i < elf->ehdr.e_phnum; i++) {
		const struct elf64_phdr *p = &elf->phdr[i];

		if (p->p_type != PT_LOAD || !p->p_memsz)
			continue;
		if (!segment_valid(p, size))
			return -ENOEXEC;
		elf->low = MIN(elf->low, p->p_vaddr & PAGE_MASK);
		elf->high = MAX(elf->high, PAGE_ALIGN(p->p_vaddr + p->p_memsz));
	}
	return elf->high > elf->low && elf->high <= mmu_user_end() ? 0 : -ENOEXEC;
}

/* Headers of file, whose first bytes are in head. On failure nothing is held. */
static int elf_open(struct elf_image *elf, struct file *file, const void *head)
{
	size_t size;
	int err;

	elf->file = file;
	elf->bias = 0;
	memcpy(&elf->ehdr, head, sizeof(elf->ehdr));
	if (!ehdr_valid(&elf->ehdr))
		return -ENOEXEC;
	size = elf->ehdr.e_phnum * sizeof(struct elf64_phdr);
	elf->phdr = kmalloc(size, GFP_KERNEL);
	if (!elf->phdr)
		return -ENOMEM;
	err = read_exact(file, elf->phdr, size, elf->ehdr.e_phoff);
	if (!err)
		err = check_segments(elf);
	if (err)
		kfree(elf->phdr);
	return err;
}

static const struct elf64_phdr *find_phdr(const struct elf_image *elf, uint32_t type)
{
	for (unsigned i = 0; i < elf->ehdr.e_phnum; i++)
		if (elf->phdr[i].p_type == type)
			return &elf->phdr[i];
	return NULL;
}

/* The interpreter that elf names, opened; interp->file NULL: it names none. */
static int open_interp(const struct elf_image *elf, struct elf_image *interp)
{
	const struct elf64_phdr *p = find_phdr(elf, PT_INTERP);
	uint8_t head[sizeof(struct elf64_ehdr)];
	struct file *file;
	char *path;
	int err;

	interp->file = NULL;
	if (!p)
		return 0;
	if (p->p_filesz < 2 || p->p_filesz > PATH_MAX)
		return -ENOEXEC;
	path = kmalloc(p->p_filesz, GFP_KERNEL);
	if (!path)
		return -ENOMEM;
	err = read_exact(elf->file, path, p->p_filesz, p->p_offset);
	if (!err && path[p->p_filesz - 1])
		err = -ENOEXEC;
	file = err ? NULL : open_exec(path);
	kfree(path);
	if (err || IS_ERR(file))
		return err ? err : (int)PTR_ERR(file);
	err = read_exact(file, head, sizeof(head), 0);
	if (!err)
		err = elf_open(interp, file, head);
	if (err) {
		interp->file = NULL;
		fput(file);
		return err == -ENOEXEC ? -ELIBBAD : err;
	}
	return 0;
}

static void elf_close_interp(struct elf_image *interp)
{
	if (!interp->file)
		return;
	kfree(interp->phdr);
	fput(interp->file);
}

/* --- mapping -------------------------------------------------------------------------------------------------- */

static int segment_prot(const struct elf64_phdr *p)
{
	return (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
	       (p->p_flags & PF_X ? PROT_EXEC : 0);
}

static int map_fixed(struct mm_struct *mm, vaddr_t start, uint64_t len, int prot, struct file *file,
                     uint64_t offset)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (file ? 0 : MAP_ANONYMOUS);
	int64_t ret;

	if (!len)
		return 0;
	ret = do_mmap(mm, start, len, prot, flags, file ? &file->vm : NULL, offset >> PAGE_SHIFT);
	return ret < 0 ? (int)ret : 0;
}

/* Zero [start, start + len) of the new space. */
static int clear_remote(struct mm_struct *mm, vaddr_t start, size_t len)
{
	static const char zeros[PAGE_SIZE];

	return access_remote_vm(mm, start, (void *)zeros, len, true) == len ? 0 : -ENOMEM;
}

static int map_segment(struct mm_struct *mm, const struct elf_image *elf,
                       const struct elf64_phdr *p)
{
	vaddr_t start = elf->bias + p->p_vaddr, page = start & PAGE_MASK;
	vaddr_t file_end = start + p->p_filesz, mem_end = PAGE_ALIGN(start + p->p_memsz);
	vaddr_t file_pages_end = p->p_filesz ? PAGE_ALIGN(file_end) : page;
	int prot = segment_prot(p);
	int err = map_fixed(mm, page, file_pages_end - page, prot, elf->file,
	                    p->p_offset - (start - page));

	if (!err && p->p_memsz > p->p_filesz && file_end < file_pages_end && prot & PROT_WRITE)
		err = clear_remote(mm, file_end, file_pages_end - file_end);
	if (!err && mem_end > file_pages_end)
		err = map_fixed(mm, file_pages_end, mem_end - file_pages_end, prot, NULL, 0);
	return err;
}

static int map_image(struct mm_struct *mm, const struct elf_image *elf)
{
	int err = 0;

	for (unsigned i = 0; i < elf->ehdr.e_phnum && !err; i++)
		if (elf->phdr[i].p_type == PT_LOAD && elf->phdr[i].p_memsz)
			err = map_segment(mm, elf, &elf->phdr[i]);
	return err;
}

/* Where a position-independent program goes. */
static void choose_pie_base(struct elf_image *elf)
{
	vaddr_t base = PAGE_ALIGN(mmu_user_end() / 3 * 2);
	uint64_t align = PAGE_SIZE;

	for (unsigned i = 0; i < elf->ehdr.e_phnum; i++) {
		uint64_t a = elf->phdr[i].p_type == PT_LOAD ? elf->phdr[i].p_align : 0;

		if (a > align && !(a & (a - 1)) && a <= 1ull << 30)
			align = a;
	}
	if (randomize_va())
		base += (get_random_u64() & ((1ull << 28) - 1)) << PAGE_SHIFT;
	elf->bias = ALIGN_DOWN(base, align) - ALIGN_DOWN(elf->low, align);
}

/* Room for the interpreter, where mmap would put it. */
static int choose_interp_base(struct mm_struct *mm, struct elf_image *interp)
{
	uint64_t size = interp->high - interp->low;
	int64_t at;

	if (interp->ehdr.e_type == ET_EXEC)
		return 0;
	at = do_mmap(mm, 0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, NULL, 0);
	if (at < 0)
		return (int)at;
	interp->bias = (vaddr_t)at - interp->low;
	return do_munmap(mm, (vaddr_t)at, size);
}

/* The stack is there already: an image that reaches into it, or wraps, cannot be loaded. */
static bool image_fits(const struct linux_binprm *bprm, const struct elf_image *elf)
{
	vaddr_t start = elf->bias + elf->low, end = elf->bias + elf->high;

	return start >= PAGE_SIZE && start < end && end <= bprm->mm->mmap_base;
}

static void set_image_bounds(struct mm_struct *mm, const struct elf_image *elf)
{
	mm->start_code = UINT64_MAX;
	for (unsigned i = 0; i < elf->ehdr.e_phnum; i++) {
		const struct elf64_phdr *p = &elf->phdr[i];
		vaddr_t start = elf->bias + p->p_vaddr;

		if (p->p_type != PT_LOAD || !p->p_memsz) /* empty ones were not checked */
			continue;
		mm->start_code = MIN(mm->start_code, start);
		mm->start_data = MAX(mm->start_data, start);
		mm->end_data = MAX(mm->end_data, start + p->p_filesz);
		if (p->p_flags & PF_X)
			mm->end_code = MAX(mm->end_code, start + p->p_filesz);
	}
}

/* --- what the program is told ------------------------------------------------------------------------------------ */

static uint32_t cpuid_1_edx(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return d;
}

/* Bit 1: programs may use RDFSBASE and its kin. */
static uint64_t hwcap2(void)
{
	uint64_t cr4;

	__asm__("movq %%cr4, %0" : "=r"(cr4));
	return cr4 & 1u << 16 ? 2 : 0;
}

/* The address of the program headers in memory, 0 if no segment has them. */
static vaddr_t phdr_addr(const struct elf_image *elf)
{
	for (unsigned i = 0; i < elf->ehdr.e_phnum; i++) {
		const struct elf64_phdr *p = &elf->phdr[i];

		if (p->p_type == PT_LOAD && p->p_offset <= elf->ehdr.e_phoff &&
		    elf->ehdr.e_phoff - p->p_offset < p->p_filesz)
			return elf->bias + p->p_vaddr + (elf->ehdr.e_phoff - p->p_offset);
	}
	return 0;
}

static int make_stack(struct linux_binprm *bprm, const struct elf_image *elf,
                      const struct elf_image *interp)
{
	const struct cred *cred = &current->cred;
	vaddr_t strings[3] = {0}; /* execfn, platform, random: known when they have been placed */
	uint64_t auxv[] = {
	        AT_HWCAP,       cpuid_1_edx(),
	        AT_PAGESZ,      PAGE_SIZE,
	        AT_CLKTCK,      100,
	        AT_PHDR,        phdr_addr(elf),
	        AT_PHENT,       sizeof(struct elf64_phdr),
	        AT_PHNUM,       elf->ehdr.e_phnum,
	        AT_BASE,        interp->file ? interp->bias + interp->low : 0,
	        AT_FLAGS,       0,
	        AT_ENTRY,       elf->bias + elf->ehdr.e_entry,
	        AT_UID,         cred->uid,
	        AT_EUID,        bprm->euid,
	        AT_GID,         cred->gid,
	        AT_EGID,        bprm->egid,
	        AT_SECURE,      bprm->secure,
	        AT_RANDOM,      0,
	        AT_HWCAP2,      hwcap2(),
	        AT_EXECFN,      0,
	        AT_PLATFORM,    0,
	        AT_MINSIGSTKSZ, arch_fpu_size() + 1024,
	        AT_NULL,        0,
	};

	return setup_arg_pages(bprm, auxv, ARRAY_SIZE(auxv), &strings[0], &strings[1], &strings[2]);
}

static int map_program(struct linux_binprm *bprm, struct elf_image *elf, struct elf_image *interp)
{
	const struct elf64_phdr *stack = find_phdr(elf, PT_GNU_STACK);
	vaddr_t brk;
	int err = bprm_mm_init(bprm, stack && stack->p_flags & PF_X);

	if (err)
		return err;
	if (elf->ehdr.e_type == ET_DYN)
		choose_pie_base(elf);
	if (!image_fits(bprm, elf))
		return -ENOMEM;
	err = map_image(bprm->mm, elf);
	if (err)
		return err;
	set_image_bounds(bprm->mm, elf);
	brk = elf->bias + elf->high;
	if (randomize_va())
		brk += (get_random_u64() & 0x1fff) << PAGE_SHIFT;
	mm_set_brk(bprm->mm, brk);
	bprm->entry = elf->bias + elf->ehdr.e_entry;
	if (interp->file) {
		err = choose_interp_base(bprm->mm, interp);
		if (!err && !image_fits(bprm, interp))
			err = -ENOMEM;
		if (!err)
			err = map_image(bprm->mm, interp);
		bprm->entry = interp->bias + interp->ehdr.e_entry;
	}
	return err ? err : make_stack(bprm, elf, interp);
}

int load_elf_binary(struct linux_binprm *bprm)
{
	struct elf_image elf, interp;
	int err = elf_open(&elf, bprm->file, bprm->buf);

	if (err)
		return err;
	err = open_interp(&elf, &interp);
	if (!err) {
		err = map_program(bprm, &elf, &interp);
		elf_close_interp(&interp);
	}
	kfree(elf.phdr);
	return err;
}
