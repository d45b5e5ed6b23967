/*
 * The mechanism of https://github.com/nanomsg/nanomsg/issues/779, with nanomsg itself: a socket has been
 * used before the fork, so that the library's thread runs in the parent. The child makes a socket of its
 * own and receives. It waits in poll() on an eventfd that only this thread would write to.
 * The tracer must say: lost-waker.
 *
 * nanomsg779 [SECONDS]
 */
#include "../common.h"
#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

int main(int argc, char **argv) {
    int first = nn_socket(AF_SP, NN_PUB);
    check(first >= 0 && nn_bind(first, "inproc://first") >= 0, "nn_bind");
    wait_until_told();
    fact("forker", getpid());
    fact("lost", other_threads());
    if (fork_or_die() == 0) {
        char message[16];
        int second = nn_socket(AF_SP, NN_SUB);
        check(second >= 0 && nn_setsockopt(second, NN_SUB, NN_SUB_SUBSCRIBE, "", 0) >= 0, "subscribe");
        check(nn_connect(second, "inproc://second") >= 0, "nn_connect");
        hang_at_most(number(argc, argv, 1, 6));
        nn_recv(second, message, sizeof message, 0);
        _exit(98);
    }
    reap();
    _exit(0);
}
