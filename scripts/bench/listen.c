/* Many listeners to events, and one who commits: how long after a commit each of them has its event.
 *
 *   listen PORT TOKEN LISTENERS COMMITS PREFIX
 *
 * Commits COMMITS files, one after the other, named PREFIX and a number, each when all listeners have the event of the one before. Prints
 * for each listener and commit one line: microseconds from the request of the commit, and from its answer, to the event (0: before the answer).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 10000 };

struct listener {
    int socket;
    size_t events;
    bool is_line_start;
    double at;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int connected(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int at = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (at < 0 || connect(at, (struct sockaddr *)&address, sizeof address))
        err(1, "connect");
    setsockopt(at, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return at;
}

static void say(int to, const char *text)
{
    if (write(to, text, strlen(text)) != (ssize_t)strlen(text))
        err(1, "write");
}

/* Reads until the answer's head, and the bytes that its Content-Length names, are there; ends the process on another status than 200. */
static void answer(int from)
{
    char text[65536];
    size_t length = 0;
    for (;;) {
        ssize_t some = read(from, text + length, sizeof text - 1 - length);
        if (some <= 0)
            errx(1, "the answer to a commit is cut off");
        text[length += some] = 0;
        char *end = strstr(text, "\r\n\r\n"), *field = strcasestr(text, "\r\ncontent-length:");
        if (end && field && length >= (size_t)(end - text) + 4 + strtoull(field + 17, NULL, 10))
            break;
    }
    if (strncmp(text, "HTTP/1.1 200", 12))
        errx(1, "a commit was answered: %.200s", text);
}

/* Counts the events in what has come: lines of JSON. Everything else is heads, sizes of chunks and heartbeats. */
static void take(struct listener *one)
{
    char text[65536];
    ssize_t some = read(one->socket, text, sizeof text);
    if (some <= 0)
        errx(1, "a listener was cut off");
    for (ssize_t i = 0; i < some; i++) {
        if (one->is_line_start && text[i] == '{') {
            one->events++;
            one->at = now();
        }
        one->is_line_start = text[i] == '\n';
    }
}

/* Takes what comes until all of them have `events`. */
static void await(int queue, struct listener *all, size_t count, size_t events)
{
    struct epoll_event ready[256];
    for (size_t i = 0; i < count;) {
        if (all[i].events >= events) {
            i++;
            continue;
        }
        int some = epoll_wait(queue, ready, 256, TIMEOUT_MS);
        if (some == 0)
            errx(1, "a listener has no event after %d s", TIMEOUT_MS / 1000);
        if (some < 0 && errno != EINTR)
            err(1, "epoll_wait");
        for (int one = 0; one < some; one++)
            take(ready[one].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6)
        errx(2, "usage: listen PORT TOKEN LISTENERS COMMITS PREFIX");
    int port = atoi(argv[1]), commits = atoi(argv[4]), queue = epoll_create1(0);
    size_t count = strtoull(argv[3], NULL, 10);
    struct listener *all = calloc(count, sizeof *all);
    char *text;
    if (asprintf(&text, "GET /api/v1/events HTTP/1.1\r\nHost: bench\r\nAccept: application/x-ndjson\r\nAuthorization: Bearer %s\r\n\r\n", argv[2]) < 0)
        err(1, "asprintf");
    for (size_t i = 0; i < count; i++) {
        all[i].socket = connected(port);
        say(all[i].socket, text);
        char head[65536];
        for (size_t length = 0; length < 4 || !memmem(head, length, "\r\n\r\n", 4);) { /* it listens from here on */
            ssize_t some = read(all[i].socket, head + length, sizeof head - length);
            if (some <= 0)
                errx(1, "a listener was not answered");
            length += some;
            if (strncmp(head, "HTTP/1.1 200", 12))
                errx(1, "a listener was answered: %.200s", head);
        }
        all[i].is_line_start = true;
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &all[i] };
        if (epoll_ctl(queue, EPOLL_CTL_ADD, all[i].socket, &event))
            err(1, "epoll_ctl");
    }
    int committer = connected(port);
    for (int number = 0; number < commits; number++) {
        if (asprintf(&text,
                     "PUT /api/v1/repos/data/branches/main/files/%s%d HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
                     "Content-Length: 8\r\n\r\n%08d",
                     argv[5], number, argv[2], number) < 0)
            err(1, "asprintf");
        double asked = now();
        say(committer, text);
        answer(committer);
        double answered = now();
        await(queue, all, count, number + 1);
        for (size_t i = 0; i < count; i++)
            printf("%.0f %.0f\n", (all[i].at - asked) * 1e6, all[i].at > answered ? (all[i].at - answered) * 1e6 : 0);
        free(text);
        usleep(20000);
    }
    return 0;
}
