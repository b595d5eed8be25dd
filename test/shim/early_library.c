/* Preloaded behind the shim: stands in dlsym's place and makes calls in there, as an allocator does that the loader asks
 * for memory. Before main it says how they went. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int looked_up, wrong, inside;

static void expect(int right) {
    if (!right) ++wrong;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void make_key(void) { expect(pthread_key_create(&key, NULL) == 0); }

static void call_everything(void) {
    expect(pthread_once(&once, make_key) == 0);
    expect(pthread_setspecific(key, &key) == 0);
    expect(pthread_getspecific(key) == &key);
    expect(pthread_mutex_lock(&lock) == 0);
    expect(pthread_mutex_trylock(&lock) == EBUSY);
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    expect(fd >= 0);
    char byte = 1;
    expect(read(fd, &byte, 1) == 1 && byte == 0);
    expect(write(fd, &byte, 1) == 1);
    expect(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    expect(close(fd) == 0);
    errno = 0;
    expect(read(-1, &byte, 1) == -1 && errno == EBADF);
    struct pollfd none = {-1, 0, 0};
    poll(&none, 1, 0);
    /* No early form: says so, and does not crash. Once the table is filled it is libc's. */
    struct msghdr message;
    memset(&message, 0, sizeof message);
    errno = 0;
    expect(recvmmsg(-1, NULL, 1, 0, NULL) == -1 && (errno == ENOSYS || errno == EBADF));
    expect(pthread_mutex_unlock(&lock) == 0);
}

void* dlsym(void* where, const char* name) {
    static void* (*original)(void*, const char*);
    if (!original) *(void**)&original = dlvsym(RTLD_NEXT, "dlsym", WEFT_DLSYM_VERSION);
    if (!inside) {
        inside = 1;
        ++looked_up;
        call_everything();
        inside = 0;
    }
    return original(where, name);
}

__attribute__((constructor)) static void report(void) {
    printf("early: %s, %d wrong\n", looked_up > 10 ? "looked up" : "not asked", wrong);
    wrong = 0;
    call_everything();
    printf("later: %d wrong\n", wrong);
    fflush(stdout);
}
