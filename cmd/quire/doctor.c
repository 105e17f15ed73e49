/*
 * doctor.c - quire doctor: what this host can do, and what to install.
 */
#define _GNU_SOURCE
#include "cmd/quire/commands.h"
#include "cmd/quire/kernel.h"
#include "cmd/quire/process.h"
#include "cmd/quire/qemu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool qemu_line(void)
{
	char *path = process_find(QEMU_PROGRAM, getenv("PATH"));
	char *argv[] = {path, (char *)"--version", NULL};
	struct buf out = {0};
	bool good;

	if (!path) {
		printf("QEMU     missing: apt-get install qemu-system-x86\n");
		return false;
	}
	buf_add(&out, "", 0);
	good = process_output(path, argv, &out) == 0;
	out.data[strcspn(out.data, "\n")] = '\0';
	printf("QEMU     %s%s (%s)\n", good ? "" : "does not start: ", out.data, path);
	buf_free(&out);
	free(path);
	return good;
}

static void kvm_line(void)
{
	const char *why = qemu_kvm_unusable();

	if (why)
		printf("KVM      not used: %s; the guest is emulated, which is slower and always works\n",
		       why);
	else
		printf("KVM      used\n");
}

static void memory_line(void)
{
	char *text = read_file("/proc/meminfo", NULL);
	char *line = text ? strstr(text, "MemAvailable:") : NULL;

	if (line)
		printf("memory   %llu MiB available, %ld CPUs\n",
		       strtoull(line + 13, NULL, 10) / 1024, sysconf(_SC_NPROCESSORS_ONLN));
	free(text);
}

static bool kernel_line(void)
{
	char *path = kernel_beside();

	printf("kernel   %s\n", path ? path : "missing: run make");
	free(path);
	return path != NULL;
}

static bool installed(const char *file)
{
	char *path;

	if (file[0] == '/')
		return access(file, F_OK) == 0;
	path = process_find(file, getenv("PATH"));
	free(path);
	return path != NULL;
}

/* packages.txt: "package  command-or-file  purposes", # begins a comment. */
static void packages_line(void)
{
	char *path = beside_command("packages.txt");
	char *text = path ? read_file(path, NULL) : NULL;
	char *save = NULL;
	struct buf missing = {0};

	buf_add(&missing, "", 0);
	for (char *line = strtok_r(text, "\n", &save); text && line;
	     line = strtok_r(NULL, "\n", &save)) {
		char package[64], file[256];

		if (sscanf(line, "%63s %255s", package, file) == 2 && package[0] != '#' &&
		    !installed(file))
			buf_printf(&missing, " %s", package);
	}
	if (text && missing.len)
		printf("tests    packages missing: apt-get install --no-install-recommends%s\n",
		       missing.data);
	else if (text)
		printf("tests    every package they need is installed\n");
	buf_free(&missing);
	free(text);
	free(path);
}

int cmd_doctor(char **words)
{
	bool good;

	if (words[0] && (!strcmp(words[0], "--help") || !strcmp(words[0], "-h"))) {
		puts("usage: quire doctor\nSay what this host can do, and what to install. Exit status 0 when 'quire run' can work.");
		return 0;
	}
	if (words[0])
		die("doctor takes no arguments: write 'quire doctor'");
	good = qemu_line();
	kvm_line();
	good &= kernel_line();
	memory_line();
	packages_line();
	puts(good ? "quire run can work here" : "quire run cannot work here yet");
	return good ? 0 : EXIT_QUIRE;
}
