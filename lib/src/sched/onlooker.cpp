#include "sched/onlooker.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include <fcntl.h>
#include <sys/uio.h>

#include "base/sys.hpp"
#include "sched/scheduler.hpp"

namespace weft::detail {

namespace {

// The kernel's other way of reading what may not be there: a write answers EFAULT.
bool peek_by_pipe(const void* from, void* to, std::size_t size) noexcept {
    int ends[2];
    if (sys::call(SYS_pipe2, sys::word(ends), O_CLOEXEC | O_NONBLOCK) < 0) return false;
    const bool read = sys::write(ends[1], from, size) == static_cast<long>(size) &&
                      sys::read(ends[0], to, size) == static_cast<long>(size);
    sys::close(ends[0]);
    sys::close(ends[1]);
    return read;
}

}  // namespace

bool peek(const void* from, void* to, std::size_t size) noexcept {
    iovec here{to, size};
    iovec there{const_cast<void*>(from), size};
    const long copied =
        sys::call(SYS_process_vm_readv, sys::call(SYS_getpid), sys::word(&here), 1, sys::word(&there), 1, 0);
    if (copied == -EPERM || copied == -ENOSYS) return peek_by_pipe(from, to, size);  // a container's filter
    return copied == static_cast<long>(size);
}

onlooker::onlooker() : of_{&this_thread()}, box_{of_->box}, tid_{static_cast<int>(sys::call(SYS_gettid))} {
    scheduler::here();
    box_->add_ref();
}

onlooker::~onlooker() { box_->release(); }

bool onlooker::look(glance& found) const noexcept {
    if (box_->has_ended()) return false;
    record* rec = nullptr;
    if (!peek_at(&of_->turn, found.turn) || !peek_at(&of_->current, rec)) return false;
    // The record of a fiber that has just ended may be gone: then somebody else runs.
    if (!peek_at(&rec->is_hub, found.in_hub) || !peek_at(&rec->call, found.call)) {
        found.turn = 0;
        found.in_hub = false;
        found.call = {};
    }
    found.asleep = found.in_hub && box_->asleep();
    return true;
}

std::uint64_t onlooker::describe(char* text, std::size_t room) const noexcept {
    record* rec = nullptr;
    end_block* block = nullptr;
    std::uint64_t id = 0;
    bool is_hub = false;
    if (!peek_at(&of_->current, rec) || !peek_at(&rec->block, block) || !peek_at(&rec->is_hub, is_hub) ||
        !peek_at(&block->id, id)) {
        std::snprintf(text, room, "an unknown task");
        return 0;
    }
    std::string* name = nullptr;
    alignas(std::string) unsigned char object[sizeof(std::string)];
    char letters[64] = "";
    static_assert(sizeof block->name == sizeof name);
    if (peek(&block->name, &name, sizeof name) && name && peek(name, object, sizeof object)) {
        // Of the copy's bytes: its letters are where the string's own are, or in the copy.
        const auto& copy = *std::launder(reinterpret_cast<const std::string*>(object));
        const std::size_t size = std::min(copy.size(), sizeof letters - 1);
        letters[peek(copy.data(), letters, size) ? size : 0] = '\0';
    }
    const char* const quote = *letters ? "'" : "";
    std::snprintf(text, room, "%s %llu%s%s%s%s", is_hub ? "a callback of hub" : "task",
                  static_cast<unsigned long long>(id), *letters ? " " : "", quote, letters, quote);
    return id;
}

}  // namespace weft::detail
