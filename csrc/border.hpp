// What lies outside an axis: SciPy's border modes as index arithmetic.
#pragma once

#include <cstdint>

namespace fastmed {

// The numbers are those of fastmed._engine.arrays.MODES.
enum class Mode : int64_t { nearest = 0, wrap = 1, reflect = 2, mirror = 3, constant = 4 };

// The index inside [0, n) that stands for i, or -1 where the constant does.
inline int64_t border_index(int64_t i, int64_t n, Mode mode) {
    if (i >= 0 && i < n) return i;
    switch (mode) {
        case Mode::nearest: return i < 0 ? 0 : n - 1;
        case Mode::wrap: {  // a b c d | a b c d | a b c d
            const int64_t r = i % n;
            return r < 0 ? r + n : r;
        }
        case Mode::reflect: {  // d c b a | a b c d | d c b a
            int64_t r = i % (2 * n);
            if (r < 0) r += 2 * n;
            return r < n ? r : 2 * n - 1 - r;
        }
        case Mode::mirror: {  // d c b | a b c d | c b a
            if (n == 1) return 0;
            const int64_t period = 2 * n - 2;
            int64_t r = i % period;
            if (r < 0) r += period;
            return r < n ? r : period - r;
        }
        case Mode::constant: break;
    }
    return -1;
}

}  // namespace fastmed
