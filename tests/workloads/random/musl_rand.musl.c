// musl's rand() in forked children. `musl_rand HOW`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
	const char *how = argc > 1 ? argv[1] : "equal";
	srand(42);
	rand();
	for (int i = 0; i < 2; i++) {
		if (fork() != 0) continue;
		if (!strcmp(how, "by-pid")) srand((unsigned)getpid());
		long sum = 0;
		for (int n = 0; n < (!strcmp(how, "one") && i ? 0 : 6); n++) sum += rand();
		if (!strcmp(how, "equal")) printf("same=%d\n", getpid());
		printf("sum=%ld\n", sum);
		fflush(stdout);
		usleep(1500000);
		_exit(0);
	}
	while (wait(NULL) > 0);
	return 0;
}
