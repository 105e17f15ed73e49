/*
 * header.h - what a running Quire publishes about itself in its own memory.
 *
 * Guest memory is a file that the host maps, so observation needs no code in the
 * guest and no serial port: the kernel fills in this page, and whoever holds the
 * file (the quire command, a debugger, a researcher's script) reads it. The page
 * is the first of the kernel image, at a fixed physical address.
 *
 *   QUIRE_HEADER_PADDR -> struct quire_header
 *                           |- log            ring of text, the newest log_size bytes
 *                           |- cpu_area[i]    counters of CPU i (order: events.def)
 *                           `- ring[i]        struct trace_ring of CPU i, then its bytes
 *
 * All addresses are guest-physical. Below 3 GB an address is also the offset in
 * the memory file; above 4 GB the offset is the address less QUIRE_HOLE_SIZE.
 * Everything is little endian and naturally aligned; a reader checks magic and
 * version first. Writers: (B) boot only, (K) the kernel at any time, (H) the host.
 */
#ifndef QUIRE_HEADER_H
#define QUIRE_HEADER_H

#include <quire/types.h>

#define QUIRE_HEADER_PADDR   0x100000u
#define QUIRE_HEADER_MAGIC   0x3130455249555121ull /* "!QUIRE01" */
#define QUIRE_HEADER_VERSION 1
#define QUIRE_HOLE_START     0xc0000000ull
#define QUIRE_HOLE_SIZE      0x40000000ull
#define QUIRE_MAX_CPUS       8

enum quire_state {
	QUIRE_BOOTING = 0,
	QUIRE_RUNNING = 1, /* the first program runs */
	QUIRE_DONE = 2,    /* the first program ended: exit_kind and exit_code hold */
	QUIRE_PANIC = 3,   /* the log ends with the reason and a backtrace */
};

enum quire_exit_kind {
	QUIRE_EXIT_NONE = 0,
	QUIRE_EXIT_STATUS = 1, /* exit_code: what the program passed to exit, 0..255 */
	QUIRE_EXIT_SIGNAL = 2, /* exit_code: the signal that ended it */
	QUIRE_EXIT_EXEC = 3,   /* it could not be started; exit_code: the errno, positive */
	QUIRE_EXIT_MEMORY = 4, /* memory too small to boot; exit_code: KiB that would do */
	/* A word of the command line means nothing; exit_code: which, from 0. */
	QUIRE_EXIT_WORD = 5,
};

/* Where the frames are, in pages. Sampled by the kernel at the points named below. */
struct quire_frames {
	uint64_t present;   /* frames of RAM that the memory map offers */
	uint64_t reserved;  /* never given to the buddy: kernel image, mem_map, boot data */
	uint64_t free;      /* in the buddy and on per-CPU lists */
	uint64_t slab;      /* kernel objects */
	uint64_t pagetable; /* page tables of programs and of the kernel */
	uint64_t kstack;    /* kernel stacks */
	uint64_t vmalloc;
	uint64_t anon;  /* anonymous memory of programs */
	uint64_t file;  /* page cache of files */
	uint64_t shmem; /* page cache of memory file systems and shared anonymous memory */
	uint64_t other; /* allocated by the kernel for anything else */
};

struct quire_header {
	uint64_t magic;         /* (B) */
	uint32_t version;       /* (B) */
	uint32_t header_size;   /* (B) sizeof(struct quire_header) */
	_Atomic uint32_t state; /* (K) enum quire_state; written last */
	uint32_t exit_kind;     /* (K) */
	int32_t exit_code;      /* (K) */
	uint32_t nr_cpus;       /* (B) CPUs that came up */
	uint64_t boot_ns;       /* (K) entry of the kernel to start of the first program */
	uint64_t run_ns;        /* (K) start of the first program to its end */

	uint64_t log_paddr; /* (B) */
	uint64_t log_size;  /* (B) a power of two */
	/* (K) bytes ever written; byte i is at log_paddr + i % log_size. */
	_Atomic uint64_t log_head;

	uint32_t nr_counters;                  /* (B) */
	uint32_t nr_events;                    /* (B) */
	uint64_t cpu_counters[QUIRE_MAX_CPUS]; /* (B) -> uint64_t[nr_counters]; 0 where no CPU */
	uint64_t ring[QUIRE_MAX_CPUS];         /* (B) -> struct trace_ring; 0 when tracing is off */

	struct quire_frames at_start; /* (K) just before the first program is loaded */
	struct quire_frames at_end; /* (K) after the last process has gone and caches are dropped */
	struct quire_frames at_exit; /* (K) when the first program ended, caches still warm */
	uint64_t min_free;           /* (K) fewest free frames seen at any allocation, in pages */
	uint32_t oom_killed; /* (K) with QUIRE_EXIT_SIGNAL: 1 if it was sent for want of memory */
};

/*
 * A ring of trace records, one for each CPU. The producer is that CPU; the
 * consumer is the host. head and tail count bytes and never wrap; a record does
 * not wrap round the end of the data (a pad record fills the gap).
 */
struct trace_ring {
	_Atomic uint64_t head; /* (K) bytes produced; stored with release after the record */
	_Atomic uint64_t lost; /* (K) records that found the ring full */
	uint64_t data_paddr;   /* (B) */
	uint64_t data_size;    /* (B) a power of two */
	uint8_t pad[32];
	_Atomic uint64_t tail; /* (H) bytes consumed; stays 0 when nobody drains */
	uint8_t pad2[56];
};

/* A record: this header, then nargs 64-bit arguments in the order of events.def. */
struct trace_record {
	uint64_t ns;    /* CLOCK_MONOTONIC */
	uint16_t event; /* enum trace_event; TRACE_PAD fills the end of the ring */
	uint8_t nargs;
	uint8_t flags; /* TRACE_IRQ */
	int32_t pid;   /* of the running task; 0 = idle or boot */
};

#define TRACE_PAD 0xffff
#define TRACE_IRQ 1 /* recorded in interrupt context */

static_assert(sizeof(struct quire_header) <= 4096, "the header is one page");
static_assert(sizeof(struct trace_ring) == 128, "producer and consumer lines apart");
static_assert(sizeof(struct trace_record) == 16, "");

#endif
