/* The same with musl, whose normal mutex names no owner. */
#include "beside.c"
