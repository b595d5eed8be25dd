/// @file weft/detail/watch_set.hpp
/// Several things waited for at once, without taking anything from any.  Floor: sched.
#pragma once

#include <cstddef>
#include <memory>

#include <weft/deadline.hpp>
#include <weft/detail/export.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// Has a node in the list of each thing. Belongs to the fiber that makes it; what it watches must outlive it.
class WEFT_API watch_set {
public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    explicit watch_set(std::size_t things);
    ~watch_set();
    watch_set(const watch_set&) = delete;
    watch_set& operator=(const watch_set&) = delete;

    /// The next thing, by its number from 0 in the order of these calls. `ready` is asked under the list's lock; while it
    /// is false, granting the node is what says that the thing has become ready.
    /// @param left  called once when the node has left the list; may be null
    void add(wait_list& list, bool (*ready)(const void*), const void* thing, void (*left)(const void*) = nullptr);

    /// The next that is or has become ready, each once, in that order; those that were ready from the start in theirs.
    /// @returns none if the deadline passes first, or every one has been returned
    std::size_t next(deadline by);

private:
    struct inside;
    std::unique_ptr<inside> in_;
};

/// What may be watched: tasks, and classes that befriend this and have a member waiters_ and a function watch_ready(), or
/// a function named() that gives such a thing. watch_begin() and watch_end(), where there are such, stand around a watch.
struct watch_access {
    template <class W>
    static constexpr bool has_list = requires(const W& thing) {
        thing.waiters_;
        thing.watch_ready();
    };
    template <class W>
    static constexpr bool is_told = requires(const W& thing) { thing.watch_begin(); };
    template <class W>
    static constexpr bool offers = has_list<W> || requires(const W& thing) { thing.named(); };

    template <class W>
    static void add(watch_set& set, const W& thing) {
        if constexpr (has_list<W>) {
            void (*left)(const void*) = nullptr;
            if constexpr (is_told<W>) {
                thing.watch_begin();
                left = [](const void* at) { static_cast<const W*>(at)->watch_end(); };
            }
            set.add(const_cast<wait_list&>(thing.waiters_),
                    [](const void* at) { return static_cast<const W*>(at)->watch_ready(); }, &thing, left);
        } else {
            add(set, thing.named());
        }
    }
};

}  // namespace weft::detail
