/* Stands in for libFuzzer: runs each file of the directories that it is given once. So every compiler, and the
 * sanitizers' build, sees the seeds and what was found before. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *name) {
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(name, "rb");
    if (!file)
        return 0;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    uint8_t *exact = malloc(size ? size : 1); /* a byte too far is seen by ASan */
    if (!exact)
        return 0;
    memcpy(exact, bytes, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

int main(int argc, char **argv) {
    int ran = 0;
    if (LLVMFuzzerInitialize)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        for (struct dirent *one; directory && (one = readdir(directory));) {
            char name[4096];
            (void)snprintf(name, sizeof name, "%s/%s", argv[i], one->d_name);
            ran += one->d_name[0] != '.' && replay_file(name);
        }
        if (directory)
            (void)closedir(directory);
    }
    printf("%d inputs\n", ran);
    return ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
