/* load_time LIBRARY: prints how many microseconds dlopen takes in this process, which has not loaded it
 * before. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: load_time LIBRARY\n");
        return 2;
    }
    double start = now();
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    double taken = now() - start;
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("%.0f\n", taken);
    return 0;
}
