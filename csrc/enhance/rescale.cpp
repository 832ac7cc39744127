// The least and highest value of an array; a range of values stretched onto another.
#include <cmath>
#include <limits>
#include <mutex>

#include "../cast.hpp"
#include "../kernels.hpp"
#include "../pieces.hpp"

namespace fastmed {
namespace {

// Least and highest value; several of each, so that the loop over them is vectorised.
template <class T> struct Extremes {
    static constexpr int WIDTH = 64;
    T low, high;
    bool missing = false;
    explicit Extremes(T value) : low(value), high(value) {}

    void take(const T* v, int64_t n) {
        T lows[WIDTH], highs[WIDTH];
        for (int k = 0; k < WIDTH; ++k) lows[k] = low, highs[k] = high;
        bool nan = false;
        int64_t i = 0;
        for (; i + WIDTH <= n; i += WIDTH)
            for (int k = 0; k < WIDTH; ++k) {
                const T x = v[i + k];
                lows[k] = x < lows[k] ? x : lows[k];
                highs[k] = x > highs[k] ? x : highs[k];
                nan |= x != x;
            }
        for (; i < n; ++i) {
            lows[0] = std::min(v[i], lows[0]), highs[0] = std::max(v[i], highs[0]);
            nan |= v[i] != v[i];
        }
        for (int k = 0; k < WIDTH; ++k) low = std::min(low, lows[k]), high = std::max(high, highs[k]);
        missing |= nan;
    }
};

// clip, shift to 0, scale to 1, scale and shift again: each step rounded in A, as scikit-image's array operations are.
template <class A, class T, class R> void stretch(const T* from, int64_t n, const A (&r)[6], bool flat, bool truth, R* to) {
    const auto result = [truth](A x) -> R {
        if constexpr (std::is_floating_point_v<R>) return static_cast<R>(x);
        else return truth ? static_cast<R>(x != A(0)) : cast<R>(x);
    };
    const A low = r[0], high = r[1], span = r[2], least = r[3], most = r[4], width = r[5];
    const auto clip = [](A x, A a, A b) { x = x < a ? a : x; return x > b ? b : x; };
    if (flat) {
        for (int64_t i = 0; i < n; ++i) to[i] = result(clip(clip(static_cast<A>(from[i]), low, high), least, most));
    } else if (sizeof(R) < 4 && !truth) {  // int32 holds them, and is quicker than int64
        for (int64_t i = 0; i < n; ++i) {
            const A x = (clip(static_cast<A>(from[i]), low, high) - low) / span * width + least;
            to[i] = static_cast<R>(static_cast<int32_t>(x));
        }
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = result((clip(static_cast<A>(from[i]), low, high) - low) / span * width + least);
    }
}

}  // namespace

void value_range(View input, View output, int threads) {
    dispatch(input.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        T first;
        std::memcpy(&first, input.data, sizeof(T));
        if (first != first) first = std::numeric_limits<T>::infinity();  // which no comparison prefers; then NaN comes out
        Extremes<T> all(first);
        std::mutex one;
        struct Part : Extremes<T> {
            Extremes<T>& all;
            std::mutex& one;
            Part(T value, Extremes<T>& a, std::mutex& m) : Extremes<T>(value), all(a), one(m) {}
            ~Part() {
                std::lock_guard<std::mutex> hold(one);
                all.low = std::min(all.low, this->low), all.high = std::max(all.high, this->high);
                all.missing |= this->missing;
            }
        };
        for_pieces<T>(input, threads, [&] { return Part(first, all, one); },
                      [](Part& part, int64_t, const T* values, int64_t n) { part.take(values, n); });
        T* found = reinterpret_cast<T*>(output.data);
        found[0] = all.low, found[1] = all.high;
        if (all.missing) found[0] = found[1] = std::numeric_limits<T>::quiet_NaN();
    });
}

// `limits`: low, high, high - low, least, most, most - least.
void rescale(View input, Doubles limits, bool flat, View output, int threads) {
    dispatch(input.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        using A = std::conditional_t<std::is_same_v<T, float>, float, double>;
        A rounded[6];
        for (int k = 0; k < 6; ++k) rounded[k] = static_cast<A>(limits[k]);
        dispatch(output.dtype, [&](auto r) {
            using R = typename decltype(r)::t;
            R* to = reinterpret_cast<R*>(output.data);
            const bool truth = output.dtype == DType::boolean;
            for_pieces<T>(input, threads, [] { return 0; }, [&](int, int64_t first, const T* values, int64_t n) {
                stretch<A>(values, n, rounded, flat, truth, to + first);
            });
        });
    });
}

}  // namespace fastmed
