// The median of 3 x 3 or 5 x 5 elements of planes. The networks are those of rank_rows.cpp; here vectors of neighbouring
// windows are loaded from the image itself, a window's rows are sorted along x first, and what rows have in common stays
// in registers (3 x 3: four rows of results at a time) or in a first level cache (5 x 5: two rows at a time, down a strip
// of the image). Copied rows and whole rows of sorted columns, as rank_rows keeps them, took three times as long.
#include "median_square.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "cast.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "simd.hpp"
#include "unrolled.hpp"

namespace fastmed {
namespace {

// Whether one of the vectors that were seen holds a NaN.
template <class T> struct NanSeen {
    FASTMED_INLINE void see(typename simd<T>::v, typename simd<T>::v) {}
    FASTMED_INLINE bool any() const { return false; }
};
#if defined(__AVX512F__)
template <> struct NanSeen<float> {
    __mmask16 seen = 0;
    FASTMED_INLINE void see(simd<float>::v a, simd<float>::v b) { seen |= _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
    FASTMED_INLINE bool any() const { return seen != 0; }
};
template <> struct NanSeen<double> {
    __mmask8 seen = 0;
    FASTMED_INLINE void see(simd<double>::v a, simd<double>::v b) { seen |= _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q); }
    FASTMED_INLINE bool any() const { return seen != 0; }
};
#else
template <class T> struct NanSeenByLanes {
    using V = typename simd<T>::v;
    decltype(V{} != V{}) seen{};
    FASTMED_INLINE void see(V a, V b) { seen |= (a != a) | (b != b); }
    FASTMED_INLINE bool any() const {
        char none[sizeof seen] = {};
        return std::memcmp(&seen, none, sizeof seen) != 0;
    }
};
template <> struct NanSeen<float> : NanSeenByLanes<float> {};
template <> struct NanSeen<double> : NanSeenByLanes<double> {};
#endif

// Rows of windows: result y, x is the median of rows[y ... y + SIZE - 1][x ... x + SIZE - 1]. `nan` is set for rows in
// which, or in a row beside which, a NaN was seen. n is no less than a vector; a last one overlaps the one before.
template <class T> struct Lines {
    const T* const* rows;
    T* const* out;
    int64_t count, n;  // of results
    char* nan;

    using V = typename simd<T>::v;
    static constexpr int64_t L = simd<T>::lanes;
    int64_t place(int64_t x) const { return std::min(x, n - L); }
};

// Exchanges and extrema as a comparison and blends where that is quicker beside the others: AVX-512 has integer minima and
// maxima on one port only, and comparisons and blends on the other.
template <class T> struct Beside {
    using V = typename simd<T>::v;
    static FASTMED_INLINE V min(V a, V b) { return vmin(a, b); }
    static FASTMED_INLINE V max(V a, V b) { return vmax(a, b); }
};
#if defined(__AVX512BW__)
#define FASTMED_BESIDE(T, type, bits)                                                                                             \
    template <> struct Beside<T> {                                                                                                \
        using V = simd<T>::v;                                                                                                     \
        static FASTMED_INLINE auto less(V a, V b) { return _mm512_cmplt_##type##_mask((__m512i)a, (__m512i)b); }                   \
        static FASTMED_INLINE V min(V a, V b) { return (V)_mm512_mask_blend_epi##bits(less(a, b), (__m512i)b, (__m512i)a); }        \
        static FASTMED_INLINE V max(V a, V b) { return (V)_mm512_mask_blend_epi##bits(less(a, b), (__m512i)a, (__m512i)b); }        \
    };
FASTMED_BESIDE(uint8_t, epu8, 8)
FASTMED_BESIDE(int8_t, epi8, 8)
FASTMED_BESIDE(uint16_t, epu16, 16)
FASTMED_BESIDE(int16_t, epi16, 16)
#undef FASTMED_BESIDE
#endif

// --- 3 x 3 ------------------------------------------------------------------------------------------------------------
template <class T> struct Triple {
    typename simd<T>::v low, middle, high;

    explicit FASTMED_INLINE Triple(const T* p) {
        using V = typename simd<T>::v;
        using Other = Beside<T>;
        const V a = load(p), b = load(p + 1), c = load(p + 2);
        const V less = vmin(b, c), more = vmax(b, c), x = Other::max(a, less);
        low = Other::min(a, less);
        middle = vmin(x, more), high = vmax(x, more);
    }
};

// The middle of the largest of the low ones, the middle of the middle ones and the smallest of the high ones. Two
// neighbouring results have two of their three rows in common.
template <class T> FASTMED_INLINE void two_medians(const Triple<T>& a, const Triple<T>& b, const Triple<T>& c, const Triple<T>& d,
                                                   typename simd<T>::v& first, typename simd<T>::v& second) {
    using V = typename simd<T>::v;
    using Other = Beside<T>;
    const V low = vmax(b.low, c.low), high = vmin(b.high, c.high), less = Other::min(b.middle, c.middle), more = Other::max(b.middle, c.middle);
    const auto median = [&](const Triple<T>& e) FASTMED_INLINE_LAMBDA {
        const V x = vmax(low, e.low), y = vmax(less, vmin(more, e.middle)), z = vmin(high, e.high);
        return vmax(Other::min(x, y), Other::min(Other::max(x, y), z));
    };
    first = median(a), second = median(d);
}

// PAIRS pairs of rows of results from y on; of the last pair only the first where count ends.
template <class T, int PAIRS> void three_rows(const Lines<T>& l, int64_t y) {
    constexpr int ROWS = 2 * PAIRS + 2;
    const T* rows[ROWS];
    for (int k = 0; k < ROWS; ++k) rows[k] = l.rows[std::min(y + k, l.count + 1)];
    const bool odd = y + 2 * PAIRS > l.count;
    NanSeen<T> seen;
    for (int64_t i = 0; i < l.n; i += l.L) {
        const int64_t x = l.place(i);
        Triple<T> a(rows[0] + x), b(rows[1] + x);
        for (int k = 0; k < PAIRS; ++k) {
            const Triple<T> c(rows[2 * k + 2] + x), d(rows[2 * k + 3] + x);
            typename simd<T>::v first, second;
            two_medians(a, b, c, d, first, second);
            store(l.out[y + 2 * k] + x, first);
            if (PAIRS > 1 || !odd) store(l.out[y + 2 * k + 1] + x, second);
            a = c, b = d;
        }
        for (int k = 0; k < ROWS; k += 2) seen.see(load(rows[k] + x), load(rows[k + 1] + x));
    }
    if (seen.any())
        for (int k = 0; k < ROWS; ++k) l.nan[std::min(y + k, l.count + 1)] = 1;
}

template <class T> struct Three {
    static constexpr int64_t SIZE = 3;
    using Kept = int;
    static Kept kept() { return 0; }

    static void filter(const Lines<T>& l, Kept&) {
        int64_t y = 0;
        for (; y + 4 <= l.count; y += 4) three_rows<T, 2>(l, y);
        for (; y < l.count; y += 2) three_rows<T, 1>(l, y);
    }
};

// --- 5 x 5 ------------------------------------------------------------------------------------------------------------
// Results y and y + 1, for even y, have rows y + 1 ... y + 4 in common: two sorted lists of two rows each, of which six
// can be results; the list of row y, or that of y + 5, decides between those.
template <class T> struct Five {
    static constexpr int64_t SIZE = 5;
    static constexpr int64_t L = simd<T>::lanes, WIDTH = 12;  // vectors in a strip: all that is kept of it, in 32 kB
    static constexpr int64_t LIST = 5 * L, VECTOR = 6 * LIST;
    using V = typename simd<T>::v;
    using Kept = Buffer<T>;  // per vector: the lists of three even rows, that of an odd one, a pair's
    static Kept kept() { return Kept(WIDTH * VECTOR); }

    static void filter(const Lines<T>& l, Kept& kept) {
        for (int64_t x0 = 0; x0 < l.n; x0 += WIDTH * L) strip(l, x0, std::min(WIDTH, (l.n - x0 + L - 1) / L), kept.data());
    }

private:
    static FASTMED_INLINE void sort(const T* row, T* list) {
        Sort5::template run<V>([&](int k) { return load(row + k); }, [&](int i, const V& v) { store(list + i * L, v); });
    }
    static FASTMED_INLINE void join(const T* a, const T* b, T* pair) {
        Join5::template run<V>([&](int k) { return load((k < 5 ? a + k * L : b + (k - 5) * L)); }, [&](int i, const V& v) { store(pair + i * L, v); });
    }
    // Of the six common ones and the five of a list; see RankRows::select_last.
    static FASTMED_INLINE V last(const V* common, const T* list) {
        V best = common[5];
        for (int i = 0; i < 5; ++i) best = vmin(best, vmax(common[i], load(list + (4 - i) * L)));
        return best;
    }
    static T* even(T* kept, int64_t row) { return kept + row / 2 % 3 * LIST; }
    static T* odd(T* kept) { return kept + 3 * LIST; }
    static T* pair(T* kept) { return kept + 4 * LIST; }

    static void strip(const Lines<T>& l, int64_t x0, int64_t vectors, T* kept) {
        NanSeen<T> before;
        for (int64_t i = 0; i < vectors; ++i) {
            const int64_t x = l.place(x0 + i * L);
            T* k = kept + i * VECTOR;
            for (int64_t r = 0; r < 4; r += 2) {
                sort(l.rows[r] + x, even(k, r));
                before.see(load(l.rows[r] + x), load(l.rows[r + 1] + x));
            }
            sort(l.rows[1] + x, odd(k));
            join(odd(k), even(k, 2), pair(k));
            sort(l.rows[3] + x, odd(k));
        }
        if (before.any()) std::fill_n(l.nan, 4, char(1));
        for (int64_t y = 0; y < l.count; y += 2) {
            const bool both = y + 1 < l.count;
            const T *row = l.rows[y + 4], *next = l.rows[both ? y + 5 : y + 4];
            T *out = l.out[y], *out_next = l.out[both ? y + 1 : y];
            NanSeen<T> seen;
            for (int64_t i = 0; i < vectors; ++i) {
                const int64_t x = l.place(x0 + i * L);
                T *k = kept + i * VECTOR, *list = even(k, y + 4);
                seen.see(load(row + x), load(next + x));
                sort(row + x, list);
                V common[6], joined[10];
                Join5::template run<V>([&](int w) { return load((w < 5 ? odd(k) + w * L : list + (w - 5) * L)); }, [&](int w, const V& v) { joined[w] = v; });
                Common4x5::template run<V>([&](int w) { return w < 10 ? load(pair(k) + w * L) : joined[w - 10]; }, [&](int w, const V& v) { common[w] = v; });
                for (int w = 0; w < 10; ++w) store(pair(k) + w * L, joined[w]);
                sort(next + x, odd(k));
                const V first = last(common, even(k, y)), second = last(common, odd(k));
                if (both) store(out_next + x, second);
                store(out + x, first);
            }
            if (seen.any()) l.nan[y + 4] = l.nan[std::min(y + 5, l.count + 3)] = 1;
        }
    }
};

// --- planes -----------------------------------------------------------------------------------------------------------
template <class T, class Median> class Planes {
    static constexpr int64_t SIZE = Median::SIZE, L = simd<T>::lanes;
    // The results beside the left and right edge are those of a narrow image of its own: `before` of them, then, beyond
    // the windows that lie across both sides, `after`. It is as wide as its elements, so that a NaN among them is seen.
    static constexpr int64_t EDGES = (3 * SIZE - 3 + L - 1) / L * L, EDGE_ROW = EDGES + SIZE - 1 + L;

    const View in, out;
    const Mode mode;
    const T cval;
    const int y, x;
    const int64_t ny, nx, before_y, before, after;
    int64_t block;

    struct Scratch {
        std::vector<T> edges, constant, edge_results;
        std::vector<const T*> rows, edge_rows;
        std::vector<T*> results, edge_at;
        std::vector<char> nan, nan_at;
        typename Median::Kept kept;
    };

public:
    Planes(const View& input, const Ints& b, Mode m, double c, const View& output)
        : in(input), out(output), mode(m), cval(cast<T>(c)), y(in.ndim - 2), x(in.ndim - 1), ny(in.shape[y]), nx(in.shape[x]),
          before_y(b[y]), before(b[x]), after(SIZE - 1 - before) {}

    void run(int threads) {
        int64_t planes = 1;
        for (int d = 0; d < y; ++d) planes *= in.shape[d];
        // Rows enough that those which blocks share do not count; a block answers an interrupt in time.
        block = std::clamp<int64_t>((int64_t(1) << 21) / nx, 32, 256);
        if (planes * ny < 4 * threads * block) block = std::max<int64_t>(32, (ny * planes + 4 * threads - 1) / (4 * threads));
        block = std::min((block + 3) / 4 * 4, ny);
        const int64_t blocks = (ny + block - 1) / block;
        parallel_for(planes * blocks, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            int64_t plane = unit / blocks, from = 0, to = 0;
            for (int d = y - 1; d >= 0; --d) {
                from += plane % in.shape[d] * in.strides[d];
                to += plane % in.shape[d] * out.strides[d];
                plane /= in.shape[d];
            }
            const int64_t y0 = unit % blocks * block;
            filter(s, in.data + from, out.data + to, y0, std::min(block, ny - y0));
        });
    }

private:
    Scratch scratch() const {
        const int64_t rows = block + SIZE - 1;
        Scratch s{std::vector<T>(rows * EDGE_ROW, cval), std::vector<T>(nx, cval), std::vector<T>(block * EDGES), {}, {}, {}, {}, {}, {}, Median::kept()};
        for (int64_t k = 0; k < rows; ++k) s.edge_rows.push_back(s.edges.data() + k * EDGE_ROW);
        for (int64_t k = 0; k < block; ++k) s.edge_at.push_back(s.edge_results.data() + k * EDGES);
        s.rows.resize(rows);
        s.results.resize(block);
        s.nan_at.resize(nx + SIZE - 1);
        return s;
    }
    T outside(const T* row, int64_t i) const {
        const int64_t k = border_index(i, nx, mode);
        return k < 0 ? cval : row[k];
    }

    void filter(Scratch& s, const char* from, char* to, int64_t y0, int64_t count) const {
        const int64_t rows = count + SIZE - 1, left = before + SIZE - 1;
        for (int64_t k = 0; k < rows; ++k) {
            const int64_t at = border_index(y0 - before_y + k, ny, mode);
            const T* row = at < 0 ? s.constant.data() : reinterpret_cast<const T*>(from + at * in.strides[y]);
            s.rows[k] = row;
            T* edge = s.edges.data() + k * EDGE_ROW;
            for (int64_t i = 0; i < left; ++i) edge[i] = outside(row, i - before);
            for (int64_t i = 0; i < after + SIZE - 1; ++i) edge[left + i] = outside(row, nx - SIZE + 1 + i);
        }
        for (int64_t k = 0; k < count; ++k) s.results[k] = reinterpret_cast<T*>(to + (y0 + k) * out.strides[y]) + before;
        s.nan.assign(rows, 0);
        Median::filter(Lines<T>{s.rows.data(), s.results.data(), count, nx - SIZE + 1, s.nan.data()}, s.kept);
        Median::filter(Lines<T>{s.edge_rows.data(), s.edge_at.data(), count, EDGES, s.nan.data()}, s.kept);
        for (int64_t k = 0; k < count; ++k) {
            T* row = s.results[k] - before;
            std::copy_n(s.edge_at[k], before, row);
            std::copy_n(s.edge_at[k] + left, after, row + nx - after);
            if constexpr (std::is_floating_point_v<T>)
                if (std::any_of(s.nan.begin() + k, s.nan.begin() + k + SIZE, [](char c) { return c; })) put_nans(s, k, row);
        }
    }

    // A window that holds a NaN gives NaN. In the networks a NaN may drive out other values, but only of windows that
    // hold it.
    void put_nans(Scratch& s, int64_t k, T* out_row) const {
        std::fill(s.nan_at.begin(), s.nan_at.end(), char(0));
        for (int64_t r = k; r < k + SIZE; ++r) {
            const T* row = s.rows[r];
            for (int64_t i = 0; i < nx; ++i) s.nan_at[before + i] |= row[i] != row[i];
            for (int64_t i = -before; i < nx + after; i = i == -1 ? nx : i + 1) {
                const T value = outside(row, i);
                s.nan_at[before + i] |= value != value;
            }
        }
        for (int64_t i = 0; i < nx; ++i)
            for (int64_t d = 0; d < SIZE; ++d)
                if (s.nan_at[i + d]) out_row[i] = std::numeric_limits<T>::quiet_NaN();
    }
};

}  // namespace

bool median_square_fits(const View& input, const Ints& window, int64_t rank, const View& output) {
    const int n = input.ndim;
    if (n < 2 || (window[n - 1] != 3 && window[n - 1] != 5) || window[n - 2] != window[n - 1]) return false;
    for (int d = 0; d < n - 2; ++d)
        if (window[d] != 1) return false;
    int64_t bytes = 0;
    dispatch(input.dtype, [&](auto tag) { bytes = sizeof(typename decltype(tag)::t); });
    const int64_t size = window[n - 1];
    return rank == size * size / 2 && input.strides[n - 1] == bytes && output.strides[n - 1] == bytes &&
           input.shape[n - 1] >= VECTOR_BYTES / bytes + size - 1;
}

void median_square(const View& input, const Ints& window, const Ints& before, Mode mode, double cval, const View& output, int threads) {
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        if (window.back() == 3) Planes<T, Three<T>>(input, before, mode, cval, output).run(threads);
        else Planes<T, Five<T>>(input, before, mode, cval, output).run(threads);
    });
}

}  // namespace fastmed
