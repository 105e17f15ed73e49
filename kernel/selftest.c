/*
 * selftest.c - the ordinary kernel's side of selftest.h. The test kernel defines selftest_run().
 */
#include "kernel/selftest.h"
#include "drivers/console.h"
#include "kernel/log.h"
#include "kernel/task.h"
#include <quire/header.h>

/* Number of failed tests; given by the test kernel. */
int selftest_run(const char *filter) __attribute__((weak));

void selftest(void)
{
	char filter[64];
	int failed;

	if (boot_param("selftest", filter, sizeof(filter)) < 0)
		return;
	if (!selftest_run) {
		port_log("selftest: this kernel has no tests in it");
		failed = 1;
	} else {
		failed = selftest_run(filter);
	}
	quire_header.exit_kind = QUIRE_EXIT_STATUS;
	quire_header.exit_code = failed ? 1 : 0;
	atomic_store_explicit(&quire_header.state, QUIRE_DONE, memory_order_release);
	console_drain();
	arch_exit(0x10);
}
