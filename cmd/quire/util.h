/*
 * util.h - what every file of the command uses: messages, memory that cannot
 * fail, growing buffers, sizes as people write them.
 *
 * The command's messages are one line, "quire: what is wrong: what to do", on
 * standard error. Its own failures exit with EXIT_QUIRE, so that the statuses of
 * the programs it runs stay theirs.
 */
#ifndef QUIRE_CMD_UTIL_H
#define QUIRE_CMD_UTIL_H

#include <quire/types.h>
#include <sys/types.h>

#define EXIT_QUIRE          125 /* the command itself failed, or the kernel did */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND      127
#define EXIT_SIGNALLED      128 /* + the signal's number */

/* Print "quire: ...\n" on standard error. */
PRINTF(1, 2) void say(const char *fmt, ...);

/* say, then exit(EXIT_QUIRE): exit handlers run, so the terminal is restored. */
NORETURN PRINTF(1, 2) void die(const char *fmt, ...);

/* Never NULL: the command ends when the host has no memory for it. */
void *xcalloc(size_t count, size_t size);
char *xstrdup(const char *s);
PRINTF(1, 2) char *xasprintf(const char *fmt, ...);

/* A byte string that grows; always followed by a NUL that len does not count. */
struct buf {
	char *data;
	size_t len, cap;
};

void buf_add(struct buf *b, const void *data, size_t len);
PRINTF(2, 3) void buf_printf(struct buf *b, const char *fmt, ...);
void buf_free(struct buf *b);

/* A list of strings that it owns, ended by NULL as exec wants it. */
struct strings {
	char **v;
	size_t n;
};

void strings_add(struct strings *s, const char *text);
PRINTF(2, 3) void strings_addf(struct strings *s, const char *fmt, ...);

/* "64M", "1G", "4096": bytes. False when it is no such thing or overflows. */
bool parse_size(const char *text, uint64_t *size);

/* A whole decimal number within [low, high]. */
bool parse_number(const char *text, unsigned low, unsigned high, unsigned *value);

/* "64M", "4500K", "300": the shortest exact spelling. out holds 24 bytes. */
const char *size_text(uint64_t size, char *out);

/* All of data to fd, however many calls it takes. 0 or -errno. */
int write_all(int fd, const void *data, size_t len);

/* The whole of a small file, NULL with errno set when it cannot be read. */
char *read_file(const char *path, size_t *len);

/* An anonymous memory file, not inherited by children. Dies when there is none to be had. */
int memory_file(const char *name);

#endif
