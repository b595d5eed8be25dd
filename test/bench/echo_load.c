// Load generator of the echo benchmark: one 64-byte request outstanding on each of N connections.
//
//   echo_load --port P [--conns N] [--seconds S | --round-trips R] [--warmup S] [--wait]
//
// Warms up, waits until no request is outstanding and prints "ready"; the measured phase too ends with
// every request answered. So the server is idle at both ends of it, and whatever it used in between belongs
// to the round trips counted. Prints one line of JSON. Every reply is compared with its request.
// --wait: one line of standard input starts the phase, and the connections stay open until its end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    request_size = 64,
    batch = 512,
    patience_ms = 5000,  // a server that answers nobody for this long has failed
    sub_bits = 5,        // each power of two of latency is split into 32 buckets: within 3 %
    buckets = 64 << sub_bits,
};

struct connection {
    int fd;
    unsigned received;
    int64_t sent_at;
    uint64_t request[request_size / sizeof(uint64_t)];
    uint64_t reply[request_size / sizeof(uint64_t)];
};

struct phase {
    int64_t ends;  // no request is sent from then on
    int64_t limit;
    int64_t started;
    int64_t answered;
    int64_t outstanding;
    uint64_t latency[buckets];
};

static void die(const char* what) {
    perror(what);
    exit(1);
}

static void fail(const char* what) {
    fprintf(stderr, "echo_load: %s\n", what);
    exit(1);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        die("clock_gettime");
    }
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static unsigned bucket_of(int64_t ns) {
    uint64_t value = (uint64_t)(ns > 0 ? ns : 0) + (1u << sub_bits);
    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    unsigned within = (unsigned)(value >> (power - sub_bits)) & ((1u << sub_bits) - 1);
    return ((power - sub_bits) << sub_bits) + within;
}

static double middle_of(unsigned bucket) {
    unsigned power = bucket >> sub_bits;
    double low = (double)(((bucket & ((1u << sub_bits) - 1)) | (1u << sub_bits)) * (UINT64_C(1) << power));
    return low + 0.5 * (double)(UINT64_C(1) << power) - (1u << sub_bits);
}

static double percentile_ns(const struct phase* p, double share) {
    uint64_t wanted = (uint64_t)(share * (double)p->answered);
    uint64_t seen = 0;
    for (unsigned i = 0; i < buckets; ++i) {
        seen += p->latency[i];
        if (seen > wanted) {
            return middle_of(i);
        }
    }
    return 0;
}

static void open_connection(struct connection* c, int set, const struct sockaddr_in* address) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    if (connect(c->fd, (const struct sockaddr*)address, sizeof *address) != 0) {
        die("connect");
    }
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        die("TCP_NODELAY");
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) {
        die("fcntl");
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data = {.ptr = c}};
    if (epoll_ctl(set, EPOLL_CTL_ADD, c->fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void ask(struct phase* p, struct connection* c, int64_t now) {
    c->request[0] = (uint64_t)++p->started;
    c->received = 0;
    c->sent_at = now;
    ssize_t sent = send(c->fd, c->request, request_size, MSG_NOSIGNAL);
    if (sent != request_size) {
        die("send");  // an idle connection has room for 64 bytes
    }
}

// True when the whole reply has come.
static bool take(struct connection* c) {
    while (c->received < request_size) {
        ssize_t got = recv(c->fd, (char*)c->reply + c->received, request_size - c->received, 0);
        if (got == 0) {
            fail("the server closed a connection");
        }
        if (got < 0) {
            if (errno == EAGAIN) {
                return false;
            }
            if (errno != EINTR) {
                die("recv");
            }
            continue;
        }
        c->received += (unsigned)got;
    }
    if (memcmp(c->request, c->reply, request_size) != 0) {
        fail("a reply differs from its request");
    }
    return true;
}

static void run(struct phase* p, int set, struct connection* connections, int64_t count) {
    int64_t now = now_ns(CLOCK_MONOTONIC);
    for (int64_t i = 0; i < count && p->started < p->limit; ++i) {
        ask(p, &connections[i], now);
        ++p->outstanding;
        now = now_ns(CLOCK_MONOTONIC);
    }
    while (p->outstanding > 0) {
        struct epoll_event events[batch];
        int ready = epoll_wait(set, events, batch, patience_ms);
        if (ready < 0 && errno != EINTR) {
            die("epoll_wait");
        }
        if (ready == 0) {
            fail("no reply for 5 s");
        }
        for (int i = 0; i < ready; ++i) {
            struct connection* c = events[i].data.ptr;
            // An edge of a reply that an earlier turn has read already.
            if (c->received == request_size || !take(c)) {
                continue;
            }
            now = now_ns(CLOCK_MONOTONIC);
            ++p->latency[bucket_of(now - c->sent_at)];
            ++p->answered;
            if (now < p->ends && p->started < p->limit) {
                ask(p, c, now);
            } else {
                --p->outstanding;
            }
        }
    }
}

static double number(const char* text, double least, double most) {
    char* end;
    double value = strtod(text, &end);
    if (*text == 0 || *end != 0 || !(value >= least && value <= most)) {
        fprintf(stderr, "echo_load: %s is not a number from %g to %g\n", text, least, most);
        exit(2);
    }
    return value;
}

static void raise_descriptor_limit(int64_t needed) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        die("getrlimit");
    }
    if (limit.rlim_cur >= (rlim_t)needed) {
        return;
    }
    limit.rlim_cur = (rlim_t)needed;
    if (limit.rlim_max < limit.rlim_cur) {
        limit.rlim_max = limit.rlim_cur;
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        die("RLIMIT_NOFILE");
    }
}

int main(int argc, char** argv) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"conns", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"warmup", required_argument, NULL, 'w'},
        {"round-trips", required_argument, NULL, 'r'},
        {"wait", no_argument, NULL, 'W'},
        {NULL, 0, NULL, 0},
    };
    static struct phase warmup, measured;
    double seconds = 1, warm_seconds = 0.1;
    int64_t count = 1, round_trips = INT64_MAX;
    int port = 0, option;
    bool wait = false;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
            case 'p':
                port = (int)number(optarg, 1, 65535);
                break;
            case 'c':
                count = (int64_t)number(optarg, 1, 25000);
                break;
            case 's':
                seconds = number(optarg, 0.001, 600);
                break;
            case 'w':
                warm_seconds = number(optarg, 0, 600);
                break;
            case 'r':
                round_trips = (int64_t)number(optarg, 1, 1e12);
                seconds = 600;
                break;
            case 'W':
                wait = true;
                break;
            default:
                return 2;
        }
    }
    if (port == 0 || optind != argc) {
        fputs("usage: echo_load --port P [--conns N] [--seconds S | --round-trips R] [--warmup S] [--wait]\n",
              stderr);
        return 2;
    }

    raise_descriptor_limit(count + 16);
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct connection* connections = calloc((size_t)count, sizeof *connections);
    if (set < 0 || connections == NULL) {
        die("echo_load");
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (int64_t i = 0; i < count; ++i) {
        open_connection(&connections[i], set, &address);
        connections[i].request[1] = (uint64_t)i;
    }

    warmup.limit = INT64_MAX;
    warmup.ends = now_ns(CLOCK_MONOTONIC) + (int64_t)(warm_seconds * 1e9);
    run(&warmup, set, connections, count);

    puts("ready");
    fflush(stdout);
    char line[16];
    if (wait && fgets(line, sizeof line, stdin) == NULL) {
        fail("standard input ended before the start");
    }

    int64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    measured.limit = round_trips;
    measured.ends = start + (int64_t)(seconds * 1e9);
    run(&measured, set, connections, count);
    double wall = (double)(now_ns(CLOCK_MONOTONIC) - start);
    cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;

    printf(
        "{\"rt\": %lld, \"seconds\": %.6f, \"rt_per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"load_cpu_ns\": %lld}\n",
        (long long)measured.answered, wall / 1e9, (double)measured.answered / (wall / 1e9),
        percentile_ns(&measured, 0.50) / 1e3, percentile_ns(&measured, 0.99) / 1e3, (long long)cpu);
    if (fflush(stdout) != 0) {
        die("standard output");
    }
    while (wait && fgets(line, sizeof line, stdin) != NULL) {}
    return 0;
}
