// The same with musl's stdio.
#include "stream.c"
