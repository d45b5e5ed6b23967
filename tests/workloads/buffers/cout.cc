// Text of C++ in the buffer of C's stdio, which std::cout uses, when the process forks: `cout HOW`.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
	const std::string how = argc > 1 ? argv[1] : "exits";
	const char *text = "written before the fork";
	char path[] = "/tmp/forktrace-cout-XXXXXX";
	int file = mkstemp(path), said = dup(STDOUT_FILENO);
	if (file < 0 || said < 0 || unlink(path)) return 3;
	dup2(file, STDOUT_FILENO);
	std::cout << text;
	if (how == "flushed") std::cout << std::endl;
	if (fork() == 0) {
		if (how == "adds") std::cout << " and by the child";
		if (how == "leaves") _exit(0);
		if (how == "quick-exit") std::quick_exit(0);
		return 0;
	}
	wait(nullptr);
	usleep(250000);
	std::cout << std::flush;
	char all[4096] = {};
	if (pread(file, all, sizeof all - 1, 0) < 0) return 3;
	int times = 0;
	for (char *at = all; (at = std::strstr(at, text)); at++) times++;
	dprintf(said, "times=%d\n", times);
	return 0;
}
