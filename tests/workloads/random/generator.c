// C's generators in forked children. `generator WHAT HOW`: how the children come to their numbers.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *what, *how;
static struct random_data own;
static char table[64];
static struct drand48_data reentrant;

static void seed(unsigned value) {
	if (!strcmp(what, "drand48")) srand48(value);
	else if (!strcmp(what, "drand48_r")) srand48_r(value, &reentrant);
	else if (!strcmp(what, "random_r")) {
		memset(&own, 0, sizeof own);
		initstate_r(value, table, sizeof table, &own);
	} else if (!strcmp(what, "initstate")) initstate(value, table, sizeof table);
	else srandom(value);
}

static double draw(void) {
	double number;
	int32_t word;
	uint32_t fresh;
	if (!strcmp(what, "drand48")) return drand48();
	if (!strcmp(what, "drand48_r")) return drand48_r(&reentrant, &number), number;
	if (!strcmp(what, "random_r")) return random_r(&own, &word), word;
	if (!strcmp(what, "rand")) return rand();
	if (!strcmp(what, "kernel")) return getrandom(&fresh, sizeof fresh, 0) > 0 ? fresh : 0;
	return (double)random();
}

static unsigned fresh(void) {
	unsigned value = 0;
	return getrandom(&value, sizeof value, 0) > 0 ? value : (unsigned)getpid();
}

static void child(int number) {
	if (!strcmp(how, "reseeded")) seed(fresh());
	if (!strcmp(how, "by-pid")) seed((unsigned)getpid());
	if (!strcmp(how, "alike")) seed(4711);
	int draws = !strcmp(how, "unused") || !strcmp(how, "parent") || (!strcmp(how, "one") && number) ? 0 : 6;
	double sum = 0;
	for (int i = 0; i < draws; i++) sum += draw();
	if (!strcmp(how, "equal")) printf("same=%d\n", getpid());
	printf("sum=%.0f\n", sum);
	fflush(stdout);
	usleep(1500000);
	_exit(0);
}

int main(int argc, char **argv) {
	what = argc > 1 ? argv[1] : "random";
	how = argc > 2 ? argv[2] : "equal";
	seed(42);
	for (int i = 0; i < 3; i++) draw();
	fflush(stdout);
	for (int i = 0; i < 2; i++)
		if (fork() == 0) child(i);
	for (int i = 0; i < 6 && !strcmp(how, "parent"); i++) draw();
	while (wait(NULL) > 0);
	return 0;
}
