/*
 * symbols.h - names for the kernel's addresses.
 *
 * The kernel prints a backtrace as addresses, "[<ffffffff80101234>]": it carries no names in its memory. The
 * command has the kernel's file, whose symbol table gives them.
 */
#ifndef QUIRE_CMD_SYMBOLS_H
#define QUIRE_CMD_SYMBOLS_H

#include "cmd/quire/util.h"

/*
 * Copy text to out with " function+0xoffset/0xsize" behind each address in brackets that lies in a function of the kernel in
 * the file `kernel`; only the lines with such addresses if only_addresses. A file without symbols: the text as it is.
 */
void symbols_annotate(const char *kernel, const char *text, bool only_addresses, struct buf *out);

#endif
