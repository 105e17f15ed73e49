/*
 * random.h - the kernel's pool of random bytes: ChaCha20, seeded once (kernel/random.c).
 */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include <quire/types.h>

/* n random bytes. Any context. With seed= on the command line the sequence is the same in every run. */
void get_random_bytes(void *buf, size_t n);
uint64_t get_random_u64(void);
/* Stir in what a program wrote to /dev/random. */
void add_random_bytes(const void *buf, size_t n);
void random_init(void);

#endif
