/*
 * symbol.h - addresses of code in words, for reports and files about who did something.
 *
 * As Linux prints them: "kmem_cache_alloc+0x1c/0x80", which is function, place in it and its length. An address that has no name
 * (the hosted machine has none) is a number, "0xffffffff80101234". Any context.
 */
#ifndef QUIRE_SYMBOL_H
#define QUIRE_SYMBOL_H

#include <quire/types.h>

#define KSYM_NAME_LEN   128u /* with the 0; scripts/kallsyms.sh refuses longer names */
#define KSYM_SYMBOL_LEN (KSYM_NAME_LEN + 40u) /* and two numbers of 64 bits */

/* Both return text. */
const char *sprint_symbol(char text[KSYM_SYMBOL_LEN], uintptr_t address);
/* Of a return address: named is the call before it, which may be the last of a function, to another that does not return. */
const char *sprint_backtrace(char text[KSYM_SYMBOL_LEN], uintptr_t address);

#endif
