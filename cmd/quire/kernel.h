/*
 * kernel.h - the kernel's file.
 */
#ifndef QUIRE_CMD_KERNEL_H
#define QUIRE_CMD_KERNEL_H

#include "cmd/quire/util.h"

/* The kernel to boot: given (checked) or found beside the command. Allocated; ends the command if there is none. */
char *kernel_find(const char *given);

/* The one built beside the command. Allocated; NULL if there is none. */
char *kernel_beside(void);

/* The first physical address behind the loaded image. Ends the command when it is no kernel for this machine. */
uint64_t kernel_end(const char *path);

/* A file beside the command's own: relative to the directory of the executable. Allocated; NULL if it is not there. */
char *beside_command(const char *relative);

#endif
