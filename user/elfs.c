/*
 * elfs.c FILE COUNT - damaged programs: COUNT copies of the ELF file FILE, each with one to four fields of its header or
 * its program headers changed, are executed. FILE ends with status 7; whether a copy still does is printed. The choice
 * is seeded, so Linux and Quire are given the same copies.
 *
 * How a copy fails is not compared: Linux finds out about many of them only after the old program has gone, and kills;
 * Quire looks first, and execve fails. Left alone are the bytes that Linux does not look at (class, order of bytes, version),
 * and the type ET_EXEC, which would put a program that may lie anywhere at address 0.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIANT "./variant"

static uint64_t seed = 88172645463325252ull;

static uint64_t number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Values that have broken loaders: edges of pages, of the address space and of the types. */
static uint64_t hostile(uint64_t old)
{
	static const uint64_t values[] = {0,
	                                  1,
	                                  4095,
	                                  4096,
	                                  0x7ffffffff000,
	                                  0x7fffffffffff,
	                                  0x800000000000,
	                                  0xffff888000000000,
	                                  0xffffffff80000000,
	                                  INT64_MAX,
	                                  UINT64_MAX,
	                                  UINT64_MAX - 4095,
	                                  UINT32_MAX,
	                                  1ull << 40};

	switch (number() % 4) {
	case 0:
		return old ^ 1ull << number() % 64;
	case 1:
		return old + (number() % 2 ? 4096 : -4096ull);
	default:
		return values[number() % (sizeof(values) / sizeof(values[0]))];
	}
}

static void damage_header(Elf64_Ehdr *e)
{
	switch (number() % 8) {
	case 0:
		e->e_ident[number() % 4] ^= 1 << number() % 8;
		break;
	case 1:
		e->e_type = (uint16_t)(ET_DYN + 1 + number() % 100);
		break;
	case 2:
		e->e_machine = (uint16_t)number();
		break;
	case 3:
		e->e_entry = hostile(e->e_entry);
		break;
	case 4:
		e->e_phoff = hostile(e->e_phoff);
		break;
	case 5:
		e->e_phentsize = (uint16_t)hostile(e->e_phentsize);
		break;
	default:
		e->e_phnum = (uint16_t)hostile(e->e_phnum);
	}
}

static void damage_segment(Elf64_Phdr *p)
{
	uint64_t *const fields[] = {&p->p_offset, &p->p_vaddr, &p->p_filesz, &p->p_memsz,
	                            &p->p_align};

	switch (number() % 4) {
	case 0:
		p->p_type = (uint32_t)(number() % 2 ? number() % 8 : PT_GNU_STACK);
		break;
	case 1:
		p->p_flags = (uint32_t)number() % 8;
		break;
	default: {
		uint64_t *field = fields[number() % 5];

		*field = hostile(*field);
	}
	}
}

static void damage(unsigned char *image)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)image;
	Elf64_Phdr *p = (Elf64_Phdr *)(image + e->e_phoff);
	unsigned n = e->e_phnum, times = 1 + (unsigned)(number() % 4);

	for (unsigned i = 0; i < times; i++) {
		if (number() % 3)
			damage_segment(&p[number() % n]);
		else
			damage_header(e);
	}
}

static void write_variant(const unsigned char *image, size_t size)
{
	int fd = open(VARIANT, O_CREAT | O_TRUNC | O_WRONLY, 0755);

	if (fd < 0 || write(fd, image, size) != (ssize_t)size) {
		perror(VARIANT);
		exit(1);
	}
	close(fd);
}

static bool variant_runs(void)
{
	struct rlimit none = {0, 0}, some = {1 << 30, 1 << 30};
	int quiet = open("/dev/null", O_RDWR), status;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &none);
		setrlimit(RLIMIT_AS, &some);
		for (int fd = 0; fd < 3; fd++)
			dup2(quiet, fd);
		alarm(10);
		execl(VARIANT, VARIANT, (char *)NULL);
		_exit(1);
	}
	close(quiet);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
	unsigned count = fd < 0 ? 0 : (unsigned)atoi(argv[2]);
	unsigned char *image, *copy;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 2;
	image = malloc((size_t)st.st_size);
	copy = malloc((size_t)st.st_size);
	if (!image || !copy || read(fd, image, (size_t)st.st_size) != st.st_size)
		return 2;
	for (unsigned i = 0; i < count; i++) {
		memcpy(copy, image, (size_t)st.st_size);
		if (i)
			damage(copy);
		write_variant(copy, (size_t)st.st_size);
		printf("%u %s\n", i, variant_runs() ? "runs" : "does not run");
	}
	unlink(VARIANT);
	return 0;
}
