// User code that the library runs on its way, moves and destructors, and that switches itself.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/task.hpp>

#include "support/counted.hpp"
#include "support/task_test.hpp"
#include "support/when_destroyed.hpp"

using test::counted;
using test::when_destroyed;
using weft::fiber;
using weft::message;

namespace {

/// Runs `action` once, at the move that `countdown` names; says whether there were so many.
struct trap {
    int countdown = 0;
    std::function<void()> action{};
    int alive = 0;
    int destroyed = 0;

    bool sprung() const { return countdown <= 0; }
    void moved() {
        if (--countdown == 0) std::exchange(action, {})();
    }
};

/// A value that lies in place in a message and springs a trap when it is moved.
class touchy {
public:
    touchy(int n, trap& t) noexcept : number{n}, trap_{&t} { ++t.alive; }
    touchy(touchy&& other) noexcept : number{other.number}, trap_{std::exchange(other.trap_, nullptr)} {
        if (trap_) trap_->moved();
    }
    touchy& operator=(touchy&&) = delete;
    ~touchy() {
        if (trap_) --trap_->alive, ++trap_->destroyed;
    }

    int number;

private:
    trap* trap_;
};
static_assert(sizeof(touchy) <= 3 * sizeof(void*), "shall lie in place");

/// Runs `scenario(trap)` with the trap at the first move, the second and so on, until there are no more.
template <class F>
void at_each_move(F scenario) {
    for (int move = 1;; ++move) {
        CAPTURE(move);
        REQUIRE(move < 50);
        trap t{.countdown = move};
        scenario(t);
        CHECK(t.alive == 0);
        CHECK(t.destroyed == 1);
        if (!t.sprung()) break;
    }
}

message to_parent() { return fiber::current().parent().switch_to(); }

}  // namespace

TASK_TEST("a value whose move runs another fiber arrives all the same") {
    at_each_move([](trap& t) {
        t.action = [] { CHECK(fiber{[] { return 1; }}.switch_to().as<int>() == 1); };
        fiber f{[](touchy in) {
            const int first = in.number;
            fiber::current().parent().switch_to(std::move(in));
            return first;
        }};
        {
            auto back = f.switch_to(touchy{7, t});
            CHECK(back.as<touchy>().number == 7);
        }
        CHECK(f.switch_to().as<int>() == 7);
    });
}

TASK_TEST("a value whose move runs another fiber arrives at the parent as a result") {
    at_each_move([](trap& t) {
        t.action = [] { CHECK(fiber{[] { return 1; }}.switch_to().as<int>() == 1); };
        fiber f{[&] { return touchy{8, t}; }};
        CHECK(f.switch_to().as<touchy>().number == 8);
        CHECK(f.dead());
    });
}

TASK_TEST("a value whose move switches to a fiber that sends values of its own mixes up neither") {
    at_each_move([](trap& t) {
        const fiber here = fiber::current();
        fiber f, other;
        other = fiber{[&](fiber back) {
            for (;;) back = back.switch_to(99).as<fiber>();
        }};
        t.action = [&] { CHECK(other.switch_to(fiber::current()).as<int>() == 99); };
        f = fiber{[&](touchy in) {
            CHECK(in.number == 7);
            return here.switch_to(std::move(in)).as<int>();
        }};
        CHECK(f.switch_to(touchy{7, t}).as<touchy>().number == 7);
        CHECK(f.switch_to(3).as<int>() == 3);
    });
}

TASK_TEST("a value whose move starts the very fiber that it is sent to arrives there as a later value") {
    at_each_move([](trap& t) {
        const fiber here = fiber::current();
        std::vector<std::string> seen;
        fiber f{[&](message in) {
            for (;;) {
                seen.push_back(in.holds<touchy>() ? "touchy" : in.holds<int>() ? "int" : "none");
                in = message{};
                in = here.switch_to();
            }
        }};
        bool sent_before = false;
        t.action = [&] {
            if (fiber::current() == f) return;  // the receiver's own moves
            f.switch_to(5);
            sent_before = true;
        };
        f.switch_to(touchy{1, t});
        CHECK(seen == (sent_before ? std::vector<std::string>{"int", "touchy"} : std::vector<std::string>{"touchy"}));
    });
}

TASK_TEST("a value whose move in its receiver goes back to the sender is received after all") {
    for (const bool started : {false, true}) {
        CAPTURE(started);
        at_each_move([started](trap& t) {
            const fiber here = fiber::current();
            int touchies = 0;
            fiber f{[&](message in) {
                for (;;) {
                    touchies += in.holds<touchy>();
                    in = message{};
                    in = here.switch_to();
                }
            }};
            if (started) f.switch_to();
            bool went_back = false;
            t.action = [&] {
                if (fiber::current() != f) return;
                went_back = true;
                CHECK(here.switch_to("back").as<int>() == 8);
            };
            message back = f.switch_to(touchy{1, t});
            if (went_back) {
                CHECK(back.as<std::string>() == "back");
                CHECK(f.switch_to(8).empty());
            }
            CHECK(touchies == 1);
        });
    }
}

TASK_TEST("a value whose move ends the very fiber that it is sent to goes to that one's living ancestor") {
    at_each_move([](trap& t) {
        fiber f{[] { to_parent(); }};
        f.switch_to();
        t.action = [&] {
            if (fiber::current() != f) f.switch_to();
        };
        message back = f.switch_to(touchy{1, t});
        CHECK(f.dead());
        // The value itself if f was dead before the switch, else the end of f.
        CHECK((back.holds<touchy>() || back.empty()));
    });
}

TASK_TEST("a callable whose move switches makes a sound fiber") {
    struct moves_and_runs {
        moves_and_runs() = default;
        moves_and_runs(moves_and_runs&&) noexcept {
            fiber{[] {}}.switch_to();
            ++moves();
        }
        static int& moves() {
            static int count = 0;
            return count;
        }
        int operator()() const { return 6; }
    };
    moves_and_runs::moves() = 0;
    fiber f{moves_and_runs{}};
    CHECK(moves_and_runs::moves() > 0);
    CHECK(f.switch_to().as<int>() == 6);
}

TASK_TEST("a callable whose copy switches and then throws leaves nothing behind") {
    struct refusing {
        refusing() = default;
        refusing(const refusing&) {
            fiber{[] {}}.switch_to();
            throw std::runtime_error("not to be copied");
        }
        void operator()() const {}
    };
    const refusing function;
    CHECK_THROWS_AS(fiber{function}, std::runtime_error);
}

TASK_TEST("a value whose copy switches to its target is sent to what the target has become") {
    int got = 0;
    fiber f{[&](int first) { got = first + to_parent().as<int>(); }};
    struct copies {
        std::function<void()>* action;
        copies(std::function<void()>* a) : action{a} {}
        copies(const copies& other) : action{other.action} {
            if (*action) std::exchange(*action, {})();
        }
    };
    std::function<void()> action = [&] {
        f.switch_to(1);
        f.switch_to(2);
    };
    const copies value{&action};
    CHECK(f.switch_to(value).holds<copies>());  // f has ended meanwhile
    CHECK(f.dead());
    CHECK(got == 3);
}

TASK_TEST("captures that switch as they are destroyed come back, and the result arrives after them") {
    std::vector<std::string> seen;
    const fiber here = fiber::current();
    const auto switches = [&] {
        seen.push_back("going");
        CHECK(here.switch_to("between").as<int>() == 5);
        seen.push_back("gone");
    };
    fiber f{[w = when_destroyed{switches}] { return std::string{"result"}; }};
    CHECK(f.switch_to().as<std::string>() == "between");
    CHECK_FALSE(f.dead());
    CHECK(f.switch_to(5).as<std::string>() == "result");
    CHECK(f.dead());
    CHECK(seen == std::vector<std::string>{"going", "gone"});
}

TASK_TEST("captures of a fiber that never ran may switch as they are destroyed") {
    int inner = 0;
    { fiber f{[w = when_destroyed{[&] { fiber{[&] { ++inner; }}.switch_to(); }}] {}}; }
    CHECK(inner == 1);
    fiber g{[w = when_destroyed{[&] { fiber{[&] { ++inner; }}.switch_to(); }}] {}};
    CHECK_THROWS_AS(g.throw_into(1), int);
    CHECK(inner == 2);
}

TASK_TEST("values that nobody takes may switch as they are destroyed, and be answered") {
    struct talkative {
        explicit talkative(fiber f) : to{std::move(f)} {}
        talkative(talkative&&) noexcept = default;
        ~talkative() {
            if (to.id() != 0) answer = to.switch_to("a last word").as<int>();
        }
        fiber to;
        int answer = 0;
    };
    const auto answers = [](auto value) {
        fiber f{[] {}};  // takes nothing: the library destroys the first value
        CHECK(f.switch_to(std::move(value)).template as<std::string>() == "a last word");
        CHECK_FALSE(f.dead());
        CHECK(f.switch_to(4).empty());
        CHECK(f.dead());
    };
    answers(talkative{fiber::current()});
    answers(std::make_unique<talkative>(fiber::current()));
    answers(std::make_shared<talkative>(fiber::current()));
}

TASK_TEST("values of a refused switch may switch as they are destroyed") {
    int inner = 0;
    weft::event never;
    fiber parked;
    auto task = weft::spawn([&] {
        parked = fiber::current();
        never.wait();
    });
    test::settle();
    CHECK_THROWS_AS(parked.switch_to(when_destroyed{[&] { fiber{[&] { ++inner; }}.switch_to(); }}), weft::invalid_switch);
    CHECK(inner == 1);
    never.set();
    task.get();
}

TASK_TEST("an exception that holds a fiber's last handle unwinds it where the exception goes") {
    bool unwound = false, went_on = false;
    {
        struct holds : std::runtime_error {
            explicit holds(fiber f) : std::runtime_error("holds"), held{std::move(f)} {}
            fiber held;
        };
        const fiber here = fiber::current();
        fiber f{[&] {
            fiber held{[&] {
                const when_destroyed note{[&] { unwound = true; }};
                to_parent();
            }};
            held.switch_to();
            throw holds{std::move(held)};
        }};
        try {
            f.switch_to();
        } catch (const holds&) {
            CHECK_FALSE(unwound);
        }
        went_on = fiber::current() == here;
    }
    CHECK(unwound);
    CHECK(went_on);
}

TASK_TEST("a fiber_exit that holds a fiber's last handle unwinds it, and the end arrives after that") {
    struct last_words : weft::fiber_exit {
        explicit last_words(fiber f) : held{std::move(f)} {}
        fiber held;
    };
    bool unwound = false;
    fiber f{[&] {
        fiber held{[&] {
            const when_destroyed note{[&] { unwound = true; }};
            to_parent();
        }};
        held.switch_to();
        throw last_words{std::move(held)};
    }};
    CHECK(f.switch_to().holds<weft::fiber_exit>());
    CHECK(f.dead());
    CHECK(unwound);
}

TASK_TEST("destructors that switch to one another while both are unwound all run") {
    std::vector<std::string> seen;
    fiber a, b;
    a = fiber{[&] {
        const when_destroyed note{[&] {
            seen.push_back("a");
            b = fiber{};  // whose unwinding begins inside this one
            seen.push_back("a again");
        }};
        to_parent();
    }};
    b = fiber{[&] {
        const when_destroyed note{[&] {
            fiber{[&] { seen.push_back("b"); }}.switch_to();
        }};
        to_parent();
    }};
    a.switch_to();
    b.switch_to();
    a = fiber{};
    CHECK(seen == std::vector<std::string>{"a", "b", "a again"});
}
