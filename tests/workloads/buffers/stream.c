// Text in a buffer of C's stdio when the process forks: `stream WHICH HOW`. In the end the program counts how
// often the text is in the file, and says so: `times=2`.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#ifdef __GLIBC__
#include <stdio_ext.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT "written before the fork"

static const char *which, *how;
static FILE *stream;
static int file, said;

static int is(const char *name) { return !strcmp(how, name); }

static void rest(int ms) { usleep((useconds_t)ms * 1000); }

// Past every buffer.
static void say(const char *name, int value) {
	char line[64];
	int length = snprintf(line, sizeof line, "%s=%d\n", name, value);
	if (write(said, line, (size_t)length) != length) _exit(9);
}

static void count(void) {
	static char all[65536];
	int times = 0;
	ssize_t length = pread(file, all, sizeof all - 1, 0);
	all[length > 0 ? length : 0] = 0;
	for (char *at = all; (at = strstr(at, TEXT)); at++) times++;
	say("times", times);
}

static void open_stream(void) {
	char path[] = "/tmp/forktrace-stream-XXXXXX";
	file = mkstemp(path);
	said = dup(STDOUT_FILENO);
	if (file < 0 || said < 0 || unlink(path)) exit(3);
	if (!strcmp(which, "stdout")) {
		dup2(file, STDOUT_FILENO);
		stream = stdout;
	} else {
		stream = fdopen(dup(file), is("reads") ? "r+" : "w");
	}
	if (is("unbuffered")) setvbuf(stream, NULL, _IONBF, 0);
	else if (is("lines")) setvbuf(stream, NULL, _IOLBF, 4096);
	else if (strcmp(which, "stdout")) setvbuf(stream, NULL, _IOFBF, 4096);
}

static void before(void) {
	if (is("empty") || is("child-only") || is("alike")) return;
	if (is("reads")) {
		if (write(file, TEXT, sizeof TEXT - 1) < 0 || lseek(file, 0, SEEK_SET) || fgetc(stream) == EOF) exit(3);
		return;
	}
	fputs(TEXT, stream);
	if (is("lines")) fputs("\n", stream);
	if (is("flushed") || is("flushed-used")) fflush(stream);
	if (is("flushed-all")) fflush(NULL);
	if (is("closed")) fclose(stream);
}

static void child(void) {
	if (is("exits-late") || is("leaves-late") || is("killed")) rest(600);
	if (is("adds") || is("adds-lives") || is("flushed-used")) fputs(" and by the child", stream);
	if (is("child-only") || is("alike")) fputs(TEXT, stream);
	if (is("adds-lives")) rest(2500);
	if (is("churns")) {
		for (int i = 0; i < 3000; i++) free(malloc(16 + (size_t)i * 7 % 4000));
		fputs("to another stream\n", stderr);
	}
	if (is("flushes")) fflush(stream);
	if (is("closes")) fclose(stream);
#ifdef __GLIBC__
	if (is("purges")) __fpurge(stream);
	if (is("purges-late")) {
		__fpurge(stream);
		rest(400);
	}
#endif
	if (is("elsewhere")) {
		dup2(open("/dev/null", O_WRONLY), fileno(stream));
		rest(400);
	}
	if (is("killed")) raise(SIGKILL);
	if (is("execs")) execl("/bin/true", "true", (char *)0);
	if (is("leaves") || is("leaves-late") || is("many-leave") || is("flushes")) _exit(0);
	// The daemon's way: by now the parent has gone.
	if (is("parent-leaves")) rest(100);
	exit(0);
}

int main(int argc, char **argv) {
	which = argc > 1 ? argv[1] : "file";
	how = argc > 2 ? argv[2] : "exits";
	open_stream();
	before();
	for (int i = 0; i < (is("many") || is("many-leave") ? 3 : 1); i++)
		if (fork() == 0) child();
	if (is("parent-leaves")) _exit(0);
	if (is("parent-first")) fflush(stream);
	if (is("alike")) fputs(TEXT, stream);
	while (wait(NULL) > 0);
	if (!is("quick")) rest(250);
	if (is("closed") || is("reads")) exit(0);
	fflush(stream);
	count();
	return 0;
}
