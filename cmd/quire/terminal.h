/*
 * terminal.h - the host's terminal while the guest uses it: raw, so that every key
 * reaches the guest's own terminal driver, and given back on every way out.
 */
#ifndef QUIRE_CMD_TERMINAL_H
#define QUIRE_CMD_TERMINAL_H

#include <stdbool.h>

/* Raw mode on standard input's terminal; the first call remembers how it was. */
void terminal_raw(void);

/* As it was before terminal_raw. Also runs at exit; may be called at any time. */
void terminal_restore(void);

bool terminal_is_raw(void);

/* Rows and columns; false when the terminal does not say. */
bool terminal_size(unsigned *rows, unsigned *columns);

#endif
