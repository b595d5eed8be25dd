#include "contract/contract.hpp"

#include <utility>

#include <weft/event.hpp>
#include <weft/group.hpp>
#include <weft/mutex.hpp>
#include <weft/pool.hpp>
#include <weft/queue.hpp>
#include <weft/semaphore.hpp>
#include <weft/task.hpp>
#include <weft/wait.hpp>

namespace contract {
namespace {

constexpr weft::deadline past = weft::deadline::past();

/// Made of functions, for what needs no class of its own.
template <class State>
struct call_on : waiting_call {
    using function = bool (*)(State&, weft::deadline);

    template <class... A>
    call_on(bool all, function w, void (*s)(State&), int (*l)(State&), A&&... args)
        : state(std::forward<A>(args)...), wait_{w}, serve_{s}, left_{l} {
        serves_all = all;
    }
    bool wait(weft::deadline by) override { return wait_(state, by); }
    void serve() override { serve_(state); }
    int left() override { return left_(state); }

    State state;

private:
    function wait_;
    void (*serve_)(State&);
    int (*left_)(State&);
};

constexpr bool one = false, everybody = true;

/// A lock that a task holds until serve().
template <class Lock>
struct held {
    Lock lock;
    weft::event go, taken;
    weft::task<void> holder = weft::spawn([this] {
        lock.lock();
        taken.set();
        go.wait();
        lock.unlock();
    });
    held() { taken.wait(); }
    ~held() {
        go.set();
        holder.join();
    }
};

template <class Lock>
std::unique_ptr<waiting_call> exclusive() {
    return std::make_unique<call_on<held<Lock>>>(
        everybody,
        [](held<Lock>& h, weft::deadline by) {
            if (!h.lock.try_lock_until(by)) return false;
            h.lock.unlock();
            return true;
        },
        [](held<Lock>& h) { h.go.set(); },
        [](held<Lock>& h) {
            h.holder.join();
            if (!h.lock.try_lock()) return 0;
            h.lock.unlock();
            return 1;
        });
}

template <class Semaphore>
std::unique_ptr<waiting_call> permits() {
    return std::make_unique<call_on<Semaphore>>(
        one, [](Semaphore& s, weft::deadline by) { return s.try_acquire_until(by); },
        [](Semaphore& s) { s.release(); }, [](Semaphore& s) { return static_cast<int>(s.available()); }, 0u);
}

std::unique_ptr<waiting_call> flag() {
    using weft::event;
    return std::make_unique<call_on<event>>(
        everybody, [](event& e, weft::deadline by) { return e.wait(by); }, [](event& e) { e.set(); },
        [](event& e) { return static_cast<int>(e.is_set()); });
}

std::unique_ptr<waiting_call> flag_among_others() {
    struct several {
        weft::event never, flag;
    };
    return std::make_unique<call_on<several>>(
        everybody, [](several& s, weft::deadline by) { return weft::wait_any(by, s.never, s.flag) == 1u; },
        [](several& s) { s.flag.set(); }, [](several& s) { return static_cast<int>(s.flag.is_set()); });
}

std::unique_ptr<waiting_call> item() {
    using queue = weft::queue<int>;
    return std::make_unique<call_on<queue>>(
        one, [](queue& q, weft::deadline by) { return q.get(by).has_value(); }, [](queue& q) { q.put(1); },
        [](queue& q) { return static_cast<int>(q.size()); }, 100u);
}

std::unique_ptr<waiting_call> room_in_queue() {
    struct full {
        weft::queue<int> q{100};
        full() {
            for (int i = 0; i < 100; ++i) q.put(i);
        }
    };
    return std::make_unique<call_on<full>>(
        one, [](full& f, weft::deadline by) { return f.q.put(1, by); }, [](full& f) { (void)f.q.get(past); },
        [](full& f) { return 100 - static_cast<int>(f.q.size()); });
}

struct sleeper {
    weft::event go;
    weft::task<int> task = weft::spawn([this] {
        go.wait();
        return 1;
    });
    ~sleeper() {
        go.set();
        task.join();
    }
};

std::unique_ptr<waiting_call> end_of_task() {
    return std::make_unique<call_on<sleeper>>(
        everybody, [](sleeper& s, weft::deadline by) { return s.task.join(by); }, [](sleeper& s) { s.go.set(); },
        [](sleeper& s) { return s.task.join(), 1; });
}

std::unique_ptr<waiting_call> result_of_task() {
    return std::make_unique<call_on<sleeper>>(
        everybody, [](sleeper& s, weft::deadline by) { return s.task.get(by) != nullptr; },
        [](sleeper& s) { s.go.set(); }, [](sleeper& s) { return s.task.get(); });
}

std::unique_ptr<waiting_call> end_of_group() {
    struct members {
        weft::event go;
        weft::group group;
        members() {
            for (int i = 0; i < 3; ++i) group.spawn([this] { go.wait(); });
        }
        ~members() noexcept(false) { go.set(); }
    };
    return std::make_unique<call_on<members>>(
        everybody, [](members& m, weft::deadline by) { return m.group.join(by); }, [](members& m) { m.go.set(); },
        [](members& m) { return static_cast<int>(m.group.join()); });
}

}  // namespace

const std::vector<kind>& all() {
    static const std::vector<kind> kinds = {
        {"event::wait", flag},
        {"wait_any", flag_among_others},
        {"semaphore::acquire", permits<weft::semaphore>},
        {"mutex::lock", exclusive<weft::mutex>},
        {"queue::get", item},
        {.name = "queue::put", .make = room_in_queue, .granted_is_done = true},
        {"task::join", end_of_task},
        {"task::get", result_of_task},
        {"group::join", end_of_group},
    };
    return kinds;
}

}  // namespace contract
