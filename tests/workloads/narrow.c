/*
 * A 32-bit program whose child waits for ever, without a C library: by `int 0x80`.
 * The tracer sees both come and go; the wait it does not see, and must say so.
 *
 * narrow [ANYTHING]    with an argument it ends at once
 */
#define EXIT 1
#define FORK 2
#define WAIT4 114
#define NANOSLEEP 162
#define KILL 37
#define FUTEX 240

static int call(int number, long a, long b, long c, long d) {
    int answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return answer;
}

static int word;

/* At the entry the stack begins with the count of arguments. */
__attribute__((naked)) void _start(void) {
    __asm__("movl (%esp), %eax\n\tandl $-16, %esp\n\tsubl $16, %esp\n\tmovl %eax, (%esp)\n\tcall run");
}

__attribute__((used)) void run(int arguments) {
    if (arguments > 1) call(EXIT, 0, 0, 0, 0);
    int child = call(FORK, 0, 0, 0, 0);
    if (child == 0) {
        word = 2;
        /* FUTEX_WAIT | FUTEX_PRIVATE_FLAG, without a timeout. */
        call(FUTEX, (long)&word, 128, 2, 0);
        call(EXIT, 1, 0, 0, 0);
    }
    long seconds[2] = {3, 0};
    call(NANOSLEEP, (long)seconds, 0, 0, 0);
    call(KILL, child, 9, 0, 0);
    call(WAIT4, child, 0, 0, 0);
    call(EXIT, 0, 0, 0, 0);
}
