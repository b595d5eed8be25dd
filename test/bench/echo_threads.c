// Echo server with an OS thread per connection and plain blocking calls: what tasks are there to replace.
#include "echo_listen.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum { stack_size = 64 * 1024 };

static void* serve(void* argument) {
    int fd = (int)(intptr_t)argument;
    char buffer[echo_buffer_size];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t sent = 0; sent < got;) {
            ssize_t n = write(fd, buffer + sent, (size_t)(got - sent));
            if (n < 0) {
                close(fd);
                return NULL;
            }
            sent += n;
        }
    }
    close(fd);
    return NULL;
}

static void check(int error, const char* what) {
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(error));
        exit(1);
    }
}

int main(void) {
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes), "pthread_attr_init");
    check(pthread_attr_setstacksize(&attributes, stack_size), "pthread_attr_setstacksize");
    check(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "pthread_attr_setdetachstate");
    int listener = echo_listen();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            if (errno == ECONNABORTED || errno == EINTR) {
                continue;
            }
            echo_die("accept");
        }
        pthread_t thread;
        check(pthread_create(&thread, &attributes, serve, (void*)(intptr_t)fd), "pthread_create");
    }
}
