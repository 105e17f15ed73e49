/*
 * random.c - random bytes: a ChaCha20 stream whose key is replaced by its own output after each block, so that
 * what was given out cannot be computed from a later state (fast key erasure, Bernstein 2017). What is left of a
 * block serves the next requests, and is wiped as it is given out.
 *
 * The key comes from seed= and, unless the run is to be repeatable (seed= was given), the CPU's generator and the clock.
 */
#include "kernel/random.h"
#include "arch/x86_64/arch.h"
#include "kernel/syscall.h"
#include "kernel/task.h"
#include "kernel/uaccess.h"
#include "lib/random.h"
#include "lib/string.h"

#define GRND_NONBLOCK 1u
#define GRND_RANDOM   2u
#define GRND_INSECURE 4u

static spinlock_t pool_lock; /* irqsave */
static uint32_t key[8];
static uint32_t blocks;
static uint8_t spare[32]; /* the last `left` bytes have not been given out */
static unsigned left;

void random_init(void)
{
	char text[24];
	uint64_t seed = 0, words[4];
	bool fixed =
	        boot_param("seed", text, sizeof(text)) > 0 && parse_u64(text, 16, NULL, &seed) == 0;
	struct random mix;

	if (!fixed)
		seed = arch_clock_ns();
	random_seed(&mix, seed);
	for (unsigned i = 0; i < 4; i++)
		words[i] = random_u64(&mix) ^ (fixed ? 0 : arch_random_seed());
	memcpy(key, words, sizeof(key));
}

/* The first half of a block is the next key, the second half is to be given out. */
static void next_block(void)
{
	static const uint32_t nonce[3];
	uint8_t block[64];

	chacha20_block(key, blocks++, nonce, block);
	memcpy(key, block, 32);
	memcpy(spare, block + 32, 32);
	left = sizeof(spare);
}

void get_random_bytes(void *buf, size_t n)
{
	uint8_t *to = buf;

	while (n) {
		irq_state_t state = spin_lock_irqsave(&pool_lock);
		size_t part;

		if (!left)
			next_block();
		part = MIN(n, left);
		memcpy(to, spare + sizeof(spare) - left, part);
		memset(spare + sizeof(spare) - left, 0, part);
		left -= (unsigned)part;
		spin_unlock_irqrestore(&pool_lock, state);
		to += part;
		n -= part;
	}
}

uint64_t get_random_u64(void)
{
	uint64_t value;

	get_random_bytes(&value, sizeof(value));
	return value;
}

void add_random_bytes(const void *buf, size_t n)
{
	const uint8_t *from = buf;
	irq_state_t state = spin_lock_irqsave(&pool_lock);

	for (size_t i = 0; i < n; i++)
		((uint8_t *)key)[i % sizeof(key)] ^= from[i];
	next_block();
	spin_unlock_irqrestore(&pool_lock, state);
}

SYSCALL3(getrandom, vaddr_t, buf, size_t, n, unsigned, flags)
{
	uint8_t chunk[256];
	size_t done = 0;

	if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	n = MIN(n, (size_t)INT32_MAX);
	while (done < n) {
		size_t part = MIN(n - done, sizeof(chunk));

		get_random_bytes(chunk, part);
		if (copy_to_user(buf + done, chunk, part))
			return done ? (int64_t)done : -EFAULT;
		done += part;
		if (signal_pending(current) && done < n)
			break;
		port_cond_resched();
	}
	return (int64_t)done;
}
