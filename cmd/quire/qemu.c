/*
 * qemu.c - the virtual machine.
 *
 * QEMU's microvm board, stripped of what Quire does not drive: no ACPI, no PIT, PIC or RTC, no
 * default devices. It has no tables that tell of nodes, so with --numa it is the pc board, with its
 * firmware, and virtio devices on PCI. Nothing has a name on disk: memory, archive and serial log are memory files,
 * streams are socket pairs, all inherited and named by their descriptors. The streams are
 * virtserialport devices, not virtconsole, which would not tell the guest of open and close.
 */
#define _GNU_SOURCE
#include "cmd/quire/qemu.h"
#include "cmd/quire/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FIXED_SEED      0x5175697265ull
#define FIXED_WALLCLOCK 1700000000
#define WORDS_MAX       3584 /* the kernel keeps 4095 bytes, and QEMU appends a word for each device */

struct launch {
	struct strings argv;
	int fds[NR_STREAMS + NUMA_MAX_NODES + 2]; /* that QEMU inherits */
	unsigned nr_fds;
	int peers
	        [NR_STREAMS]; /* QEMU's ends of sockets: closed here, so that its death is end of file */
	unsigned nr_peers;
	const char *bus; /* what virtio devices' names end with */
};

char *qemu_find(void)
{
	char *path = process_find(QEMU_PROGRAM, search_path());

	if (!path)
		die(QEMU_PROGRAM " not found: apt-get install qemu-system-x86");
	return path;
}

/* A nested guest may have /dev/kvm without hardware help behind it; ours would crawl or abort there. */
const char *qemu_kvm_unusable(void)
{
	char *cpuinfo = read_file("/proc/cpuinfo", NULL);
	bool capable = cpuinfo && (strstr(cpuinfo, " vmx") || strstr(cpuinfo, " svm"));
	int fd;

	free(cpuinfo);
	if (!capable)
		return "the CPU offers neither vmx nor svm";
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? "no permission to open /dev/kvm" : "there is no /dev/kvm";
	close(fd);
	return NULL;
}

static bool choose_kvm(const struct options *o)
{
	const char *why = qemu_kvm_unusable();

	if (o->accel == ACCEL_KVM && why)
		die("--accel kvm cannot be used: %s: leave it out", why);
	return o->accel != ACCEL_TCG && !o->deterministic && !why;
}

static int inherit(struct launch *l, int fd)
{
	l->fds[l->nr_fds++] = fd;
	return fd;
}

/* QEMU splits option values at commas; a doubled comma is one. */
static char *escape(const char *value)
{
	struct buf b = {0};

	buf_add(&b, "", 0);
	for (; *value; value++)
		buf_add(&b, *value == ',' ? ",," : value, *value == ',' ? 2 : 1);
	return b.data;
}

static void add(struct launch *l, const char *word, const char *value)
{
	strings_add(&l->argv, word);
	if (value)
		strings_add(&l->argv, value);
}

static void add_memory(struct launch *l, const struct guest *g, unsigned i)
{
	add(l, "-object", NULL);
	strings_addf(&l->argv,
	             "memory-backend-file,id=ram%u,size=%llu,mem-path=/dev/fd/%d,share=on", i,
	             (unsigned long long)g->file[i].size, inherit(l, g->file[i].fd));
}

/* One board for all, at 3 GB as header.h has it, and one memory. */
static void add_board(struct launch *l, const struct guest *g)
{
	add(l, "-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,memory-backend=ram0");
	add(l, "-global", "virtio-mmio.force-legacy=false");
	add_memory(l, g, 0);
}

static void add_node(struct launch *l, const struct options *o, const struct guest *g, unsigned i)
{
	struct buf b = {0};

	buf_printf(&b, "node,nodeid=%u", i);
	if (g->file[i].size) {
		add_memory(l, g, i);
		buf_printf(&b, ",memdev=ram%u", i);
	}
	for (unsigned cpu = 0; cpu < o->cpus; cpu++)
		if (numa_node_of_cpu(&o->numa, cpu, o->cpus) == i)
			buf_printf(&b, ",cpus=%u", cpu);
	add(l, "-numa", b.data);
	buf_free(&b);
}

/* A hole where microvm has it. */
static void add_board_of_nodes(struct launch *l, const struct options *o, const struct guest *g)
{
	add(l, "-M", "pc,usb=off,max-ram-below-4g=3G");
	for (unsigned i = 0; i < o->numa.nodes; i++)
		add_node(l, o, g, i);
	for (unsigned i = 0; o->numa.distance && i < o->numa.nodes; i++)
		for (unsigned j = 0; j < o->numa.nodes; j++) {
			add(l, "-numa", NULL);
			strings_addf(&l->argv, "dist,src=%u,dst=%u,val=%u", i, j,
			             numa_distance(&o->numa, i, j));
		}
}

static void add_machine(struct launch *l, const struct options *o, const struct guest *g, bool kvm)
{
	add(l, "-nodefaults", NULL);
	add(l, "-no-user-config", NULL);
	add(l, "-no-reboot", NULL);
	add(l, "-display", "none");
	add(l, "-m", NULL);
	strings_addf(&l->argv, "%lluK", (unsigned long long)(g->size >> 10));
	add(l, "-smp", NULL);
	strings_addf(&l->argv, "%u", o->cpus);
	l->bus = o->numa.nodes ? "pci,disable-legacy=on" : "device";
	if (o->numa.nodes)
		add_board_of_nodes(l, o, g);
	else
		add_board(l, g);
	add(l, "-accel", kvm ? "kvm" : "tcg");
	add(l, "-cpu", kvm ? "host,-arch-capabilities" : "max");
	if (o->deterministic) {
		add(l, "-icount", "shift=0,sleep=off");
		add(l, "-seed", "1");
	}
	add(l, "-device", "isa-debug-exit,iobase=0xf4,iosize=4");
}

static void add_9p(struct launch *l, const char *tag, const char *path, bool readonly)
{
	char *escaped = escape(path);

	add(l, "-fsdev", NULL);
	strings_addf(&l->argv, "local,id=%s,security_model=none,multidevs=remap%s,path=%s", tag,
	             readonly ? ",readonly=on" : "", escaped);
	add(l, "-device", NULL);
	strings_addf(&l->argv, "virtio-9p-%s,fsdev=%s,mount_tag=%s", l->bus, tag, tag);
	free(escaped);
}

static void add_socket(struct launch *l, struct vm *vm, enum stream s)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		die("cannot make a socket: %s", strerror(errno));
	vm->stream[s] = ends[0];
	l->peers[l->nr_peers++] = ends[1];
	add(l, "-chardev", NULL);
	strings_addf(&l->argv, "socket,id=s%u,fd=%d", s, inherit(l, ends[1]));
}

static void add_file(struct launch *l, struct vm *vm, enum stream s)
{
	vm->stream[s] = memory_file("quire-stream");
	vm->is_file[s] = true;
	add(l, "-chardev", NULL);
	strings_addf(&l->argv, "file,id=s%u,path=/dev/fd/%d", s, inherit(l, vm->stream[s]));
}

static void add_streams(struct launch *l, struct vm *vm, const struct options *o)
{
	add(l, "-device", NULL);
	strings_addf(&l->argv, "virtio-serial-%s,max_ports=5", l->bus);
	for (unsigned s = STREAM_IN; s <= STREAM_CONTROL; s++) {
		if (o->deterministic && (s == STREAM_OUT || s == STREAM_ERR))
			add_file(l, vm, s);
		else
			add_socket(l, vm, s);
		add(l, "-device", NULL);
		strings_addf(&l->argv, "virtserialport,chardev=s%u,nr=%u", s, s + 1);
	}
	if (o->log && !o->deterministic)
		add_socket(l, vm, STREAM_SERIAL);
	else
		add_file(l, vm, STREAM_SERIAL);
	add(l, "-serial", NULL);
	strings_addf(&l->argv, "chardev:s%u", STREAM_SERIAL);
}

static unsigned count_words(const char *line)
{
	unsigned n = *line != '\0';

	for (; *line; line++)
		n += *line == ' ';
	return n;
}

/* The kernel's command line: doc/boot-protocol.md. */
static void add_words(struct launch *l, struct vm *vm, const struct options *o,
                      const struct guest *g, const struct archive *a, const struct boot_words *w)
{
	struct buf b = {0};
	struct timespec now = {.tv_sec = FIXED_WALLCLOCK};
	uint64_t seed = FIXED_SEED;

	if (!o->deterministic) {
		clock_gettime(CLOCK_REALTIME, &now);
		seed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15ull ^ w->tsc_khz ^
		       (uint64_t)getpid();
		if (getentropy(&seed, sizeof(seed)) < 0)
			seed ^= (uint64_t)now.tv_sec << 32;
	}
	buf_printf(&b, "ncpus=%u tsc_khz=%llu wallclock=%lld.%09ld seed=%016llx stdio=%s", o->cpus,
	           (unsigned long long)w->tsc_khz, (long long)now.tv_sec, now.tv_nsec,
	           (unsigned long long)seed, w->stdio);
	if (w->rows)
		buf_printf(&b, " winsize=%ux%u", w->rows, w->columns);
	buf_printf(&b, " root=%s", a->cpio_root ? "cpio" : "9p");
	if (g->trace_size)
		buf_printf(&b, " trace=0x%llx,%llu", (unsigned long long)g->trace_paddr,
		           (unsigned long long)g->trace_size);
	if (o->log)
		buf_printf(&b, " log");
	if (o->selftest)
		buf_printf(&b, " selftest%s%s", *o->selftest ? "=" : "", o->selftest);
	if (o->slab)
		buf_printf(&b, " slab=%s", o->slab);
	vm->first_tunable = count_words(b.data);
	for (size_t i = 0; i < o->set.n; i++)
		buf_printf(&b, " %s", o->set.v[i]);
	if (b.len > WORDS_MAX)
		die("the tunables of --set are %zu bytes too long: leave some out",
		    b.len - WORDS_MAX);
	add(l, "-append", b.data);
	buf_free(&b);
}

void qemu_start(struct vm *vm, const char *qemu, const char *kernel, const struct options *o,
                const struct guest *g, const struct archive *a, const struct boot_words *w)
{
	struct launch l = {0};

	*vm = (struct vm){.messages = memory_file("quire-qemu")};
	add(&l, qemu, NULL);
	add_machine(&l, o, g, choose_kvm(o));
	add_streams(&l, vm, o);
	if (a->share)
		add_9p(&l, "root", a->share, true);
	for (unsigned i = 0; i < a->nr_shares; i++) {
		char tag[] = {'s', 'h', 'a', 'r', 'e', (char)('0' + i), '\0'};

		add_9p(&l, tag, a->shares[i].host, !a->shares[i].writable);
	}
	add(&l, "-kernel", kernel);
	add(&l, "-initrd", NULL);
	strings_addf(&l.argv, "/dev/fd/%d", inherit(&l, a->fd));
	add_words(&l, vm, o, g, a, w);
	vm->pid = process_start(qemu, l.argv.v, l.fds, l.nr_fds, vm->messages);
	if (vm->pid < 0)
		die("cannot start %s: %s", qemu, strerror(-vm->pid));
	for (unsigned i = 0; i < l.nr_peers; i++)
		close(l.peers[i]);
}
