# AFL++: a program compiled by afl-cc is fuzzed through its fork server for some ten seconds.
mkdir -p in && echo seed >in/seed
cat >target.c <<'C'
#include <unistd.h>
int main(void) {
    char text[16] = "";
    return read(0, text, 15) > 2 && text[0] == 'a' && text[1] == 'b' && text[2] == 'c';
}
C
afl-cc -o target target.c >afl-cc.log 2>&1
AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
    afl-fuzz -V 15 -i in -o out -- ./target >afl.log 2>&1 &
fuzzer=$!
while [ ! -e out/default/fuzzer_stats ]; do kill -0 "$fuzzer" && sleep 0.2; done
rest "$fuzzer"
kill -TERM "$fuzzer" 2>/dev/null || true
wait || true
