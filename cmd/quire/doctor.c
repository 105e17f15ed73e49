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

struct facts {
	char *qemu, *kernel; /* paths; NULL: missing */
	struct buf version;  /* QEMU's first line */
	bool qemu_starts, packages_known;
	const char *no_kvm; /* NULL: KVM can be used */
	uint64_t available_kib;
	long cpus;
	struct buf missing; /* packages, each behind a space */
};

static void find_qemu(struct facts *f)
{
	char *argv[] = {NULL, (char *)"--version", NULL};

	buf_add(&f->version, "", 0);
	f->qemu = argv[0] = process_find(QEMU_PROGRAM, search_path());
	if (!f->qemu)
		return;
	f->qemu_starts = process_output(f->qemu, argv, &f->version) == 0;
	f->version.data[strcspn(f->version.data, "\n")] = '\0';
}

static void find_memory(struct facts *f)
{
	char *text = read_file("/proc/meminfo", NULL);
	char *line = text ? strstr(text, "MemAvailable:") : NULL;

	f->available_kib = line ? strtoull(line + 13, NULL, 10) : 0;
	f->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	free(text);
}

static bool installed(const char *file)
{
	char *path;

	if (file[0] == '/')
		return access(file, F_OK) == 0;
	path = process_find(file, search_path());
	free(path);
	return path != NULL;
}

/* packages.txt: "package  command-or-file  purposes", # begins a comment. */
static void find_packages(struct facts *f)
{
	char *path = beside_command("packages.txt");
	char *text = path ? read_file(path, NULL) : NULL;
	char *save = NULL;

	buf_add(&f->missing, "", 0);
	f->packages_known = text;
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char package[64], file[256];

		if (sscanf(line, "%63s %255s", package, file) == 2 && package[0] != '#' &&
		    !installed(file))
			buf_printf(&f->missing, " %s", package);
	}
	free(text);
	free(path);
}

static void print_text(const struct facts *f)
{
	if (f->qemu)
		printf("QEMU     %s%s (%s)\n",
		       f->qemu_starts ? "" : "does not start: ", f->version.data, f->qemu);
	else
		printf("QEMU     missing: apt-get install qemu-system-x86\n");
	if (f->no_kvm)
		printf("KVM      not used: %s; the guest is emulated, which is slower and always works\n",
		       f->no_kvm);
	else
		printf("KVM      used\n");
	printf("kernel   %s\n", f->kernel ? f->kernel : "missing: run make");
	printf("memory   %llu MiB available, %ld CPUs\n",
	       (unsigned long long)f->available_kib / 1024, f->cpus);
	if (f->missing.len)
		printf("tests    packages missing: apt-get install --no-install-recommends%s\n",
		       f->missing.data);
	else if (f->packages_known)
		printf("tests    every package they need is installed\n");
}

/* A string of JSON or null; what could break it is left out. */
static void json_string(const char *key, const char *value)
{
	printf("\"%s\":", key);
	if (!value) {
		printf("null,");
		return;
	}
	putchar('"');
	for (; *value; value++)
		if (*value >= ' ' && *value != '"' && *value != '\\')
			putchar(*value);
	printf("\",");
}

static void print_json(const struct facts *f, bool good)
{
	putchar('{');
	json_string("qemu", f->qemu);
	json_string("qemu_version", f->qemu_starts ? f->version.data : NULL);
	json_string("no_kvm", f->no_kvm);
	json_string("kernel", f->kernel);
	json_string("packages_missing", f->missing.len ? f->missing.data + 1 : NULL);
	printf("\"available_kib\":%llu,\"cpus\":%ld,\"can_run\":%s}\n",
	       (unsigned long long)f->available_kib, f->cpus, good ? "true" : "false");
}

int cmd_doctor(char **words)
{
	struct facts f = {0};
	bool json = words[0] && !strcmp(words[0], "--json"), good;

	if (words[0] && (!strcmp(words[0], "--help") || !strcmp(words[0], "-h"))) {
		puts("usage: quire doctor [--json]\n"
		     "Say what this host can do, and what to install. Exit status 0 when 'quire run' can work.");
		return 0;
	}
	if (words[0] && (!json || words[1]))
		die("doctor takes no arguments but --json: write 'quire doctor'");
	find_qemu(&f);
	find_memory(&f);
	find_packages(&f);
	f.no_kvm = qemu_kvm_unusable();
	f.kernel = kernel_beside();
	good = f.qemu_starts && f.kernel;
	if (json)
		print_json(&f, good);
	else
		print_text(&f);
	if (!json)
		puts(good ? "quire run can work here" : "quire run cannot work here yet");
	return good ? 0 : EXIT_QUIRE;
}
