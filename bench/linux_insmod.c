/*
 * linux_insmod.c - the program that bench/linux_module.sh runs on Linux: loads the module that is linked into it, and
 * prints what the module has logged under the name SOMETHING_speed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char _binary_peer_ko_start[], _binary_peer_ko_end[];

int main(void)
{
	size_t size = (size_t)(_binary_peer_ko_end - _binary_peer_ko_start);
	static char log[1 << 20];
	char *line = log;
	void *module = malloc(size);

	if (!module)
		return 1;
	memcpy(module, _binary_peer_ko_start, size); /* aligned as the kernel wants it */
	if (syscall(SYS_init_module, module, size, "")) {
		perror("init_module");
		return 1;
	}
	if (klogctl(3, log, sizeof(log) - 1) < 0) {
		perror("klogctl");
		return 1;
	}
	while ((line = strstr(line, "_speed: "))) {
		line += strlen("_speed: ");
		printf("%.*s\n", (int)strcspn(line, "\n"), line);
	}
	return 0;
}
