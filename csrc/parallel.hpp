// Work shared over threads: exceptions carried out of the region, Ctrl-C answered.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>

#include "team.hpp"

namespace fastmed {

// Thrown out of a kernel when the user interrupts it; module.cpp turns it into the pending Python exception.
struct Interrupted {};

// Set by module.cpp: true when the interpreter has a signal to deliver. Called on the calling thread only.
extern bool (*interrupt_pending)();

namespace detail {
struct Pulse {  // asks the interpreter at most every 50 ms
    std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
    bool stop() {
        auto now = std::chrono::steady_clock::now();
        if (now - last < std::chrono::milliseconds(50)) return false;
        last = now;
        return interrupt_pending && interrupt_pending();
    }
};
}  // namespace detail

// Runs body(scratch, i) for every i in [0, n); each thread makes one scratch with make() and takes the next i when
// free. One i should cost well under 100 ms, so that an interrupt is answered in time.
template <class Make, class Body> void parallel_for(int64_t n, int threads, Make&& make, Body&& body) {
    if (n <= 0) return;
    std::atomic<int64_t> next{0};
    std::atomic<bool> stop{false};
    std::exception_ptr failure;
    std::atomic<bool> interrupted{false};
    auto work = [&](bool caller) {
        if (!caller && next >= n) return;  // came too late
        try {
            auto scratch = make();
            detail::Pulse pulse;
            for (int64_t i; !stop && (i = next.fetch_add(1)) < n;) {
                body(scratch, i);
                if (caller && pulse.stop()) interrupted = stop = true;
            }
        } catch (...) {
            if (!stop.exchange(true)) failure = std::current_exception();
        }
    };
    int count = static_cast<int>(std::min<int64_t>(std::max(threads, 1), n));
    run_in_team(count - 1, [](void* data, bool caller) { (*static_cast<decltype(work)*>(data))(caller); }, &work);
    if (failure) std::rethrow_exception(failure);
    if (interrupted) throw Interrupted{};
}

template <class Body> void parallel_for(int64_t n, int threads, Body&& body) {
    parallel_for(n, threads, [] { return 0; }, [&](int, int64_t i) { body(i); });
}

}  // namespace fastmed
