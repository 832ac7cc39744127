// What is measured of each label of an image: counts, sums, moments, extremes and where they are, boxes; in one sweep.
//
// Labels become slots, label - low. The image is cut into as many blocks of lines as the tables have rows, whatever the
// number of threads; each block fills its own row of the tables in raster order, and the caller adds the rows up. A
// line falls into runs of one label, so that a table is touched once per run; sums go on in raster order all the same.
#include <cmath>
#include <limits>
#include <vector>

#include "../kernels.hpp"
#include "../parallel.hpp"

namespace fastmed {
namespace {

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
        std::vector<T> buffer(length);
        std::vector<int64_t> at(last + 1, 0);
        for (int64_t rest = begin, d = last - 1; d >= 0; rest /= labels_.shape[d], --d) at[d] = rest % labels_.shape[d];
        for (int64_t line = begin; line < end; ++line) {
            const char *label = labels_.data, *value = values_.data;
            for (int d = 0; d < last; ++d) {
                label += at[d] * labels_.strides[d];
                if (value) value += at[d] * values_.strides[d];
            }
            dispatch(labels_.dtype, [&](auto t) { to_slots<typename decltype(t)::t>(label, slots.data()); });
            const T* v = nullptr;
            if (value && values_.strides[last] == sizeof(T)) v = reinterpret_cast<const T*>(value);
            else if (value) gather(value, values_.strides[last], length, buffer.data()), v = buffer.data();
            for (int64_t x = 0; x < length;) {
                const int32_t slot = slots[x];
                const int64_t first = x;
                while (++x < length && slots[x] == slot) {}
                if (slot >= 0) body(v, first, x, slot, line, at);
            }
            for (int d = last - 1; d >= 0; --d) {
                if (++at[d] < labels_.shape[d]) break;
                at[d] = 0;
            }
        }
    }

  private:
    const View &values_, &labels_;
    const int64_t low_, slots_;

    template <class L> void to_slots(const char* from, int32_t* __restrict to) const {
        const int64_t stride = labels_.strides[labels_.ndim - 1];
        auto slot = [&](L label) {
            // Modulo 2^64, so that nothing overflows; what lies below `low` ends far above.
            const uint64_t s = static_cast<uint64_t>(static_cast<int64_t>(label)) - static_cast<uint64_t>(low_);
            return s < static_cast<uint64_t>(slots_) ? static_cast<int32_t>(s) : -1;
        };
        if (stride == sizeof(L)) {
            const L* __restrict p = reinterpret_cast<const L*>(from);
            for (int64_t x = 0; x < length; ++x) to[x] = slot(p[x]);
        } else {
            for (int64_t x = 0; x < length; ++x) to[x] = slot(*reinterpret_cast<const L*>(from + x * stride));
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

}  // namespace

// counts (blocks, slots) int64, zeros; where they have elements: sums (blocks, slots) and moments (blocks, slots, axes)
// float64, zeros; extremes (blocks, 2, slots) of the image's dtype and places (blocks, 2, slots) int64: the first
// smallest and the last largest; boxes (blocks, slots, 2, axes) int64: first and last index.
void label_sweep(View values, View labels, int64_t low, View counts, View sums, View moments, View extremes, View places, View boxes, int threads) {
    const int64_t slots = counts.shape[1];
    const int ndim = labels.ndim;
    const Table table(values, labels, low, slots);
    dispatch(values.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        blocks(table.lines, counts.shape[0], threads, [&](int64_t b, int64_t begin, int64_t end) {
            int64_t *count = row<int64_t>(counts, b), *place = row<int64_t>(places, b), *box = row<int64_t>(boxes, b);
            double *sum = row<double>(sums, b), *moment = row<double>(moments, b);
            T* extreme = row<T>(extremes, b);
            table.runs<T>(begin, end, [&](const T* v, int64_t first, int64_t last, int32_t s, int64_t line, const std::vector<int64_t>& at) {
                if (sum) {
                    double total = sum[s];
                    for (int64_t x = first; x < last; ++x) total += static_cast<double>(v[x]);
                    sum[s] = total;
                }
                if (moment) {
                    double* m = moment + int64_t(s) * ndim;
                    double part = 0, along = m[ndim - 1];
                    for (int64_t x = first; x < last; ++x) {
                        part += static_cast<double>(v[x]);
                        along += static_cast<double>(v[x]) * static_cast<double>(x);
                    }
                    m[ndim - 1] = along;
                    for (int d = 0; d < ndim - 1; ++d) m[d] += part * static_cast<double>(at[d]);
                }
                if (extreme) {
                    T lowest = v[first], highest = v[first];
                    int64_t low_at = first, high_at = first;
                    for (int64_t x = first + 1; x < last; ++x) {
                        if (less(v[x], lowest)) lowest = v[x], low_at = x;
                        if (!less(v[x], highest)) highest = v[x], high_at = x;
                    }
                    const int64_t base = line * table.length;
                    T &smallest = extreme[s], &largest = extreme[slots + s];
                    if (!count[s] || less(lowest, smallest)) smallest = lowest, place[s] = base + low_at;
                    if (!count[s] || !less(highest, largest)) largest = highest, place[slots + s] = base + high_at;
                }
                if (box) {
                    int64_t* lower = box + int64_t(s) * 2 * ndim;
                    int64_t* upper = lower + ndim;
                    for (int d = 0; d < ndim; ++d) {
                        const int64_t from = d < ndim - 1 ? at[d] : first, to = d < ndim - 1 ? at[d] : last - 1;
                        lower[d] = count[s] ? std::min(lower[d], from) : from;
                        upper[d] = count[s] ? std::max(upper[d], to) : to;
                    }
                }
                count[s] += last - first;
            });
        });
    });
}

// squares (blocks, slots) float64, zeros: sums of (value - mean)^2.
void label_squares(View values, View labels, int64_t low, View means, View squares, int threads) {
    const Table table(values, labels, low, squares.shape[1]);
    const auto* mean = reinterpret_cast<const double*>(means.data);
    dispatch(values.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        blocks(table.lines, squares.shape[0], threads, [&](int64_t b, int64_t begin, int64_t end) {
            double* square = row<double>(squares, b);
            table.runs<T>(begin, end, [&](const T* v, int64_t first, int64_t last, int32_t s, int64_t, const std::vector<int64_t>&) {
                double total = square[s];
                const double centre = mean[s];
                for (int64_t x = first; x < last; ++x) {
                    const double d = static_cast<double>(v[x]) - centre;
                    total += d * d;
                }
                square[s] = total;
            });
        });
    });
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
