/* threads.c - threads of one process: mutexes, conditions, barriers, thread-local data, malloc, fork and exit. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS  2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter, whose;
static __thread long mine;

static void *add(void *arg)
{
	long id = (long)arg;

	for (int i = 0; i < ROUNDS; i++) {
		char *p = malloc(16 + (size_t)(i * 37 % 5000));

		memset(p, (int)id, 16);
		pthread_mutex_lock(&lock);
		counter++;
		pthread_mutex_unlock(&lock);
		mine += p[7];
		free(p);
	}
	pthread_barrier_wait(&barrier);
	pthread_mutex_lock(&lock);
	while (whose != id)
		pthread_cond_wait(&turn, &lock);
	printf("thread %ld: %ld\n", id, mine);
	whose++;
	pthread_cond_broadcast(&turn);
	pthread_mutex_unlock(&lock);
	return (void *)mine;
}

int main(void)
{
	pthread_t thread[THREADS];
	long sum = 0;
	int status;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, add, (void *)i) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		sum += (long)result;
	}
	printf("counter %ld, sum %ld\n", counter, sum);
	fflush(stdout);
	if (fork() == 0)
		_exit(counter == THREADS * ROUNDS ? 5 : 6);
	wait(&status);
	printf("child: %d\n", WEXITSTATUS(status));
	return 0;
}
