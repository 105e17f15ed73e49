/*
 * terminal.c - the host's terminal.
 */
#include "cmd/quire/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool known, raw;

void terminal_raw(void)
{
	struct termios t;

	if (!known) {
		if (tcgetattr(STDIN_FILENO, &before) < 0)
			return;
		known = true;
		atexit(terminal_restore);
	}
	t = before;
	cfmakeraw(&t);
	raw = tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

void terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	raw = false;
}

bool terminal_is_raw(void)
{
	return raw;
}

bool terminal_size(unsigned *rows, unsigned *columns)
{
	struct winsize w;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) < 0 || !w.ws_row || !w.ws_col)
		return false;
	*rows = w.ws_row;
	*columns = w.ws_col;
	return true;
}
