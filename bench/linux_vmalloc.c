/*
 * linux_vmalloc.c - a module for the Linux that Quire is compared with: the pairs of
 * test/unit/kernel/vmalloc_speed_test.c, printed to the kernel's log in the same form.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

static int measure(size_t size, unsigned int n, u64 *pair, u64 *alloc)
{
	u64 start = ktime_get_ns(), between;

	*alloc = 0;
	for (unsigned int i = 0; i < n; i++) {
		void *p;

		between = ktime_get_ns();
		p = vmalloc_huge(size, GFP_KERNEL);
		*alloc += ktime_get_ns() - between;
		if (!p)
			return -ENOMEM;
		vfree(p);
	}
	*pair = div_u64(ktime_get_ns() - start, n);
	*alloc = div_u64(*alloc, n);
	return 0;
}

static int __init vmalloc_speed_init(void)
{
	static const struct {
		const char *name;
		size_t size;
		unsigned int n;
	} rows[] = {{"4 KB", 4 << 10, 20000}, {"16 KB", 16 << 10, 8000}, {"64 KB", 64 << 10, 4000},
	            {"1 MB", 1 << 20, 200},   {"2 MB", 2 << 20, 200},    {"64 MB", 64 << 20, 10}};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 pair, alloc;

		if (measure(rows[i].size, 2, &pair, &alloc) ||
		    measure(rows[i].size, rows[i].n, &pair, &alloc))
			return -ENOMEM;
		pr_info("bench: %-8s vmalloc %9llu  vfree %9llu\n", rows[i].name, alloc,
		        pair - alloc);
	}
	return 0;
}
module_init(vmalloc_speed_init);
MODULE_LICENSE("Dual MIT/GPL");
