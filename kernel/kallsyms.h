/*
 * kallsyms.h - the names of the kernel's own functions.
 */
#ifndef KERNEL_KALLSYMS_H
#define KERNEL_KALLSYMS_H

#include "lib/symbols.h"

extern const struct symbol_table kallsyms;

#endif
