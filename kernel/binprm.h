/*
 * binprm.h - a program on its way into memory: between exec.c and elf.c.
 *
 * The new address space is built complete beside the old one, so that every failure leaves the caller as it was.
 */
#ifndef KERNEL_BINPRM_H
#define KERNEL_BINPRM_H

#include "fs/vfs.h"
#include "kernel/exec.h"

struct linux_binprm {
	struct file *file;            /* what is loaded: the interpreter, once a script was seen */
	const char *filename;         /* what execve was given: AT_EXECFN, comm */
	uint8_t buf[BINPRM_BUF_SIZE]; /* the beginning of file, zeros behind its end */
	unsigned depth;               /* interpreters of interpreters */

	/* Strings: argv's, then the environment's, each with its NUL. */
	char *strings;
	size_t len, room;
	unsigned argc, envc;
	size_t env_offset; /* where the environment's begin */
	size_t skip;       /* argv[0], when a script's words take its place */
	char *prefix;      /* the script's words: interpreter, argument, path; or NULL */
	size_t prefix_len;
	unsigned prefix_count;

	/* The result. */
	struct mm_struct *mm;
	vaddr_t stack_top, entry, sp;
	uint32_t euid, egid; /* the program's effective ids: ours, or those of a set-user-ID file */
	bool secure;         /* AT_SECURE: they are not the real ones */
};

/* Load the ELF file bprm->file into a new bprm->mm. 0; -ENOEXEC (not one, or broken), -ELIBBAD, -ENOMEM, ... Sleeps. */
MUST_USE int load_elf_binary(struct linux_binprm *bprm);

/* An empty space with the stack's place chosen, limits set. 0 or -ENOMEM. */
MUST_USE int bprm_mm_init(struct linux_binprm *bprm, bool exec_stack);
/* argc, argv, envp, auxv and the strings onto the new stack; auxv of n words. 0 or -errno. */
MUST_USE int setup_arg_pages(struct linux_binprm *bprm, const uint64_t *auxv, unsigned n,
                             vaddr_t *execfn, vaddr_t *platform, vaddr_t *random);
bool randomize_va(void); /* is the address space layout to be random? */

#endif
