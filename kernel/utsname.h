/*
 * utsname.h - the system's names: uname(2), /proc/sys/kernel, /proc/version.
 */
#ifndef KERNEL_UTSNAME_H
#define KERNEL_UTSNAME_H

#define UTS_FIELD 65

struct utsname { /* of the ABI */
	char sysname[UTS_FIELD], nodename[UTS_FIELD], release[UTS_FIELD], version[UTS_FIELD],
	        machine[UTS_FIELD], domainname[UTS_FIELD];
};

extern struct utsname init_uts;

#endif
