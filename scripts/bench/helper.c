/* What python and the shell are too slow for: making many bytes or files, and the floor of a look at a whole tree.
 *
 *   helper walk DIR THREADS               lstat of everything below DIR, in parallel; prints how many files
 *   helper bytes SIZE SEED                SIZE pseudo-random bytes to standard output
 *   helper paced SIZE SEED SECONDS        the same at an even pace, so that whoever reads them is busy for that long
 *   helper tree DIR FILES FOLDER SIZE     FILES files of SIZE pseudo-random bytes, FOLDER a folder
 *   helper touch SIZE                     writes to SIZE bytes of memory, which are free again afterwards
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

/* Folders still to be read: a stack that all threads share. The walk is over when it is empty and nobody reads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static char **folders;
static size_t waiting, room, reading, files;

static void push(char *folder)
{
    pthread_mutex_lock(&lock);
    if (waiting == room) {
        room = room ? 2 * room : 1024;
        folders = realloc(folders, room * sizeof *folders);
        if (!folders)
            err(1, "realloc");
    }
    folders[waiting++] = folder;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static size_t look(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        err(1, "%s", folder);
    size_t seen = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        struct stat status;
        if (fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
            err(1, "%s/%s", folder, entry->d_name);
        char *path;
        if (!S_ISDIR(status.st_mode))
            seen++;
        else if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            err(1, "asprintf");
        else
            push(path);
    }
    closedir(dir);
    return seen;
}

static void *walker(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (waiting || reading) {
        if (!waiting) {
            pthread_cond_wait(&changed, &lock);
            continue;
        }
        char *folder = folders[--waiting];
        reading++;
        pthread_mutex_unlock(&lock);
        size_t seen = look(folder);
        free(folder);
        pthread_mutex_lock(&lock);
        files += seen;
        reading--;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void walk(const char *dir, size_t threads)
{
    push(strdup(dir));
    pthread_t ids[threads];
    for (size_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, walker, NULL))
            errx(1, "pthread_create");
    for (size_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    printf("%zu\n", files);
}

/* splitmix64: no repeats, no compressor finds anything in it. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void write_all(int to, const uint64_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t some = write(to, (const char *)bytes + done, size - done);
        if (some < 0 && errno != EINTR)
            err(1, "write");
        done += some > 0 ? some : 0;
    }
}

static void write_random(int to, size_t size, uint64_t *state, double seconds)
{
    static uint64_t block[BLOCK / 8];
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t done = 0; done < size;) {
        size_t part = size - done < BLOCK ? size - done : BLOCK;
        for (size_t i = 0; i < (part + 7) / 8; i++)
            block[i] = next(state);
        write_all(to, block, part);
        done += part;
        double due = seconds * done / size + start.tv_nsec / 1e9;
        struct timespec until = { start.tv_sec + (time_t)due, (due - (time_t)due) * 1e9 };
        if (seconds > 0)
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
}

static void tree(const char *dir, size_t count, size_t folder, size_t size)
{
    uint64_t state = 1;
    char name[4096];
    if (mkdir(dir, 0755))
        err(1, "%s", dir);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s/d%04zu", dir, i / folder);
        if (i % folder == 0 && mkdir(name, 0755))
            err(1, "%s", name);
        snprintf(name, sizeof name, "%s/d%04zu/f%04zu", dir, i / folder, i % folder);
        int file = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (file < 0)
            err(1, "%s", name);
        write_random(file, size, &state, 0);
        close(file);
    }
}

static void touch(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        err(1, "mmap");
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    if (argc == 4 && !strcmp(argv[1], "walk"))
        walk(argv[2], seed);
    else if (argc == 4 && !strcmp(argv[1], "bytes"))
        write_random(1, strtoull(argv[2], NULL, 10), &seed, 0);
    else if (argc == 5 && !strcmp(argv[1], "paced"))
        write_random(1, strtoull(argv[2], NULL, 10), &seed, atof(argv[4]));
    else if (argc == 6 && !strcmp(argv[1], "tree"))
        tree(argv[2], seed, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    else if (argc == 3 && !strcmp(argv[1], "touch"))
        touch(strtoull(argv[2], NULL, 10));
    else
        errx(2, "usage: helper walk|bytes|paced|tree|touch …");
    return 0;
}
