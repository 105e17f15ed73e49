/* hello.c - what a C library does at start: arguments, environment, auxiliary vector, buffered output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int initialized = 42;
static int zeroed[5000];

int main(int argc, char **argv)
{
	int sum = 0;
	char *block = malloc(300000);

	for (int i = 0; i < 5000; i++)
		sum += zeroed[i];
	if (!block)
		return 1;
	memset(block, 'x', 300000);
	printf("hello, %d %d %d\n", initialized, sum, block[299999] == 'x');
	for (int i = 1; i < argc; i++)
		printf("argv[%d] = %s\n", i, argv[i]);
	printf("page size %ld, AT_PAGESZ %lu, LC_ALL %s\n", sysconf(_SC_PAGESIZE),
	       getauxval(AT_PAGESZ), getenv("LC_ALL") ? getenv("LC_ALL") : "unset");
	free(block);
	return 7;
}
