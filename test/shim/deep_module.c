/* Opened with RTLD_DEEPBIND: finds libc's poll before anybody else's. */
#include <poll.h>
#include <stddef.h>

int deep_nap(void);
int deep_nap(void) { return poll(NULL, 0, 5); }
