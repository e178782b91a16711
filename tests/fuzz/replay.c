/* Runs a fuzzer over files: each argument is a file or a folder of them. Ends with
 * `N passed, 0 failed`, or by the abort of the file that it named last. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned passed;

static void run_file(const char *path)
{
    struct buffer bytes;
    FILE *file = fopen(path, "rb");
    char *room;
    size_t got = 1;

    HOLDS(file != NULL, "cannot open %s", path);
    printf("%s\n", path);
    fflush(stdout);
    buffer_init(&bytes, NULL, SIZE_MAX);
    while (got > 0 && (room = buffer_reserve(&bytes, BUFSIZ)) != NULL) {
        got = fread(room, 1, BUFSIZ, file);
        bytes.len += got;
    }
    fclose(file);
    room = exact_copy(bytes.data, bytes.len);
    LLVMFuzzerTestOneInput((const uint8_t *)room, bytes.len);
    free(room);
    buffer_free(&bytes);
    passed++;
}

static void run_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);

    HOLDS(count >= 0, "cannot read %s", path);
    for (int i = 0; i < count; i++) {
        char file[4096];

        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            run_file(file);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat status;

        HOLDS(stat(argv[i], &status) == 0, "cannot find %s", argv[i]);
        if (S_ISDIR(status.st_mode))
            run_folder(argv[i]);
        else
            run_file(argv[i]);
    }
    printf("%u passed, 0 failed\n", passed);
    return passed > 0 ? 0 : 1;
}
