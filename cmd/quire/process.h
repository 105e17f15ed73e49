/*
 * process.h - finding and starting programs of the host.
 */
#ifndef QUIRE_CMD_PROCESS_H
#define QUIRE_CMD_PROCESS_H

#include "cmd/quire/util.h"

/* Where programs are looked for when the environment does not say. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* PATH, or where it is not set the usual directories. */
const char *search_path(void);

/*
 * The path of an executable: name itself if it has a slash, else the first in the
 * colon-separated path. Allocated; NULL with errno ENOENT or EACCES.
 */
char *process_find(const char *name, const char *path);

/*
 * Start path with argv, in a session of its own (the terminal's keys do not reach it), killed when
 * this process dies. Inherits the n descriptors fds under their own numbers, standard input from
 * /dev/null, standard output and error to the descriptor out. Returns the pid or -errno.
 */
pid_t process_start(const char *path, char *const *argv, const int *fds, unsigned n, int out);

/* Run to the end and append what it prints to out. The wait status, or -1 if it cannot be started. */
int process_output(const char *path, char *const *argv, struct buf *out);

#endif
