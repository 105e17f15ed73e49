/*
 * kernel.c - the kernel's file.
 */
#define _GNU_SOURCE
#include "cmd/quire/kernel.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *beside_command(const char *relative)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *path;

	if (n < 0)
		return NULL;
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	path = xasprintf("%s/%s", exe, relative);
	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

char *kernel_beside(void)
{
	static const char *const places[] = {"build/quire.elf", "quire.elf",
	                                     "../lib/quire/quire.elf"};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		char *path = beside_command(places[i]);

		if (path)
			return path;
	}
	return NULL;
}

char *kernel_find(const char *given)
{
	char *path = given ? xstrdup(given) : kernel_beside();

	if (!path)
		die("no kernel beside the command: run make, or name one with --kernel FILE");
	if (access(path, R_OK))
		die("--kernel %s: %s: name a kernel that 'make' has built", path, strerror(errno));
	return path;
}

static uint64_t segment_end(int fd, const unsigned char *ident, const char *path)
{
	union {
		Elf64_Ehdr e64;
		Elf32_Ehdr e32;
	} e;
	bool wide = ident[EI_CLASS] == ELFCLASS64;
	uint64_t end = 0;

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e))
		die("--kernel %s: it is truncated: run make again", path);
	for (unsigned i = 0; i < (wide ? e.e64.e_phnum : e.e32.e_phnum); i++) {
		Elf64_Phdr p64;
		Elf32_Phdr p32;

		if (wide && pread(fd, &p64, sizeof(p64),
		                  (off_t)(e.e64.e_phoff + i * sizeof(p64))) != sizeof(p64))
			break;
		if (!wide && pread(fd, &p32, sizeof(p32),
		                   (off_t)(e.e32.e_phoff + i * sizeof(p32))) != sizeof(p32))
			break;
		if (wide && p64.p_type == PT_LOAD)
			end = MAX(end, p64.p_paddr + p64.p_memsz);
		else if (!wide && p32.p_type == PT_LOAD)
			end = MAX(end, (uint64_t)p32.p_paddr + p32.p_memsz);
	}
	return end;
}

uint64_t kernel_end(const char *path)
{
	unsigned char ident[EI_NIDENT];
	uint64_t end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("--kernel %s: %s: name a kernel that 'make' has built", path, strerror(errno));
	if (read(fd, ident, sizeof(ident)) != sizeof(ident) || memcmp(ident, ELFMAG, SELFMAG))
		die("--kernel %s: it is no ELF file: name a kernel that 'make' has built", path);
	end = segment_end(fd, ident, path);
	close(fd);
	return end;
}
