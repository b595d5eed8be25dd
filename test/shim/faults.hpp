// Makes libc's functions behind the shim fail, as the kernel's may.
//
// WEFT_TEST_FAULTS=seed:permille in the environment of a test program makes what weft itself asks of the kernel go wrong at
// random, in ways that its callers must never see: nothing is there although an event said so, and sends take a part.
#pragma once

namespace test::faults {

/// The next calls of libc's function of that name answer -1 with `error`, in tasks.
/// Known are poll, recv, send, sendmsg, accept, accept4, connect, epoll_wait, socket, dup.
void fail_next(const char* call, int error, int times = 1);

/// While it lives, nothing goes wrong at random on this thread: for calls that themselves ask not to wait, and would see it.
struct spared {
    spared();
    ~spared();
    spared(const spared&) = delete;
    spared& operator=(const spared&) = delete;
};

/// How often anything was made to go wrong.
long made();

/// Reads WEFT_TEST_FAULTS. Called by what every one of the shim's test programs has.
void begin();

}  // namespace test::faults
