/*
 * boot.c - the manager's words of the boot command line (boot.h).
 */
#include <quire/boot.h>
#include <quire/port.h>

#include "lib/string.h"
#include "lib/words.h"

/* What is cut is longer than any word for on or off. */
bool boot_switch(const char *key)
{
	char text[8];
	bool on = false;

	if (port_boot_param(key, text, sizeof(text)) >= 0 && parse_bool(text, &on))
		port_log("boot: %s=%s is not on or off: ignored", key, text);
	return on;
}

bool boot_flag(const char *key)
{
	return !port_boot_param(key, NULL, 0) || boot_switch(key);
}

int boot_number(const char *key, int max, int otherwise)
{
	char text[8];
	const int64_t len = port_boot_param(key, text, sizeof(text));
	const char *end;
	uint64_t n;

	if (len < 0)
		return otherwise;
	if (len < (int64_t)sizeof(text) && !parse_u64(text, 10, &end, &n) && !*end &&
	    n <= (unsigned)max)
		return (int)n;
	port_log("boot: %s=%s is not 0 to %d: ignored", key, text, max);
	return otherwise;
}
