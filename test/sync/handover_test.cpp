// Whoever was served by a primitive may destroy it at once, while the one who served is on its way out.
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include <weft/async_result.hpp>
#include <weft/barrier.hpp>
#include <weft/bounded_semaphore.hpp>
#include <weft/channel.hpp>
#include <weft/condition.hpp>
#include <weft/event.hpp>
#include <weft/joinable_queue.hpp>
#include <weft/latch.hpp>
#include <weft/mutex.hpp>
#include <weft/once.hpp>
#include <weft/queue.hpp>
#include <weft/recursive_mutex.hpp>
#include <weft/semaphore.hpp>
#include <weft/shared_mutex.hpp>

#include "support/sanitizers.hpp"
#include "support/task_test.hpp"

namespace {

constexpr int rounds = test::under_tsan || test::under_asan ? 1'000 : 5'000;

/// Another thread that calls `serve` with each object it is handed.
template <class T, class Serve>
class servant {
public:
    explicit servant(Serve serve) : thread_{[this, serve] {
        while (!stop_.load(std::memory_order_relaxed)) {
            if (T* object = slot_.exchange(nullptr)) serve(*object);
            else std::this_thread::yield();
        }
    }} {}
    ~servant() {
        while (slot_.load()) std::this_thread::yield();
        stop_ = true;
        thread_.join();
    }
    servant(const servant&) = delete;
    servant& operator=(const servant&) = delete;

    void hand(T& object) {
        while (slot_.load()) std::this_thread::yield();
        slot_.store(&object);
    }

private:
    std::atomic<T*> slot_{nullptr};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

template <class T, class Serve>
auto made_servant(Serve serve) {
    return std::make_unique<servant<T, Serve>>(serve);
}

}  // namespace

HUB_TEST("an event may be destroyed by whoever returns from wait()") {
    const auto setter = made_servant<weft::event>([](weft::event& e) { e.set(); });
    for (int i = 0; i < rounds; ++i) {
        const auto e = std::make_unique<weft::event>();
        setter->hand(*e);
        e->wait();
    }
}

HUB_TEST("an event may be destroyed by whoever sees it set without waiting") {
    const auto setter = made_servant<weft::event>([](weft::event& e) { e.set(); });
    for (int i = 0; i < rounds; ++i) {
        const auto e = std::make_unique<weft::event>();
        setter->hand(*e);
        while (!e->is_set()) std::this_thread::yield();
    }
}

HUB_TEST("a result may be destroyed by whoever gets the value, waiting for it or not") {
    const auto setter = made_servant<weft::async_result<int>>([](weft::async_result<int>& r) { r.set(7); });
    int wrong = 0;
    for (int i = 0; i < rounds; ++i) {
        const auto r = std::make_unique<weft::async_result<int>>();
        setter->hand(*r);
        if (i % 2 == 0) wrong += r->get() != 7;
        else while (!r->ready()) std::this_thread::yield();
    }
    CHECK(wrong == 0);
}

namespace {

/// An object that two threads use and the last one destroys.
template <class Lock>
struct shared {
    Lock lock;
    int users = 2;
    static inline std::atomic<int> destroyed;
    void leave() {
        bool last;
        {
            const std::lock_guard guard{lock};
            last = --users == 0;
        }
        if (!last) return;
        delete this;
        ++destroyed;
    }
};

template <class Lock>
int destroyed_by_the_last() {
    shared<Lock>::destroyed = 0;
    {
        const auto other = made_servant<shared<Lock>>([](shared<Lock>& s) { s.leave(); });
        for (int i = 0; i < rounds; ++i) {
            auto* s = new shared<Lock>;
            other->hand(*s);
            s->leave();
        }
    }
    return shared<Lock>::destroyed;
}

/// The object is locked when another thread gets it, which unlocks it. Whoever waited for that destroys it.
template <class Lock>
struct lent {
    Lock lock;
    std::atomic<int> stage{0};
};

template <class Lock>
void destroy_when_handed_over() {
    const auto holder = made_servant<lent<Lock>>([](lent<Lock>& l) {
        l.lock.lock();
        l.stage = 1;
        // The other one parks or spins meanwhile, as it happens.
        for (int i = 0; i < l.stage * 200; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
        l.lock.unlock();
    });
    for (int i = 0; i < rounds / 5; ++i) {
        const auto l = std::make_unique<lent<Lock>>();
        holder->hand(*l);
        while (l->stage == 0) std::this_thread::yield();
        l->lock.lock();
        l->lock.unlock();
    }
}

}  // namespace

HUB_TEST("a mutex may be destroyed by whoever unlocks it last") {
    CHECK(destroyed_by_the_last<weft::mutex>() == rounds);
    destroy_when_handed_over<weft::mutex>();
}

HUB_TEST("a recursive mutex may be destroyed by whoever unlocks it last") {
    CHECK(destroyed_by_the_last<weft::recursive_mutex>() == rounds);
    destroy_when_handed_over<weft::recursive_mutex>();
}

HUB_TEST("a shared mutex may be destroyed by whoever unlocks it last") {
    CHECK(destroyed_by_the_last<weft::shared_mutex>() == rounds);
    destroy_when_handed_over<weft::shared_mutex>();
}

HUB_TEST("a condition may be destroyed by whoever returns from wait()") {
    struct lent_condition {
        weft::mutex lock;
        weft::condition changed;
        bool done = false;
    };
    const auto notifier = made_servant<lent_condition>([](lent_condition& c) {
        const std::lock_guard guard{c.lock};
        c.done = true;
        c.changed.notify_one();
    });
    for (int i = 0; i < rounds; ++i) {
        const auto c = std::make_unique<lent_condition>();
        notifier->hand(*c);
        std::unique_lock guard{c->lock};
        c->changed.wait(guard, [&] { return c->done; });
        guard.unlock();
    }
}

HUB_TEST("a semaphore may be destroyed by whoever acquired what was released last") {
    const auto releaser = made_servant<weft::semaphore>([](weft::semaphore& s) { s.release(); });
    for (int i = 0; i < rounds; ++i) {
        const auto s = std::make_unique<weft::semaphore>(0);
        releaser->hand(*s);
        s->acquire();
    }
}

HUB_TEST("a queue may be destroyed by whoever got its last item") {
    const auto putter = made_servant<weft::queue<int>>([](weft::queue<int>& q) { q.put(7); });
    int wrong = 0;
    for (int i = 0; i < rounds; ++i) {
        const auto q = std::make_unique<weft::queue<int>>(1);
        putter->hand(*q);
        wrong += q->get() != 7;
    }
    CHECK(wrong == 0);
}

HUB_TEST("a queue may be destroyed by whoever's waiting item was taken last") {
    const auto getter = made_servant<weft::queue<int>>([](weft::queue<int>& q) {
        while (q.size() == 0) std::this_thread::yield();
        (void)q.get();
        while (!q.try_get()) std::this_thread::yield();
    });
    for (int i = 0; i < rounds / 10; ++i) {
        const auto q = std::make_unique<weft::queue<int>>(1);
        getter->hand(*q);
        q->put(1);
        q->put(2);
        while (q->size() != 0) std::this_thread::yield();
    }
}

HUB_TEST("a channel may be destroyed by whoever's item was taken last") {
    const auto getter = made_servant<weft::channel<int>>([](weft::channel<int>& c) { (void)c.get(); });
    for (int i = 0; i < rounds; ++i) {
        const auto c = std::make_unique<weft::channel<int>>();
        getter->hand(*c);
        c->put(7);
    }
}

HUB_TEST("a queue may be destroyed by whoever finds it closed") {
    const auto closer = made_servant<weft::queue<int>>([](weft::queue<int>& q) { (void)q.close_now(); });
    for (int i = 0; i < rounds; ++i) {
        const auto q = std::make_unique<weft::queue<int>>(1);
        closer->hand(*q);
        while (q->get()) {}
    }
}

HUB_TEST("a joinable queue may be destroyed by whoever returns from join()") {
    const auto worker = made_servant<weft::joinable_queue<int>>([](weft::joinable_queue<int>& q) { q.task_done(); });
    for (int i = 0; i < rounds; ++i) {
        const auto q = std::make_unique<weft::joinable_queue<int>>(1);
        q->put(1);
        (void)q->get();
        worker->hand(*q);
        q->join();
    }
}

HUB_TEST("a bounded semaphore may be destroyed by whoever acquired what was released last") {
    const auto releaser = made_servant<weft::bounded_semaphore>([](weft::bounded_semaphore& s) { s.release(); });
    for (int i = 0; i < rounds; ++i) {
        const auto s = std::make_unique<weft::bounded_semaphore>(1);
        s->acquire();
        releaser->hand(*s);
        s->acquire();
    }
}

HUB_TEST("a latch may be destroyed by whoever returns from wait(), or sees it open") {
    const auto arriving = made_servant<weft::latch>([](weft::latch& l) { l.count_down(); });
    for (int i = 0; i < rounds; ++i) {
        const auto l = std::make_unique<weft::latch>(1);
        arriving->hand(*l);
        if (i % 2 == 0) l->wait();
        else
            while (!l->try_wait()) std::this_thread::yield();
    }
}

HUB_TEST("a barrier may be destroyed by whoever is let go, if nobody else arrives") {
    struct shared {
        weft::barrier gate{2};
    };
    static std::atomic<int> destroyed;
    destroyed = 0;
    // The one who came first destroys it, while the last one is on its way out.
    const auto pass = [](shared& s) {
        if (s.gate.arrive_and_wait() != 0) return;
        delete &s;
        ++destroyed;
    };
    {
        const auto other = made_servant<shared>(pass);
        for (int i = 0; i < rounds; ++i) {
            auto* s = new shared;
            other->hand(*s);
            pass(*s);
        }
    }
    CHECK(destroyed == rounds);
}

HUB_TEST("a once may be destroyed by whoever returns from call(), or sees it done") {
    const auto runner = made_servant<weft::once>([](weft::once& o) { o.call([] {}); });
    for (int i = 0; i < rounds; ++i) {
        const auto o = std::make_unique<weft::once>();
        runner->hand(*o);
        while (!o->done()) std::this_thread::yield();
    }
}
