/*
 * boot.h - the manager's words of the boot command line. One that cannot be understood is as if it were absent, and the log says so.
 */
#ifndef QUIRE_BOOT_H
#define QUIRE_BOOT_H

#include <quire/types.h>

/* on or off, as parse_bool() reads it; off if it is absent. */
bool boot_switch(const char *key);
/* The same, but it needs no value to be on. */
bool boot_flag(const char *key);
/* 0 to max; otherwise, if it is absent. */
int boot_number(const char *key, int max, int otherwise);

#endif
