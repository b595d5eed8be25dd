#include "contract/contract.hpp"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include <weft/async_result.hpp>
#include <weft/bounded_semaphore.hpp>
#include <weft/channel.hpp>
#include <weft/condition.hpp>
#include <weft/event.hpp>
#include <weft/future.hpp>
#include <weft/group.hpp>
#include <weft/joinable_queue.hpp>
#include <weft/latch.hpp>
#include <weft/lifo_queue.hpp>
#include <weft/mutex.hpp>
#include <weft/pool.hpp>
#include <weft/priority_queue.hpp>
#include <weft/queue.hpp>
#include <weft/recursive_mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/shared_mutex.hpp>
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

std::unique_ptr<waiting_call> permits_three_at_once() {
    using weft::semaphore;
    auto made = std::make_unique<call_on<semaphore>>(
        one, [](semaphore& s, weft::deadline by) { return s.try_acquire_until(by); },
        [](semaphore& s) { s.release(3); }, [](semaphore& s) { return static_cast<int>(s.available()); }, 0u);
    made->at_once = 3;
    return made;
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

// Of several, to see one; what has been seen is there still.
std::unique_ptr<waiting_call> permit_seen() {
    struct several {
        weft::event never;
        weft::semaphore permits{0};
    };
    return std::make_unique<call_on<several>>(
        everybody, [](several& s, weft::deadline by) { return weft::wait_any(by, s.never, s.permits) == 1u; },
        [](several& s) { s.permits.release(); }, [](several& s) { return static_cast<int>(s.permits.available()); });
}

template <class Queue>
std::unique_ptr<waiting_call> item() {
    return std::make_unique<call_on<Queue>>(
        one, [](Queue& q, weft::deadline by) { return q.get(by).has_value(); }, [](Queue& q) { q.put(1); },
        [](Queue& q) { return static_cast<int>(q.size()); }, 100u);
}

std::unique_ptr<waiting_call> look_at_item() {
    using queue = weft::queue<int>;
    return std::make_unique<call_on<queue>>(
        everybody, [](queue& q, weft::deadline by) { return q.peek(by).has_value(); }, [](queue& q) { q.put(1); },
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

std::unique_ptr<waiting_call> outcome() {
    using result = weft::async_result<int>;
    return std::make_unique<call_on<result>>(
        everybody, [](result& r, weft::deadline by) { return r.get(by) != nullptr; }, [](result& r) { r.set(1); },
        [](result& r) { return r.get(); });
}

std::unique_ptr<waiting_call> outcome_of_future() {
    struct both {
        weft::promise<int> promise;
        weft::future<int> future = promise.get_future();
    };
    return std::make_unique<call_on<both>>(
        everybody, [](both& b, weft::deadline by) { return b.future.wait(by); }, [](both& b) { b.promise.set(1); },
        [](both& b) { return b.future.get(); });
}

std::unique_ptr<waiting_call> open_latch() {
    using weft::latch;
    return std::make_unique<call_on<latch>>(
        everybody, [](latch& l, weft::deadline by) { return l.wait(by); }, [](latch& l) { l.count_down(); },
        [](latch& l) { return static_cast<int>(l.try_wait()); }, 1);
}

std::unique_ptr<waiting_call> bounded_permits() {
    struct all_taken {
        weft::bounded_semaphore s{100};
        all_taken() {
            for (int i = 0; i < 100; ++i) s.acquire();
        }
    };
    return std::make_unique<call_on<all_taken>>(
        one, [](all_taken& a, weft::deadline by) { return a.s.try_acquire_until(by); },
        [](all_taken& a) { a.s.release(); }, [](all_taken& a) { return static_cast<int>(a.s.available()); });
}

// A writer holds it.
std::unique_ptr<waiting_call> shared_lock() {
    using state = held<weft::shared_mutex>;
    return std::make_unique<call_on<state>>(
        everybody,
        [](state& h, weft::deadline by) {
            if (!h.lock.try_lock_shared_until(by)) return false;
            h.lock.unlock_shared();
            return true;
        },
        [](state& h) { h.go.set(); },
        [](state& h) {
            h.holder.join();
            if (!h.lock.try_lock_shared()) return 0;
            h.lock.unlock_shared();
            return 1;
        });
}

// The condition keeps nothing: what it tells of is a count beside it.
std::unique_ptr<waiting_call> told_of() {
    struct guarded {
        weft::mutex lock;
        weft::condition changed;
        int there = 0;
    };
    return std::make_unique<call_on<guarded>>(
        one,
        [](guarded& g, weft::deadline by) {
            std::unique_lock hold{g.lock};
            if (!g.changed.wait_until(hold, by, [&] { return g.there > 0; })) return false;
            --g.there;
            return true;
        },
        [](guarded& g) {
            const std::lock_guard hold{g.lock};
            ++g.there;
            g.changed.notify_one();
        },
        [](guarded& g) { return g.there; });
}

std::unique_ptr<waiting_call> all_items_done() {
    using queue = weft::joinable_queue<int>;
    struct unfinished {
        queue q{10};
        unfinished() { q.put(1); }
    };
    return std::make_unique<call_on<unfinished>>(
        everybody, [](unfinished& u, weft::deadline by) { return u.q.join(by); },
        [](unfinished& u) {
            (void)u.q.get();
            u.q.task_done();
        },
        [](unfinished& u) { return static_cast<int>(u.q.join(past)); });
}

// Of a rendezvous what is left is who stands on the other side.
std::unique_ptr<waiting_call> taken_from_channel() {
    struct side {
        weft::channel<int> c;
        weft::group putters;
        std::thread::id home = std::this_thread::get_id();
    };
    return std::make_unique<call_on<side>>(
        one, [](side& s, weft::deadline by) { return s.c.get(by).has_value(); },
        [](side& s) {
            if (std::this_thread::get_id() != s.home) return s.c.put(1);
            s.putters.spawn([&s] { s.c.put(1); });
        },
        [](side& s) {
            int count = 0;
            while (s.c.try_get()) ++count;
            return count;
        });
}

/// A channel, and a task that takes as many items from it as serve() finds no putter for.
struct taking {
    weft::channel<int> channel;
    weft::semaphore go{0};
    std::atomic<int> owed{0};
    weft::task<void> taker = weft::spawn([this] {
        for (;;) {
            go.acquire();
            (void)channel.get();
            --owed;
        }
    });
    ~taking() noexcept(false) { taker.kill(); }
};

std::unique_ptr<waiting_call> getter_at_channel() {
    return std::make_unique<call_on<taking>>(
        one, [](taking& t, weft::deadline by) { return t.channel.put(1, by); },
        [](taking& t) {
            if (t.channel.try_get()) return;
            ++t.owed;
            t.go.release();
        },
        [](taking& t) { return t.owed.load(); });
}

std::unique_ptr<waiting_call> room_in_pool() {
    struct full {
        weft::pool p{3};
        weft::semaphore ends{0};
        full() {
            for (int i = 0; i < 3; ++i) (void)p.spawn([this] { ends.acquire(); });
        }
        ~full() noexcept(false) { ends.release(1000); }
    };
    return std::make_unique<call_on<full>>(
        one, [](full& f, weft::deadline by) { return static_cast<bool>(f.p.try_spawn(by, [&f] { f.ends.acquire(); })); },
        [](full& f) { f.ends.release(); }, [](full& f) { return static_cast<int>(f.p.free_count() + f.ends.available()); });
}

}  // namespace

const std::vector<kind>& all() {
    static const std::vector<kind> kinds = {
        {"event::wait", flag},
        {"wait_any", flag_among_others},
        {"wait_any of a semaphore", permit_seen},
        {"semaphore::acquire", permits<weft::semaphore>},
        {.name = "semaphore::release of three", .make = permits_three_at_once, .seeds_only = true},
        {"mutex::lock", exclusive<weft::mutex>},
        {"queue::get", item<weft::queue<int>>},
        {.name = "queue::put", .make = room_in_queue, .granted_is_done = true},
        {"queue::peek", look_at_item},
        {"lifo_queue::get", item<weft::lifo_queue<int>>},
        {"priority_queue::get", item<weft::priority_queue<int>>},
        {"bounded_semaphore::acquire", bounded_permits},
        {"recursive_mutex::lock", exclusive<weft::recursive_mutex>},
        {"shared_mutex::lock", exclusive<weft::shared_mutex>},
        {"shared_mutex::lock_shared", shared_lock},
        {"condition::wait", told_of},
        {"latch::wait", open_latch},
        {"async_result::get", outcome},
        {"future::wait", outcome_of_future},
        {"joinable_queue::join", all_items_done},
        {"channel::get", taken_from_channel},
        {.name = "channel::put", .make = getter_at_channel, .granted_is_done = true},
        {"pool::spawn", room_in_pool},
        {"task::join", end_of_task},
        {"task::get", result_of_task},
        {"group::join", end_of_group},
    };
    return kinds;
}

}  // namespace contract
