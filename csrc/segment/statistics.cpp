// What is measured of each label of an image: counts, sums, squares, moments, extremes and where they are, boxes; in one
// sweep.
//
// Labels become slots, label - low. The image is cut into as many blocks of lines as the tables have rows, whatever the
// number of threads; each block fills its own row of the tables, and the caller adds the rows up. A line falls into runs
// of one label, found by comparing it with itself one element on, so that a table is touched once per run and what is in
// a long run is added in LANES sums side by side (one sum waits 4 cycles for each element). Short runs and the ends of
// long ones are added in their order; reading beyond a run and leaving lanes out was no faster.
//
// Squared distances are added around the first value that a block meets of a label, and moved to the mean at its end:
// stable, because that value lies among the others, and integers stay exact.
#include <cmath>
#include <limits>
#include <vector>

#include "../bits.hpp"
#include "../kernels.hpp"
#include "../parallel.hpp"

namespace fastmed {
namespace {

constexpr int LANES = 16;

template <class T> bool is_nan([[maybe_unused]] T v) {
    if constexpr (std::is_floating_point<T>::value) return v != v;
    else return false;
}
template <class T> bool less(T a, T b) { return a < b || (is_nan(b) && !is_nan(a)); }  // a NaN is above all

// Lines of two arrays of one shape, in C order.
class Table {
  public:
    Table(const View& values, const View& labels, int64_t low, int64_t slots)
        : values_(values), labels_(labels), low_(low), slots_(slots), length(labels.shape[labels.ndim - 1]),
          lines(labels.size() / std::max<int64_t>(length, 1)) {}

    // body(values, first, last, slot, line, place) for every run of one slot in the lines of a block.
    template <class T, class Body> void runs(int64_t begin, int64_t end, Body&& body) const {
        const int last = labels_.ndim - 1;
        std::vector<int32_t> slots(length);
        std::vector<uint8_t> flags((length + 63) / 64 * 64);  // what differs from the element before
        std::vector<int64_t> bounds(length + 2 + AT_ONCE);
        std::vector<T> buffer(values_.data && values_.strides[last] != sizeof(T) ? length : 0);
        std::vector<int64_t> at(last + 1, 0);
        for (int64_t rest = begin, d = last - 1; d >= 0; rest /= labels_.shape[d], --d) at[d] = rest % labels_.shape[d];
        for (int64_t line = begin; line < end; ++line) {
            const char *label = labels_.data, *value = values_.data;
            for (int d = 0; d < last; ++d) {
                label += at[d] * labels_.strides[d];
                if (value) value += at[d] * values_.strides[d];
            }
            dispatch(labels_.dtype, [&](auto t) { to_slots<typename decltype(t)::t>(label, slots.data()); });
            differences(slots.data(), flags.data());
            const T* v = reinterpret_cast<const T*>(value);
            if (!buffer.empty()) gather(value, values_.strides[last], static_cast<int64_t>(buffer.size()), buffer.data()), v = buffer.data();
            const int64_t count = find_bounds(flags.data(), bounds.data());
            for (int64_t i = 0; i < count; ++i) {
                const int32_t slot = slots[bounds[i]];
                if (slot >= 0) body(v, bounds[i], bounds[i + 1], slot, line, at);
            }
            for (int d = last - 1; d >= 0; --d) {
                if (++at[d] < labels_.shape[d]) break;
                at[d] = 0;
            }
        }
    }

  private:
    static constexpr int AT_ONCE = 4;

    const View &values_, &labels_;
    const int64_t low_, slots_;

    // Where runs begin, and the line's end. Some are written at once, if need be in vain: then no branch depends on how
    // many a word holds.
    int64_t find_bounds(const uint8_t* flags, int64_t* bounds) const {
        int64_t n = 0;
        bounds[n++] = 0;
        for (int64_t k = 0; k < length; k += 64) {
            uint64_t rest = nonzero_bits(flags + k);
            const int found = count_bits(rest);
            for (int i = 0; i < found; i += AT_ONCE)
                for (int j = 0; j < AT_ONCE; ++j, rest &= rest - 1) bounds[n + i + j] = k + lowest_bit(rest);
            n += found;
        }
        bounds[n] = length;
        return length ? n : 0;
    }
    void differences(const int32_t* __restrict slots, uint8_t* __restrict flags) const {
        for (int64_t x = 1; x < length; ++x) flags[x] = slots[x] != slots[x - 1];
    }
    template <class L> void to_slots(const char* from, int32_t* __restrict to) const {
        const int64_t stride = labels_.strides[labels_.ndim - 1];
        // Modulo 2^32 or 2^64, so that nothing overflows; what lies below `low` ends far above.
        constexpr int64_t SMALL = int64_t(1) << 30;
        if (sizeof(L) <= 4 && stride == sizeof(L) && low_ >= 0 && low_ < SMALL && slots_ < SMALL) {
            const L* __restrict p = reinterpret_cast<const L*>(from);
            const auto low = static_cast<uint32_t>(low_), count = static_cast<uint32_t>(slots_);
            for (int64_t x = 0; x < length; ++x) {
                const uint32_t s = static_cast<uint32_t>(p[x]) - low;
                to[x] = s < count ? static_cast<int32_t>(s) : -1;
            }
            return;
        }
        for (int64_t x = 0; x < length; ++x) {
            const L label = *reinterpret_cast<const L*>(from + x * stride);
            const uint64_t s = static_cast<uint64_t>(static_cast<int64_t>(label)) - static_cast<uint64_t>(low_);
            to[x] = s < static_cast<uint64_t>(slots_) ? static_cast<int32_t>(s) : -1;
        }
    }

  public:
    const int64_t length, lines;
};

// Blocks of lines: the same ones for any number of threads.
template <class Body> void blocks(int64_t lines, int64_t count, int threads, Body&& body) {
    parallel_for(count, threads, [&](int64_t b) { body(b, lines * b / count, lines * (b + 1) / count); });
}

template <class T> T* row(const View& table, int64_t block) {  // null: not wanted
    return table.size() ? reinterpret_cast<T*>(table.data + block * table.strides[0]) : nullptr;
}

// --- what is in a run ---

// The sum of term(value, x) over a run, added to `total`.
template <class T, class Term> double added(double total, const T* __restrict v, int64_t first, int64_t last, Term&& term) {
    int64_t x = first;
    if (last - first >= LANES) {
        double lanes[LANES] = {};
        for (; x + LANES <= last; x += LANES)
            for (int l = 0; l < LANES; ++l) lanes[l] += term(static_cast<double>(v[x + l]), static_cast<double>(x + l));
        for (int width = LANES / 2; width; width /= 2)
            for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
        total += lanes[0];
    }
    for (; x < last; ++x) total += term(static_cast<double>(v[x]), static_cast<double>(x));
    return total;
}

// Squared distances from the first value of each slot.
class Squares {
  public:
    Squares(double* squares, int64_t slots) : squares_(squares), slots_(squares ? slots : 0) {
        if (squares) shift_.resize(slots), distance_.resize(slots);
    }
    template <class T> void add(const T* v, int64_t first, int64_t last, int32_t s, bool seen) {
        if (!seen) shift_[s] = static_cast<double>(v[first]);
        const double shift = shift_[s];
        distance_[s] = added(distance_[s], v, first, last, [shift](double value, double) { return value - shift; });
        squares_[s] = added(squares_[s], v, first, last, [shift](double value, double) { return (value - shift) * (value - shift); });
    }
    void finish(const int64_t* counts) {
        for (int64_t s = 0; s < slots_; ++s)
            if (counts[s] && !(std::isinf(squares_[s]) && std::isfinite(distance_[s])))
                squares_[s] -= distance_[s] * (distance_[s] / static_cast<double>(counts[s]));
        for (int64_t s = 0; s < slots_; ++s) squares_[s] = squares_[s] < 0 ? 0 : squares_[s];
    }

  private:
    double* squares_;
    int64_t slots_;
    std::vector<double> shift_, distance_;
};

template <class T> struct Extremes { T lowest, highest; bool nan; };

template <class T> Extremes<T> extremes_of(const T* __restrict v, int64_t first, int64_t last) {
    T low[LANES], high[LANES];
    uint8_t nan = 0;
    std::fill_n(low, LANES, v[first]), std::fill_n(high, LANES, v[first]);
    int64_t x = first;
    for (; x + LANES <= last; x += LANES)
        for (int l = 0; l < LANES; ++l) {
            const T value = v[x + l];
            low[l] = value < low[l] ? value : low[l], high[l] = high[l] < value ? value : high[l];
        }
    for (; x < last; ++x) low[0] = std::min(low[0], v[x]), high[0] = std::max(high[0], v[x]);
    if (std::is_floating_point<T>::value)
        for (x = first; x < last; ++x) nan |= is_nan(v[x]);
    return {*std::min_element(low, low + LANES), *std::max_element(high, high + LANES), nan != 0};
}

// The first smallest and the last largest of each slot, and where they are.
template <class T> class Furthest {
  public:
    Furthest(T* extremes, int64_t* places, int64_t slots)
        : least_(extremes), most_(extremes + slots), least_at_(places), most_at_(places + slots) {}
    void add(const T* v, int64_t first, int64_t last, int32_t s, bool seen, int64_t base) {
        int64_t low, high;
        if (last - first < LANES) {
            find(v, first, last, low, high);
        } else {
            const Extremes<T> found = extremes_of(v, first, last);
            if (!found.nan && seen && !less(found.lowest, least_[s]) && less(found.highest, most_[s])) return;
            if (found.nan) {
                find(v, first, last, low, high);
            } else {
                for (low = first; v[low] != found.lowest;) ++low;
                for (high = last - 1; v[high] != found.highest;) --high;
            }
        }
        if (!seen || less(v[low], least_[s])) least_[s] = v[low], least_at_[s] = base + low;
        if (!seen || !less(v[high], most_[s])) most_[s] = v[high], most_at_[s] = base + high;
    }

  private:
    T *least_, *most_;
    int64_t *least_at_, *most_at_;

    static void find(const T* v, int64_t first, int64_t last, int64_t& low, int64_t& high) {
        low = high = first;
        for (int64_t x = first + 1; x < last; ++x) {
            if (less(v[x], v[low])) low = x;
            if (!less(v[x], v[high])) high = x;
        }
    }
};

template <class T> void add_moments(double* m, int ndim, const T* v, int64_t first, int64_t last, const std::vector<int64_t>& at) {
    const double part = added(0.0, v, first, last, [](double value, double) { return value; });
    for (int d = 0; d < ndim - 1; ++d) m[d] += part * static_cast<double>(at[d]);
    m[ndim - 1] = added(m[ndim - 1], v, first, last, [](double value, double x) { return value * x; });
}

void enclose(int64_t* __restrict lower, int ndim, int64_t first, int64_t last, bool seen, const std::vector<int64_t>& at) {
    int64_t* __restrict upper = lower + ndim;
    if (!seen) {
        std::copy_n(at.begin(), ndim - 1, lower), std::copy_n(at.begin(), ndim - 1, upper);
        lower[ndim - 1] = first, upper[ndim - 1] = last - 1;
        return;
    }
    for (int d = 0; d < ndim - 1; ++d) lower[d] = std::min(lower[d], at[d]), upper[d] = std::max(upper[d], at[d]);
    lower[ndim - 1] = std::min(lower[ndim - 1], first), upper[ndim - 1] = std::max(upper[ndim - 1], last - 1);
}

}  // namespace

// counts (blocks, slots) int64, zeros; where they have elements: sums, squares (blocks, slots) and moments (blocks,
// slots, axes) float64, zeros; extremes (blocks, 2, slots) of the image's dtype and places (blocks, 2, slots) int64: the
// first smallest and the last largest; boxes (blocks, slots, 2, axes) int64: first and last index.
void label_sweep(View values, View labels, int64_t low, View counts, View sums, View squares, View moments, View extremes, View places, View boxes, int threads) {
    const int64_t slots = counts.shape[1];
    const int ndim = labels.ndim;
    const Table table(values, labels, low, slots);
    dispatch(values.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        blocks(table.lines, counts.shape[0], threads, [&](int64_t b, int64_t begin, int64_t end) {
            int64_t *count = row<int64_t>(counts, b), *box = row<int64_t>(boxes, b);
            double *sum = row<double>(sums, b), *square = row<double>(squares, b), *moment = row<double>(moments, b);
            T* extreme = row<T>(extremes, b);
            Squares distances(square, slots);
            Furthest<T> furthest(extreme, row<int64_t>(places, b), slots);
            table.runs<T>(begin, end, [&](const T* v, int64_t first, int64_t last, int32_t s, int64_t line, const std::vector<int64_t>& at) {
                const bool seen = count[s] != 0;
                if (sum) sum[s] = added(sum[s], v, first, last, [](double value, double) { return value; });
                if (square) distances.add(v, first, last, s, seen);
                if (moment) add_moments(moment + int64_t(s) * ndim, ndim, v, first, last, at);
                if (extreme) furthest.add(v, first, last, s, seen, line * table.length);
                if (box) enclose(box + int64_t(s) * 2 * ndim, ndim, first, last, seen, at);
                count[s] += last - first;
            });
            distances.finish(count);
        });
    });
}

// The highest label, at least 0.
int64_t label_highest(View labels, int threads) {
    const int last = labels.ndim - 1;
    const int64_t length = labels.shape[last], lines = labels.size() / std::max<int64_t>(length, 1);
    const int64_t count = std::min<int64_t>(lines, 64);
    std::vector<int64_t> found(count, 0);
    dispatch(labels.dtype, [&](auto t) {
        using L = typename decltype(t)::t;
        blocks(lines, count, threads, [&](int64_t b, int64_t begin, int64_t end) {
            std::vector<L> buffer(length);
            L most = 0;
            for (int64_t line = begin; line < end; ++line) {
                const char* from = labels.data;
                for (int64_t rest = line, d = last - 1; d >= 0; rest /= labels.shape[d], --d) from += rest % labels.shape[d] * labels.strides[d];
                const L* p = reinterpret_cast<const L*>(from);
                if (labels.strides[last] != sizeof(L)) gather(from, labels.strides[last], length, buffer.data()), p = buffer.data();
                for (int64_t x = 0; x < length; ++x) most = std::max(most, p[x]);
            }
            found[b] = static_cast<int64_t>(most);
        });
    });
    return count ? *std::max_element(found.begin(), found.end()) : 0;
}

// The flat places of each slot's elements in raster order, slot after slot; `starts` (blocks, slots) int64 says where
// each block's begin, and is moved on.
void label_order(View labels, int64_t low, View starts, View order, int threads) {
    const View none;
    const Table table(none, labels, low, starts.shape[1]);
    auto* to = reinterpret_cast<int64_t*>(order.data);
    blocks(table.lines, starts.shape[0], threads, [&](int64_t b, int64_t begin, int64_t end) {
        int64_t* start = row<int64_t>(starts, b);
        table.runs<uint8_t>(begin, end, [&](const uint8_t*, int64_t first, int64_t last, int32_t s, int64_t line, const std::vector<int64_t>&) {
            int64_t next = start[s];
            for (int64_t x = first; x < last; ++x) to[next++] = line * table.length + x;
            start[s] = next;
        });
    });
}

// The middle one or two of each group; groups of `values` begin at `starts` and are put in another order. A NaN is
// above all.
void label_middles(View values, View starts, View lower, View upper, int threads) {
    const auto* begin = reinterpret_cast<const int64_t*>(starts.data);
    dispatch(values.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        T *v = reinterpret_cast<T*>(values.data), *low = reinterpret_cast<T*>(lower.data), *high = reinterpret_cast<T*>(upper.data);
        parallel_for(starts.shape[0] - 1, threads, [&](int64_t s) {
            const int64_t n = begin[s + 1] - begin[s];
            if (n == 0) return;
            T *first = v + begin[s], *last = v + begin[s + 1], *middle = first + (n - 1) / 2;
            auto below = [](T a, T b) { return less(a, b); };
            std::nth_element(first, middle, last, below);
            low[s] = *middle;
            high[s] = n % 2 ? *middle : *std::min_element(middle + 1, last, below);
        });
    });
}

}  // namespace fastmed
