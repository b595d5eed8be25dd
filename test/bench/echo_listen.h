// The listening socket of every echo server here, so that they differ in nothing but how they wait.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { echo_buffer_size = 4096 };

static inline void echo_die(const char* what) {
    perror(what);
    exit(1);
}

// Listens on a free port of 127.0.0.1 and prints that port, alone on a line, to standard output.
// A peer that resets its connection must not kill the server: SIGPIPE is ignored.
static inline int echo_listen(void) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        echo_die("signal");
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) {
        echo_die("socket");
    }
    if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0) {
        echo_die("bind");
    }
    if (listen(listener, SOMAXCONN) != 0) {
        echo_die("listen");
    }
    if (getsockname(listener, (struct sockaddr*)&address, &length) != 0) {
        echo_die("getsockname");
    }
    printf("%d\n", ntohs(address.sin_port));
    if (fflush(stdout) != 0) {
        echo_die("standard output");
    }
    return listener;
}
