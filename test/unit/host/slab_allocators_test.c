/*
 * slab_allocators_test.c - all three allocators, whatever the runner's is: random work against a model, each time on a
 * fresh machine. What fails is made as short as it can be, and printed.
 */
#include "host/internal.h"
#include "test/unit/mm/slab/model.h"
#include "test/unit/host/own_machine.h"
#include "test/unit/unit.h"

#include <quire/check.h>

#include <setjmp.h>
#include <string.h>

#define OPS    3000u
#define ROUNDS 4u

static const char *const words[] = {
        "slab=slub",
        "slab=slub slab_arrays=0",
        "slab=slub slab_harden",
        "slab=slub slub_debug=FZPU",
        "slab=slab",
        "slab=slab slub_debug=FZPU",
        "slab=slab slab_arrays=0 slab_nomerge",
        "slab=slob",
        "slab=slob slob_fit=next",
        "slab=slob slob_fit=best",
        "slab=slob slub_debug=FZU",
};

static struct slab_op ops[OPS], fewer[OPS];

static jmp_buf out;
static char said[256];

static void note(const char *message)
{
	strncpy(said, message, sizeof(said) - 1);
	longjmp(out, 1);
}

/* On a machine of its own. NULL, or what is wrong. */
static const char *run_on(const char *boot, const struct slab_op *list, unsigned n, unsigned *at)
{
	const char *volatile wrong = said;

	if (!own_enter(&(struct host_config){.ram = 32ull << 20, .seed = 5, .boot_words = boot}))
		return "no machine";
	host_panic_hook = note;
	if (!setjmp(out))
		wrong = slab_model_run(list, n, at);
	host_panic_hook = NULL;
	if (!wrong)
		wrong = mm_check();
	own_leave();
	return wrong;
}

/* Leave out ever smaller pieces of the list as long as it still fails. Returns its length. */
static unsigned shorten(const char *boot, unsigned n)
{
	unsigned at;

	for (unsigned piece = n / 2; piece; piece /= 2) {
		for (unsigned from = 0; from + piece <= n;) {
			memcpy(fewer, ops, from * sizeof(*ops));
			memcpy(fewer + from, ops + from + piece, (n - from - piece) * sizeof(*ops));
			if (!run_on(boot, fewer, n - piece, &at)) {
				from += piece;
				continue;
			}
			n -= piece;
			memcpy(ops, fewer, n * sizeof(*ops));
		}
	}
	return n;
}

UNIT_TEST(every_allocator_against_a_model)
{
	for (unsigned i = 0; i < ARRAY_SIZE(words) * ROUNDS; i++) {
		const char *boot = words[i % ARRAY_SIZE(words)], *wrong;
		unsigned at = 0, n;

		slab_model_make(ops, OPS, unit_random());
		wrong = run_on(boot, ops, OPS, &at);
		if (!wrong)
			continue;
		n = shorten(boot, MIN(at, OPS));
		slab_model_print(ops, n);
		CHECK_MSG(false, "%s: %s; these %u steps suffice", boot, wrong, n);
	}
}
