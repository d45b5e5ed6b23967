// The engines of C++ in forked children. `engines WHAT HOW`.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

static std::mt19937 engine;
static std::string what, how;
static std::unique_ptr<std::mt19937_64> wide;
static std::unique_ptr<std::mt19937> on_heap;

static unsigned long draw() {
	if (what == "static") return engine();
	if (what == "wide") return (*wide)();
	return (*on_heap)();
}

static void seed(unsigned value) {
	if (what == "static") engine.seed(value);
	else if (what == "wide") wide = std::make_unique<std::mt19937_64>(value);
	else on_heap = std::make_unique<std::mt19937>(value);
}

// Memory that is all new in the child: no generator.
static void churn() {
	static std::vector<std::string> texts(2000, std::string(200, 'x'));
	// Not random_device: where it is the processor's own, a letter may take ten microseconds.
	std::ifstream device("/dev/urandom");
	for (auto &text : texts) device.read(text.data(), text.size());
}

int main(int argc, char **argv) {
	what = argc > 1 ? argv[1] : "static";
	how = argc > 2 ? argv[2] : "equal";
	seed(42);
	for (int i = 0; i < (how == "fresh" ? 0 : 20); i++) draw();
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		if (fork() != 0) continue;
		if (how == "reseeded") seed(std::random_device{}());
		if (how == "alike") seed(4711);
		if (how == "jumped") engine.discard(1000000UL * (i + 1));
		if (how == "churn") churn();
		bool draws = how != "churn" && !(how == "one" && i);
		unsigned long sum = 0;
		for (int n = 0; n < (how == "many" ? 3000 : 6) && draws; n++) sum += draw();
		if (how == "equal" || how == "fresh" || how == "many") printf("same=%d\n", getpid());
		printf("sum=%lu\n", sum);
		fflush(stdout);
		usleep(1500000);
		_exit(0);
	}
	while (wait(nullptr) > 0) {}
	return 0;
}
