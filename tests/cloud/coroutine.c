/* coroutine YAML: asks the KMS of slot "prod" on the first thread, then on a coroutine whose stack lies in
 * the heap among blocks that must stay as they are. Run with and without a limit of stacks
 * (tests/cloud/aws_processes.py). */
#include <cyborg_kms.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

/* Below the size from which malloc maps blocks apart. */
enum { BLOCKS = 600, SIZE = 100 << 10, MARK = 0x5a };

static cyborg_kms_engine *engine;
static ucontext_t first, coroutine;

static void must(cyborg_kms_status status, cyborg_kms_error *error) {
    if (status == CYBORG_KMS_OK)
        return;
    fprintf(stderr, "coroutine: %s\n", cyborg_kms_error_message(error));
    exit(1);
}

static void ask(void) {
    cyborg_kms_error *error = NULL;
    must(cyborg_kms_engine_check(engine, "prod", &error), error);
}

static void on_a_coroutine(void *stack) {
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = stack;
    coroutine.uc_stack.ss_size = SIZE;
    coroutine.uc_link = &first;
    makecontext(&coroutine, ask, 0);
    swapcontext(&first, &coroutine);
}

static size_t count_marks(const unsigned char *block) {
    size_t marks = 0;
    for (int at = 0; at < SIZE; at++)
        marks += block[at] == MARK;
    return marks;
}

int main(int argc, char **argv) {
    static unsigned char *blocks[BLOCKS];
    cyborg_kms_error *error = NULL;
    size_t marks = 0;

    if (argc != 2)
        return 2;
    must(cyborg_kms_engine_open_yaml(argv[1], &engine, &error), error);
    ask();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        if (blocks[i] == NULL)
            return 1;
        memset(blocks[i], MARK, SIZE);
    }
    on_a_coroutine(blocks[BLOCKS / 2]);
    for (int i = 0; i < BLOCKS; i++)
        marks += i == BLOCKS / 2 ? 0 : count_marks(blocks[i]);
    if (marks != (size_t)(BLOCKS - 1) * SIZE) {
        fprintf(stderr, "coroutine: %zu bytes of others were changed\n", (size_t)(BLOCKS - 1) * SIZE - marks);
        return 1;
    }
    puts("asked on a coroutine, nothing else was changed");
    return 0;
}
