/*
 * selftest.h - where the test kernel's unit tests hook in.
 */
#ifndef KERNEL_SELFTEST_H
#define KERNEL_SELFTEST_H

/*
 * Run the unit tests instead of a program, if the command line has selftest[=FILTER], and end the machine with their
 * result. The ordinary kernel has none: nothing, with a log line if they were asked for.
 */
void selftest(void);

#endif
