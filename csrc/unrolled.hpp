// The networks of the smallest boxes, unrolled: with the steps known to the compiler the values stay in registers, and
// comparisons whose outcome nothing reads go away. The lists are those that Network makes; `made_by` says so at run
// time, and where it does not the general way is taken.
#pragma once

#include <algorithm>
#include <utility>

#include "network.hpp"
#include "simd.hpp"

namespace fastmed {

template <int... Values> struct List {
    static constexpr int count = sizeof...(Values);
    static constexpr int at[] = {Values...};
};

// Steps: low, high, low, high...
template <int WIRES, class Steps, class Outputs> struct Unrolled {
    static constexpr int wires = WIRES, results = Outputs::count;

    static bool made_by(const Network& n) {
        if (n.steps.size() * 2 != size_t(Steps::count) || n.outputs.size() != size_t(results)) return false;
        for (int k = 0; k < Steps::count / 2; ++k)
            if (n.steps[k].low != Steps::at[2 * k] || n.steps[k].high != Steps::at[2 * k + 1]) return false;
        return std::equal(n.outputs.begin(), n.outputs.end(), Outputs::at);
    }

    // read(k) gives the vector of wire k, write(i, vector) takes result i.
    template <class V, class Read, class Write> static FASTMED_INLINE void run(Read&& read, Write&& write) {
        run<V>(read, write, std::make_integer_sequence<int, WIRES>{}, std::make_integer_sequence<int, Steps::count / 2>{},
               std::make_integer_sequence<int, results>{});
    }

private:
    template <class V, class Read, class Write, int... W, int... S, int... R>
    static FASTMED_INLINE void run(Read& read, Write& write, std::integer_sequence<int, W...>, std::integer_sequence<int, S...>,
                                   std::integer_sequence<int, R...>) {
        V wire[] = {read(W)...};
        (exchange(wire[Steps::at[2 * S]], wire[Steps::at[2 * S + 1]]), ...);
        (write(R, wire[Outputs::at[R]]), ...);
    }
    template <class V> static FASTMED_INLINE void exchange(V& low, V& high) {
        const V a = low, b = high;
        low = vmin(a, b);
        high = vmax(a, b);
    }
};

using Sort3 = Unrolled<3, List<1, 2, 0, 1, 2, 1>, List<0, 2, 1>>;
using Median3x3 = Unrolled<9, List<3, 6, 0, 3, 6, 3, 4, 7, 1, 4, 7, 4, 5, 8, 2, 5, 3, 7, 2, 3, 7, 3>, List<7>>;
using Sort9 = Unrolled<9, List<7, 8, 6, 7, 8, 7, 4, 5, 4, 6, 7, 6, 5, 8, 5, 7, 8, 6, 2, 3, 0, 1, 0, 2, 1, 3, 1, 2,
    0, 4, 6, 4, 2, 7, 2, 6, 7, 4, 1, 5, 3, 8, 3, 5, 1, 2, 3, 6, 5, 7, 8, 4>, List<0, 1, 2, 3, 6, 5, 7, 8, 4>>;
using Median3x9 = Unrolled<27, List<9, 18, 0, 9, 18, 9, 10, 19, 1, 10, 19, 10, 11, 20, 2, 11, 20, 11, 12, 21, 3, 12,
    21, 12, 13, 22, 4, 13, 22, 13, 14, 23, 5, 14, 23, 14, 15, 24, 6, 15, 24, 15, 16, 25, 7, 16, 17, 26, 8, 17, 9, 5,
    11, 7, 11, 5, 10, 6, 12, 8, 12, 6, 10, 11, 12, 5, 6, 7, 20, 9, 24, 5, 24, 9, 22, 11, 7, 11, 7, 9, 21, 10, 6, 10,
    23, 12, 23, 6, 6, 7>, List<7>>;
// Of 5 x 5: a row, two rows, and what of four rows can be the median with a fifth.
using Sort5 = Unrolled<5, List<3, 4, 2, 3, 4, 3, 0, 1, 0, 2, 3, 2, 1, 4, 1, 3, 4, 2>, List<0, 1, 3, 4, 2>>;
using Join5 = Unrolled<10, List<5, 0, 9, 4, 9, 0, 7, 2, 7, 9, 2, 0, 6, 1, 8, 3, 8, 1, 6, 7, 8, 9, 1, 2, 3, 0>,
    List<5, 6, 7, 8, 9, 1, 2, 3, 0, 4>>;
using Common4x5 = Unrolled<20, List<0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15, 6, 16, 7, 17, 8, 18, 9, 19, 10, 4,
    14, 8, 14, 4, 12, 6, 12, 14, 6, 4, 11, 5, 15, 9, 15, 5, 13, 7, 13, 15, 7, 5, 13, 14, 15, 6, 7, 4>, List<13, 14,
    15, 6, 7, 4>>;

}  // namespace fastmed
