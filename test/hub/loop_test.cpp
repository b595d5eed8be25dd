// What weft/hub.hpp promises of loop(): libuv handles of the user's own.
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

#include <uv.h>

#include <unistd.h>

#include <weft/error.hpp>
#include <weft/event.hpp>
#include <weft/hub.hpp>
#include <weft/task.hpp>
#include <weft/this_task.hpp>

#include "support/task_test.hpp"

using namespace std::chrono_literals;

namespace {

/// Closes a handle and waits until libuv has let go of it.
template <class Handle>
void close(Handle& handle) {
    weft::event closed;
    handle.data = &closed;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle),
             [](uv_handle_t* h) { static_cast<weft::event*>(h->data)->set(); });
    closed.wait();
}

uv_loop_t* loop() { return weft::hub::current().loop(); }

// The loop has descriptors of its own, one of them from its first stream on: they are there before a test counts
// what it leaves behind.
const bool made_early = [] {
    static uv_pipe_t first_stream;
    uv_pipe_init(loop(), &first_stream, 0);
    uv_close(reinterpret_cast<uv_handle_t*>(&first_stream), nullptr);
    return true;
}();

}  // namespace

HUB_TEST("a libuv timer of the user's own fires while tasks sleep, and wakes one") {
    REQUIRE(made_early);
    uv_timer_t timer;
    weft::event fired;
    uv_timer_init(loop(), &timer);
    timer.data = &fired;
    const auto start = std::chrono::steady_clock::now();
    uv_update_time(loop());  // a busy task's timers count from the last turn, as libuv's always do
    uv_timer_start(&timer, [](uv_timer_t* t) { static_cast<weft::event*>(t->data)->set(); }, 20, 0);
    auto sleeper = weft::spawn([] { weft::sleep_for(1ms); });
    fired.wait();
    CHECK(std::chrono::steady_clock::now() - start >= 19ms);
    CHECK(sleeper.ready());
    close(timer);
}

HUB_TEST("a timer that a task starts after a long sleep counts from now") {
    uv_timer_t timer;
    weft::event fired;
    uv_timer_init(loop(), &timer);
    timer.data = &fired;
    weft::sleep_for(60ms);
    const auto start = std::chrono::steady_clock::now();
    uv_timer_start(&timer, [](uv_timer_t* t) { static_cast<weft::event*>(t->data)->set(); }, 40, 0);
    fired.wait();
    CHECK(std::chrono::steady_clock::now() - start >= 39ms);
    close(timer);
}

HUB_TEST("a repeating timer goes on beside a task that yields for ever") {
    struct state {
        int ticks = 0;
        bool stop = false;
    } s;
    uv_timer_t timer;
    uv_timer_init(loop(), &timer);
    timer.data = &s;
    uv_timer_start(&timer, [](uv_timer_t* t) {
        auto& state_of = *static_cast<state*>(t->data);
        state_of.stop = ++state_of.ticks == 3;
    }, 1, 1);
    while (!s.stop) weft::yield();
    uv_timer_stop(&timer);
    close(timer);
}

HUB_TEST("a libuv pipe reads what a task writes") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    struct state {
        weft::event got;
        std::string text;
        char room[64];
    } s;
    uv_pipe_t reader;
    uv_pipe_init(loop(), &reader, 0);
    REQUIRE(uv_pipe_open(&reader, ends[0]) == 0);
    reader.data = &s;
    uv_read_start(reinterpret_cast<uv_stream_t*>(&reader),
                  [](uv_handle_t* h, std::size_t, uv_buf_t* buffer) {
                      auto& state_of = *static_cast<state*>(h->data);
                      *buffer = uv_buf_init(state_of.room, sizeof state_of.room);
                  },
                  [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
                      auto& state_of = *static_cast<state*>(stream->data);
                      if (size > 0) state_of.text.append(buffer->base, static_cast<std::size_t>(size));
                      state_of.got.set();
                  });
    auto writer = weft::spawn([&] {
        weft::sleep_for(2ms);
        return ::write(ends[1], "hello", 5);
    });
    s.got.wait();
    CHECK(s.text == "hello");
    CHECK(writer.get() == 5);
    uv_read_stop(reinterpret_cast<uv_stream_t*>(&reader));
    close(reader);
    ::close(ends[1]);
}

HUB_TEST("libuv's own threads serve uv_queue_work") {
    struct state {
        weft::event done;
        std::thread::id worked_on;
    } s;
    uv_work_t work;
    work.data = &s;
    uv_queue_work(loop(), &work,
                  [](uv_work_t* w) { static_cast<state*>(w->data)->worked_on = std::this_thread::get_id(); },
                  [](uv_work_t* w, int) { static_cast<state*>(w->data)->done.set(); });
    s.done.wait();
    CHECK(s.worked_on != std::this_thread::get_id());
}

HUB_TEST("a wait in a libuv callback is refused") {
    uv_timer_t timer;
    struct state {
        weft::event fired;
        bool refused = false;
    } s;
    uv_timer_init(loop(), &timer);
    timer.data = &s;
    uv_timer_start(&timer, [](uv_timer_t* t) {
        auto& state_of = *static_cast<state*>(t->data);
        try {
            weft::sleep_for(1s);
        } catch (const weft::blocking_in_hub&) {
            state_of.refused = true;
        }
        state_of.fired.set();
    }, 1, 0);
    s.fired.wait();
    CHECK(s.refused);
    close(timer);
}

HUB_TEST("the loop is the same at every call, and another thread's is refused") {
    CHECK(loop() == loop());
    const auto mine = weft::hub::current();
    std::thread{[&] { CHECK_THROWS_AS((void)mine.loop(), weft::wrong_thread); }}.join();
}

TASK_TEST("under a manual clock there is no loop") {
    CHECK_THROWS_AS((void)weft::hub::current().loop(), std::logic_error);
}

HUB_TEST("a hub that nobody asks for its loop does without libuv: two descriptors") {
    std::thread{[] {
        const int before = test::open_descriptors();
        weft::sleep_for(1ms);
        CHECK(test::open_descriptors() == before + 2);
        (void)weft::hub::current().loop();
        CHECK(test::open_descriptors() > before + 2);
    }}.join();
}

HUB_TEST("a thread's loop ends with it, and gives its descriptors back") {
    const int before = test::open_descriptors();
    std::thread{[] {
        uv_timer_t timer;
        weft::event fired;
        uv_timer_init(weft::hub::current().loop(), &timer);
        timer.data = &fired;
        uv_timer_start(&timer, [](uv_timer_t* t) { static_cast<weft::event*>(t->data)->set(); }, 1, 0);
        fired.wait();
        close(timer);
    }}.join();
    CHECK(test::open_descriptors() == before);
}
