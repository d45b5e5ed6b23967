/*
 * Runs a command in a Landlock domain: what is in one may not look into a process that is outside of it,
 * whatever capability it has. Nothing else is denied but making block devices, which no test does.
 *
 * landlocked COMMAND…
 */
#include "common.h"
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Not every C library's headers have them (include/uapi/linux/landlock.h, Linux 5.13). */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif

struct ruleset {
    uint64_t handled_access_fs;
};

int main(int argc, char **argv) {
    check(argc > 1, "usage");
    struct ruleset ruleset = {1 << 11 /* LANDLOCK_ACCESS_FS_MAKE_BLOCK */};
    int domain = syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, 0);
    check(domain >= 0, "landlock_create_ruleset");
    /* As root no_new_privs need not be set, which would change what is tested. */
    check(syscall(SYS_landlock_restrict_self, domain, 0) == 0, "landlock_restrict_self");
    close(domain);
    execvp(argv[1], argv + 1);
    check(0, "exec");
    return 1;
}
