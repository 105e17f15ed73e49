/*
 * sysinfo.c - what the system says of itself: uname, sysinfo, its names, the log.
 */
#include "kernel/log.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/uaccess.h"
#include "kernel/utsname.h"
#include "lib/string.h"
#include <quire/slab.h>

struct utsname init_uts = {
        .sysname = "Linux",
        .nodename = "quire",
        .release = "6.1.0-quire",
        .version = "#1 SMP Quire",
        .machine = "x86_64",
        .domainname = "(none)",
};
static spinlock_t uts_lock; /* not taken by interrupts */

SYSCALL1(uname, vaddr_t, to)
{
	struct utsname copy;

	spin_lock(&uts_lock);
	copy = init_uts;
	spin_unlock(&uts_lock);
	return copy_to_user(to, &copy, sizeof(copy));
}

static int64_t set_uts_field(char *field, vaddr_t from, int len)
{
	char name[UTS_FIELD] = {0};

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (len < 0 || len >= UTS_FIELD)
		return -EINVAL;
	if (copy_from_user(name, from, (size_t)len))
		return -EFAULT;
	spin_lock(&uts_lock);
	memcpy(field, name, UTS_FIELD);
	spin_unlock(&uts_lock);
	return 0;
}

SYSCALL2(sethostname, vaddr_t, from, int, len)
{
	return set_uts_field(init_uts.nodename, from, len);
}

SYSCALL2(setdomainname, vaddr_t, from, int, len)
{
	return set_uts_field(init_uts.domainname, from, len);
}

struct sysinfo { /* of the ABI */
	int64_t uptime;
	uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, pad;
	uint64_t totalhigh, freehigh;
	uint32_t mem_unit;
};

SYSCALL1(sysinfo, vaddr_t, to)
{
	struct sysinfo info = {0};

	info.uptime = (int64_t)(port_now_ns() / NSEC_PER_SEC);
	get_loadavg(info.loads);
	for (unsigned i = 0; i < 3; i++)
		info.loads[i] <<= 5; /* 1/2048 to the ABI's 1/65536 */
	info.totalram = totalram_pages() * PAGE_SIZE;
	info.freeram = nr_free_pages() * PAGE_SIZE;
	info.sharedram = frame_kind_pages(FRAME_SHMEM) * PAGE_SIZE;
	info.procs = (uint16_t)nr_tasks();
	info.mem_unit = 1;
	return copy_to_user(to, &info, sizeof(info));
}

/* --- the log: syslog(2) -------------------------------------------------------------------------------------- */

#define SYSLOG_ACTION_CLOSE       0
#define SYSLOG_ACTION_OPEN        1
#define SYSLOG_ACTION_READ_ALL    3
#define SYSLOG_ACTION_SIZE_BUFFER 10

/* The newest `len` bytes. */
static int64_t syslog_read_all(vaddr_t buf, int len)
{
	uint64_t pos = 0, end;
	char chunk[256];
	int64_t done = 0;
	size_t n;

	if (len < 0 || !buf)
		return -EINVAL;
	end = log_end();
	pos = end > (uint64_t)len ? end - (uint64_t)len : 0;
	while (done < len && pos < end) {
		n = log_read(&pos, chunk, MIN(sizeof(chunk), (size_t)(len - done)));
		if (!n)
			break;
		if (copy_to_user(buf + (uint64_t)done, chunk, n))
			return -EFAULT;
		done += (int64_t)n;
	}
	return done;
}

SYSCALL3(syslog, int, action, vaddr_t, buf, int, len)
{
	switch (action) {
	case SYSLOG_ACTION_CLOSE:
	case SYSLOG_ACTION_OPEN:
		return 0;
	case SYSLOG_ACTION_READ_ALL:
		return syslog_read_all(buf, len);
	case SYSLOG_ACTION_SIZE_BUFFER:
		return (int64_t)log_size();
	default:
		return -EINVAL;
	}
}
