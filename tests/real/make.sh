# make -j of a small tree in C.
for number in $(seq 60); do
    printf '#include <stdio.h>\nint f%d(void) { return printf("%d\\n"); }\n' \
        "$number" "$number" >"f$number.c"
done
{
    seq -f 'int f%.0f(void);' 60
    echo 'int main(void) {'
    seq -f '    f%.0f();' 60
    echo '    return 0; }'
} >main.c
printf 'CFLAGS=-O1\nmain: main.o %s\n' "$(seq -f 'f%.0f.o' -s ' ' 60)" >Makefile
make -s -j 4 main
./main >/dev/null
