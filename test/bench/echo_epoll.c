// Baseline of the echo benchmark: one thread, one level-triggered epoll set, no library.
#define _GNU_SOURCE
#include "echo_listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { batch = 512 };

// What a connection could not send at once. `bytes` is null while nothing is owed.
struct connection {
    int fd;
    char* bytes;
    size_t size;
    size_t sent;
};

static int set;

static void watch(int operation, int fd, uint32_t events, void* data) {
    struct epoll_event event = {.events = events, .data = {.ptr = data}};
    if (epoll_ctl(set, operation, fd, &event) != 0) {
        echo_die("epoll_ctl");
    }
}

static void drop(struct connection* c) {
    close(c->fd);
    free(c->bytes);
    free(c);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
                return;
            }
            echo_die("accept4");
        }
        struct connection* c = calloc(1, sizeof *c);
        if (c == NULL) {
            echo_die("calloc");
        }
        c->fd = fd;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static bool would_block(void) { return errno == EAGAIN || errno == EINTR; }

// False once the connection is gone.
static bool echo(struct connection* c) {
    char buffer[echo_buffer_size];
    ssize_t got = read(c->fd, buffer, sizeof buffer);
    if (got <= 0) {
        return got < 0 && would_block();
    }
    ssize_t sent = write(c->fd, buffer, (size_t)got);
    if (sent == got) {
        return true;
    }
    if (sent < 0 && !would_block()) {
        return false;
    }
    c->sent = 0;
    c->size = (size_t)(got - (sent > 0 ? sent : 0));
    c->bytes = malloc(c->size);
    if (c->bytes == NULL) {
        echo_die("malloc");
    }
    memcpy(c->bytes, buffer + got - c->size, c->size);
    watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    return true;
}

// Sends what is owed; reads again only when all of it is out. False once the connection is gone.
static bool flush(struct connection* c) {
    ssize_t sent = write(c->fd, c->bytes + c->sent, c->size - c->sent);
    if (sent < 0) {
        return would_block();
    }
    c->sent += (size_t)sent;
    if (c->sent == c->size) {
        free(c->bytes);
        c->bytes = NULL;
        watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    }
    return true;
}

int main(void) {
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) {
        echo_die("epoll_create1");
    }
    int listener = echo_listen();
    if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0) {
        echo_die("fcntl");
    }
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[batch];
        int ready = epoll_wait(set, events, batch, -1);
        if (ready < 0 && errno != EINTR) {
            echo_die("epoll_wait");
        }
        for (int i = 0; i < ready; ++i) {
            struct connection* c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(listener);
            } else if (!(c->bytes == NULL ? echo(c) : flush(c))) {
                drop(c);
            }
        }
    }
}
