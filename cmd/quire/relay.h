/*
 * relay.h - the run itself: bytes between the host's descriptors and the guest's
 * streams, signals and window size into the guest, the end of QEMU.
 */
#ifndef QUIRE_CMD_RELAY_H
#define QUIRE_CMD_RELAY_H

#include "cmd/quire/qemu.h"

struct relay_result {
	int status;    /* QEMU's wait status */
	int killed_by; /* the signal on which the command ended the guest; 0: it ended by itself */
	bool closed_output; /* deterministic: ended because nobody reads the output any more */
};

/* Block the signals that the relay takes. Before QEMU starts, so that none is missed. */
void relay_prepare(void);

/*
 * Runs until QEMU has ended and everything it wrote is written. stdio: the letters of
 * doc/boot-protocol.md. serial_out: where the log goes (with --log).
 */
void relay_run(struct vm *vm, const char *stdio, int serial_out, struct relay_result *result);

#endif
