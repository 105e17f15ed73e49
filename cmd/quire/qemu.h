/*
 * qemu.h - the virtual machine: its command line and its process.
 */
#ifndef QUIRE_CMD_QEMU_H
#define QUIRE_CMD_QEMU_H

#include "cmd/quire/archive.h"
#include "cmd/quire/guest.h"

#define QEMU_PROGRAM "qemu-system-x86_64"

/* Streams between guest and command, in the order of their virtio ports (port 1 is STREAM_IN). */
enum stream { STREAM_IN, STREAM_OUT, STREAM_ERR, STREAM_CONTROL, STREAM_SERIAL, NR_STREAMS };

struct vm {
	pid_t pid;
	/*
	 * The command's ends. Sockets; in a deterministic run output and error are memory files
	 * instead, because a socket that fills up would let the host's speed leak in.
	 */
	int stream[NR_STREAMS];
	bool is_file[NR_STREAMS];
	int messages;           /* a memory file: what QEMU itself printed */
	unsigned first_tunable; /* words of the kernel's command line before those of --set */
};

/* What the kernel's command line says beyond the options. */
struct boot_words {
	uint64_t tsc_khz;
	char stdio[4];
	unsigned rows, columns; /* 0: no terminal */
};

/* The path of QEMU; ends the command when it is not installed. */
char *qemu_find(void);

/* NULL when KVM can be used, else why not (static text). */
const char *qemu_kvm_unusable(void);

/* Start the machine; sockets are made here and given in *vm. Ends the command when it cannot. */
void qemu_start(struct vm *vm, const char *qemu, const char *kernel, const struct options *o,
                const struct guest *g, const struct archive *a, const struct boot_words *w);

#endif
