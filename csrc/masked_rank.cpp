// Ranks where some elements of a window do not count. Where all or none count there is nothing to do, and that is most of
// an image with a mask: the elements that count are added up for a whole row of windows first. Of the windows in between
// a vector holds many neighbouring ones. What does not count is made larger than everything, a network sorts all of
// them at once, and each window takes the rank that belongs to its own number of elements. (Selecting in each window by
// itself, a masked 3 x 3 x 3 median of float32 took three times as long.) Large windows, and those with a NaN, are selected from one by one.
#include "masked_rank.hpp"

#include <algorithm>
#include <limits>

#include "network.hpp"
#include "simd.hpp"
#include "window_rows.hpp"

namespace fastmed {
namespace {

// Above this many values the wires leave the first level cache.
constexpr int64_t MAX_SORTED = 512;

template <class T> class MaskedRank {
    using V = typename simd<T>::v;
    static constexpr int LANES = simd<T>::lanes;

    const View &in, &valid, &out;
    const Window& window;
    const Ints& ranks;
    const Mode mode;
    const T cval;
    const int last;  // the axis along which windows are neighbours
    const int64_t nx, before;
    int64_t length;  // windows that are treated at a time
    Network sorting;

public:
    MaskedRank(const View& i, const View& v, const Window& w, const Ints& r, Mode m, double c, const View& o)
        : in(i), valid(v), out(o), window(w), ranks(r), mode(m), cval(cast<T>(c)), last(i.ndim - 1), nx(i.shape[last]), before(w.before[last]) {
        length = std::clamp<int64_t>((int64_t(1) << 21) / window.count, 64, std::max<int64_t>(nx, 64));  // answers an interrupt in time
        if (window.count <= MAX_SORTED) sorting = Network::sorting(window.count);
    }

    void run(int threads) const {
        const int64_t pieces = (nx + length - 1) / length;
        parallel_for(in.size() / nx * pieces, threads, [&] { return Scratch(*this); }, [&](Scratch& s, int64_t unit) {
            piece(s, unit / pieces, unit % pieces * length);
        });
    }

private:
    struct Scratch {
        int64_t width;
        std::vector<T> values, chosen;
        std::vector<uint8_t> marks;
        std::vector<int32_t> counts;
        std::vector<int64_t> at;
        std::vector<V> wires;
        explicit Scratch(const MaskedRank& r)
            : width(std::min(r.length, r.nx) + r.window.shape.back() - 1 + LANES), values(r.window.rows.size() * width), chosen(r.window.count),
              marks(r.window.rows.size() * width), counts(std::min(r.length, r.nx)), at(r.last + 1), wires(r.sorting.outputs.size()) {}
    };

    void piece(Scratch& s, int64_t row, int64_t x0) const {
        const int64_t n = std::min(length, nx - x0);
        for (int d = last - 1; d >= 0; --d) {
            s.at[d] = row % in.shape[d];
            row /= in.shape[d];
        }
        std::fill_n(s.counts.data(), n, 0);
        bool nan = false;
        for (size_t r = 0; r < window.rows.size(); ++r) {
            uint8_t* marks = s.marks.data() + r * s.width;
            T* values = s.values.data() + r * s.width;
            fetch(s, window.rows[r], x0, n, values, marks);
            nan |= hide(values, marks, n + window.shape[last] - 1);
            for (int64_t dx : window.rows[r].x)
                for (int64_t x = 0; x < n; ++x) s.counts[x] += marks[x + dx];
        }
        char* to = out.data + x0 * out.strides[last];
        for (int d = 0; d < last; ++d) to += s.at[d] * out.strides[d];
        const auto put = [&](int64_t x, T value) { std::memcpy(to + x * out.strides[last], &value, sizeof value); };
        if (nan || sorting.outputs.empty()) {
            for (int64_t x = 0; x < n; ++x)
                if (partly(s, x)) put(x, select(s, x));
            return;
        }
        for (int64_t x = 0; x < n; x += LANES) {
            const int64_t end = std::min<int64_t>(x + LANES, n);
            int64_t first = x;
            while (first < end && !partly(s, first)) ++first;
            if (first == end) continue;
            sort(s, x);
            for (int64_t i = first; i < end; ++i)
                if (partly(s, i)) put(i, lane(s.wires[sorting.outputs[ranks[s.counts[i]]]], i - x));
        }
    }

    bool partly(const Scratch& s, int64_t x) const { return s.counts[x] > 0 && s.counts[x] < window.count; }

    static T lane(const V& v, int64_t i) {
        T value;
        std::memcpy(&value, reinterpret_cast<const char*>(&v) + i * int64_t(sizeof(T)), sizeof value);
        return value;
    }

    // Puts the largest value in the place of what does not count. True: one that counts is NaN.
    static bool hide(T* values, const uint8_t* marks, int64_t n) {
        constexpr T top = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
        bool nan = false;
        for (int64_t i = 0; i < n; ++i) {
            values[i] = marks[i] ? values[i] : top;
            nan |= values[i] != values[i];
        }
        return nan;
    }

    // All values of the windows at x and its neighbours, in order.
    void sort(Scratch& s, int64_t x) const {
        V* wire = s.wires.data();
        const T* row = s.values.data() + x;
        for (const auto& r : window.rows) {
            for (int64_t dx : r.x) *wire++ = load(row + dx);
            row += s.width;
        }
        for (const auto& step : sorting.steps) {
            const V a = s.wires[step.low], b = s.wires[step.high];
            s.wires[step.low] = vmin(a, b);
            s.wires[step.high] = vmax(a, b);
        }
    }

    // The values under one row of the window, for n neighbouring windows, and which of them count.
    void fetch(const Scratch& s, const Window::Row& row, int64_t x0, int64_t n, T* values, uint8_t* marks) const {
        const char *from = in.data, *flags = valid.data;
        bool outside = false;
        for (int d = 0; d < last; ++d) {
            const int64_t i = border_index(s.at[d] - window.before[d] + row.at[d], in.shape[d], mode);
            outside |= i < 0;
            from += i * in.strides[d];
            flags += i * valid.strides[d];
        }
        const int64_t begin = x0 - before, end = x0 + n + window.shape[last] - 1 - before;
        if (outside) {
            std::fill_n(values, end - begin, cval);
            std::fill_n(marks, end - begin, uint8_t(1));
            return;
        }
        const int64_t first = std::clamp<int64_t>(begin, 0, nx), stop = std::clamp<int64_t>(end, first, nx);
        gather(from + first * in.strides[last], in.strides[last], stop - first, values + (first - begin));
        gather(flags + first * valid.strides[last], valid.strides[last], stop - first, marks + (first - begin));
        const auto border = [&](int64_t i) {
            const int64_t k = border_index(i, nx, mode);
            values[i - begin] = cval;
            marks[i - begin] = 1;
            if (k < 0) return;
            std::memcpy(values + (i - begin), from + k * in.strides[last], sizeof(T));
            marks[i - begin] = static_cast<uint8_t>(flags[k * valid.strides[last]]);
        };
        for (int64_t i = begin; i < std::min(first, end); ++i) border(i);
        for (int64_t i = std::max(stop, begin); i < end; ++i) border(i);
    }

    T select(Scratch& s, int64_t x) const {
        T* chosen = s.chosen.data();
        const T* row = s.values.data() + x;
        const uint8_t* marks = s.marks.data() + x;
        const int64_t counted = s.counts[x];
        int64_t k = 0;
        bool nan = false;
        for (const auto& r : window.rows) {
            for (int64_t dx : r.x) {
                if (k == counted) break;  // `chosen` holds no more than a window
                chosen[k] = row[dx];
                nan |= row[dx] != row[dx];  // one that counts: the others are hidden
                k += marks[dx];
            }
            row += s.width;
            marks += s.width;
        }
        if (nan) return std::numeric_limits<T>::quiet_NaN();
        std::nth_element(chosen, chosen + ranks[counted], chosen + counted);
        return chosen[ranks[counted]];
    }
};
}  // namespace

void masked_rank_rows(const View& input, const View& valid, const View& footprint, const Ints& origins, const Ints& ranks, Mode mode, double cval, const View& output, int threads) {
    if (input.size() == 0) return;
    const Window window(footprint, origins);
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        MaskedRank<T>(input, valid, window, ranks, mode, cval, output).run(threads);
    });
}

}  // namespace fastmed
