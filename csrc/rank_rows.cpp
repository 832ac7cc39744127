// Ranks over a footprint. A vector holds one window position of many neighbouring windows, so a selection network finds
// the value of the wanted rank for all of them at once. For a box the columns of the window are sorted once and shared
// by all windows that they lie in.
#include "rank_rows.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "histogram_box.hpp"
#include "median_square.hpp"
#include "network.hpp"
#include "simd.hpp"
#include "sliding_ranks.hpp"
#include "unrolled.hpp"
#include "window_rows.hpp"

namespace fastmed {
namespace {

// Vectors per wire: enough independent work to hide the latency of a step, and fewer trips through the list of steps.
constexpr int UNROLL = 2;
// Above this many values the network's wires leave the first level cache, and making it takes milliseconds.
constexpr int64_t MAX_NETWORK = 2048;

enum class Way { network, histogram, sliding };

int64_t bytes_of(DType dtype) {
    int64_t bytes = 1;
    dispatch(dtype, [&](auto tag) { bytes = sizeof(typename decltype(tag)::t); });
    return bytes;
}

// Whether the values of a tile are likely the bins of histogram_box themselves, so that it has nothing to sort: by a
// look at a thousand elements.
bool few_values(const View& v) {
    bool few = false;
    dispatch(v.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        if constexpr (!std::is_floating_point_v<T>) {
            T low = std::numeric_limits<T>::max(), high = std::numeric_limits<T>::lowest();
            const int64_t size = v.size(), samples = sizeof(T) == 1 ? 0 : std::min<int64_t>(size, 1009);
            for (int64_t i = 0; i < samples; ++i) {
                int64_t rest = size / samples * i, offset = 0;
                for (int d = v.ndim - 1; d >= 0; --d) offset += rest % v.shape[d] * v.strides[d], rest /= v.shape[d];
                const T value = *reinterpret_cast<const T*>(v.data + offset);
                low = std::min(low, value), high = std::max(high, value);
            }
            few = sizeof(T) == 1 || uint64_t(high) - uint64_t(low) < HISTOGRAM_BINS;
        }
    });
    return few;
}

// The networks for one window, found by its shape and rank.
struct Plan {
    // all: every value of the window by itself. columns: those of a box sorted once, then across them. paired: see
    // PairedRows below.
    enum Way { all, columns, median_3x3, median_3x3x3, paired } way;
    Network sort, select;  // of `columns`
    int64_t rank, lists, length;  // `lists` sorted lists of `length`
    Network merge, join, common;  // of `paired`: columns to lists, lists to pairs, those of two windows
    int64_t height = 1, list = 1, units = 1, unit = 1, low = 0, high = 0;
    bool is_5x5 = false;  // and its networks those of unrolled.hpp

    Plan(bool box, int64_t rows, int64_t h, int64_t width, int64_t count, int64_t r)
        : way(!box ? all : h >= 4 ? paired : columns), rank(r), lists(box ? width : count), length(box ? (way == paired ? rows / h : rows) : 1), height(h) {
        if (box) sort = Network::sorting(length);
        if (way == paired) {
            pair();
            return;
        }
        select = Network::selecting(lists, length, rank);
        if (Sort3::made_by(sort) && Median3x3::made_by(select)) way = median_3x3;
        if (Sort9::made_by(sort) && Median3x9::made_by(select)) way = median_3x3x3;
    }
    int64_t steps() const {
        return int64_t(sort.steps.size() + select.steps.size() + merge.steps.size() + (join.steps.size() + common.steps.size()) / 2) + list;
    }
    int64_t most_wires() const { return std::max({lists * length, units * unit, 2 * list}); }
    int64_t joined() const { return height % 2 ? units : 0; }
    int64_t kept_rows() const { return way == paired ? height * list + joined() * unit + high - low + 1 : 0; }

private:
    // Of `count` sorted lists of `size`, all values at whose places one of rank `r` of the `all` values can stand.
    struct Places {
        int64_t first, last;
        Places(int64_t size, int64_t all, int64_t r) : first(std::max<int64_t>(0, r - (all - size))), last(std::min(size - 1, r)) {}
        int64_t count() const { return last - first + 1; }
    };
    // Lists and pairs of lists are made only as far as they can hold the result: of the 25 elements of a row of
    // 5 x 5 x 5 the percentile 90 can be one of the largest 13. `rank` is counted among what is left.
    void pair() {
        const int64_t elements = lists * length;
        const Places kept(elements, height * elements, rank);
        merge = (length > 1 ? Network::merging(lists, length) : Network::sorting(lists)).part(kept.first, kept.last);
        list = kept.count();
        rank -= height * kept.first;
        units = height - 1;
        unit = list;
        if (height % 2) {
            units = height / 2;
            const Places both(2 * list, height * list, rank);
            join = Network::merging(2, list).part(both.first, both.last);
            unit = both.count();
            rank -= units * both.first;
        }
        low = std::max<int64_t>(0, rank - list);
        high = std::min(rank, units * unit - 1);
        common = Network::selecting(units, unit, low, high);
        is_5x5 = length == 1 && Sort5::made_by(merge) && Join5::made_by(join) && Common4x5::made_by(common);
    }
};

// Plans are kept between calls: making one takes longer than filtering a small image.
std::shared_ptr<const Plan> plan_for(const Window& w, int64_t rank) {
    const int64_t rows = int64_t(w.rows.size()), width = w.shape.back(), height = w.shape.size() > 1 ? w.shape[w.shape.size() - 2] : 1;
    const bool box = w.box && rows > 1 && (width > 1 || height >= 4);
    using Key = std::tuple<bool, int64_t, int64_t, int64_t, int64_t, int64_t>;
    static std::mutex mutex;
    static std::map<Key, std::shared_ptr<const Plan>> plans;
    const Key key = box ? Key{true, rows, height, width, w.count, rank} : Key{false, 0, 0, 0, w.count, rank};
    const auto make = [&] { return std::make_shared<const Plan>(box, rows, height, width, w.count, rank); };
    // Nobody waits: the lock may be another thread's, or for ever that of a thread that a fork left behind.
    std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
    if (!lock) return make();
    if (auto kept = plans.find(key); kept != plans.end()) return kept->second;
    if (plans.size() >= 64) plans.clear();
    return plans[key] = make();
}

// The quickest way, by estimates in cycles for one result: fits to what was measured with AVX-512 over windows of 6 to 450
// elements on volumes and images of smooth structures with noise.
Way way_of(const Window& w, const View& footprint, const View& input, int64_t rank) {
    const double n = double(w.count), size = double(bytes_of(input.dtype));
    const int64_t nx = input.shape[input.ndim - 1], step = UNROLL * VECTOR_BYTES / int64_t(size);
    const double idle = double((nx + step - 1) / step * step) / double(nx);  // lanes that stand for nothing
    const bool shared = w.box && input.ndim > 1 && w.shape[input.ndim - 2] >= 4;
    int longer = 0;  // axes
    int64_t shortest = w.count;
    for (int64_t k : w.shape)
        if (k > 1) ++longer, shortest = std::min(shortest, k);
    const double steps = (!shared ? 0.225 : longer > 2 ? 0.115 : 0.09) * n * std::log2(n) * std::log2(n);
    double network = w.count > MAX_NETWORK ? INFINITY : 10 + idle * steps * 2.6 * size / VECTOR_BYTES;
    if (network < 30) return Way::network;
    if (!w.box || !histogram_box_fits(w.shape)) {
        const double sliding = (size == 8 ? 100 : 70) + 4.0 * double(sliding_edges(footprint));
        return network <= sliding ? Way::network : Way::sliding;
    }
    const double sorting = few_values(input) ? 0 : size == 8 ? 70 : 43, first = longer == 1 ? 50 : 33;
    const double histogram = first + sorting + 4.7 * double(longer == 3 ? shortest : 1);
    // The fits are of medians; networks of ranks near an end are shorter.
    if (shared && network > histogram && network < 4 * histogram && rank != w.count / 2)
        network *= double(plan_for(w, rank)->steps()) / double(plan_for(w, w.count / 2)->steps());
    return network <= histogram ? Way::network : Way::histogram;
}

template <class T> class RankRows {
    using V = typename simd<T>::v;
    static constexpr int64_t STEP = UNROLL * simd<T>::lanes;

    const Window& window;
    const Plan& plan;
    const WindowRows<T> source;
    const int64_t nx, width;

public:
    RankRows(const View& input, const Window& w, const Plan& p, Mode mode, double cval, const View& output, int threads)
        : window(w), plan(p), source(input, w, mode, cval, output, 2 * STEP, 0, 1 + p.steps() / STEP, threads, p.kept_rows()), nx(source.nx), width(source.width) {}

    void run(int threads) const {
        source.run(threads, [&] { return Scratch(*this); }, [](T*) {}, [&](Scratch& s) {
            switch (plan.way) {
                case Plan::median_3x3: unrolled<Sort3, Median3x3>(s); break;
                case Plan::median_3x3x3: unrolled<Sort9, Median3x9>(s); break;
                case Plan::columns: by_columns(s); break;
                case Plan::paired: paired(s); break;
                case Plan::all: all_at_once(s); break;
            }
            if constexpr (std::is_floating_point_v<T>)
                if (s.any_nan) put_nans(s);
        });
    }

private:
    struct Scratch : WindowRows<T>::Ring {
        std::vector<T> columns, kept;
        std::vector<V> wires;
        std::vector<const T*> sources;          // of each wire
        std::vector<uint8_t> nan_at, nan_here;  // per x: in a row, in the window
        explicit Scratch(const RankRows& r)
            : WindowRows<T>::Ring(r.source), columns(r.plan.way == Plan::all ? 0 : r.plan.length * r.width),
              kept(r.plan.kept_rows() * r.width * r.source.most_z()), wires(r.plan.most_wires() * UNROLL),
              sources(r.plan.most_wires()),
              nan_at(r.width), nan_here(r.width) {}
    };

    static FASTMED_INLINE void exchange_all(const Network& net, V* wires) {
        for (const auto& step : net.steps) {
            V *a = wires + step.low * UNROLL, *b = wires + step.high * UNROLL;
            for (int u = 0; u < UNROLL; ++u) {
                const V x = a[u], y = b[u];
                a[u] = vmin(x, y);
                b[u] = vmax(x, y);
            }
        }
    }
    static FASTMED_INLINE void put(V* wires, int64_t wire, const T* from) {
        for (int u = 0; u < UNROLL; ++u) wires[wire * UNROLL + u] = load(from + u * simd<T>::lanes);
    }
    static FASTMED_INLINE void take(const V* wires, int64_t wire, T* to) {
        for (int u = 0; u < UNROLL; ++u) store(to + u * simd<T>::lanes, wires[wire * UNROLL + u]);
    }

    // For n values of x: reads wire w from from(w) + x, writes output i to row i of `to`.
    template <class From> FASTMED_INLINE void apply(Scratch& s, const Network& net, int64_t n, const From& from, T* to) const {
        V* wires = s.wires.data();
        const T** sources = s.sources.data();
        for (uint16_t w : net.inputs) sources[w] = from(w);
        for (int64_t x = 0; x < n; x += STEP) {
            for (uint16_t w : net.inputs) put(wires, w, sources[w] + x);
            exchange_all(net, wires);
            for (size_t i = 0; i < net.outputs.size(); ++i) take(wires, net.outputs[i], to + int64_t(i) * width + x);
        }
    }

    void by_columns(Scratch& s) const {
        const T* columns = s.columns.data();
        apply(s, plan.sort, source.length, [&](int64_t w) { return s.rows[w]; }, s.columns.data());
        apply(s, plan.select, nx, [&](int64_t w) { return columns + w % plan.length * width + w / plan.length; }, s.ready.data());
    }

    // The same with a network that the compiler knows.
    template <class Net, class From> FASTMED_INLINE void apply(Scratch& s, int64_t n, const From& from, T* to) const {
        const T* sources[Net::wires];
        for (int w = 0; w < Net::wires; ++w) sources[w] = from(w);
        (void)s;
        const int64_t row = width;
        for (int64_t x = 0; x < n; x += simd<T>::lanes)
            Net::template run<V>([&](int k) { return load(sources[k] + x); }, [&](int i, const V& v) { store(to + i * row + x, v); });
    }

    template <class Sort, class Select> void unrolled(Scratch& s) const {
        constexpr int L = simd<T>::lanes;
        T* columns = s.columns.data();
        for (int64_t x = 0; x < source.length; x += L)
            Sort::template run<V>([&](int k) { return load(s.rows[k] + x); },
                                  [&](int i, const V& v) { store(columns + i * width + x, v); });
        for (int64_t x = 0; x < nx; x += L)
            Select::template run<V>([&](int k) { return load(columns + k % Sort::wires * width + x + k / Sort::wires); },
                                    [&](int, const V& v) { store(s.ready.data() + x, v); });
    }

    void all_at_once(Scratch& s) const {
        V* wires = s.wires.data();
        for (int64_t x = 0; x < nx; x += STEP) {
            int64_t w = 0;
            for (size_t r = 0; r < window.rows.size(); ++r)
                for (int64_t dx : window.rows[r].x) put(wires, w++, s.rows[r] + x + dx);
            exchange_all(plan.select, wires);
            take(wires, plan.select.outputs[0], s.ready.data() + x);
        }
    }

    // Boxes of at least four rows, by Huang's, Yang's and Tang's observation that neighbouring windows share most of
    // their elements. All elements of a window at one y are a sorted list, made once; results y and y + 1, for even y,
    // share all lists but the first and the last. What of the shared ones can be the result is selected for both, and
    // each result is then the wanted rank of two sorted lists. With an odd number of rows the shared lists come in pairs
    // that are merged once, too.
    void paired(Scratch& s) const {
        const int64_t h = plan.height;
        for (int64_t dy = s.y == 0 ? 0 : h - 1; dy < h; ++dy) {
            make_list(s, dy);
            if (plan.joined() && (s.y + dy) % 2 == 0 && dy > 0 && s.y + dy > 1) join_lists(s, dy);
        }
        if (s.y % 2 == 0) select_common(s);
        select_last(s, list(s, s.y % 2 ? h - 1 : 0));
    }
    T* kept(Scratch& s, int64_t row) const { return s.kept.data() + (s.z * plan.kept_rows() + row) * width; }
    T* list(Scratch& s, int64_t dy) const { return kept(s, (s.y + dy) % plan.height * plan.list); }
    T* joined(Scratch& s, int64_t dy) const {  // the pair of rows dy and dy + 1, the first of which is odd
        return kept(s, plan.height * plan.list + (s.y + dy) / 2 % plan.units * plan.unit);
    }
    T* common(Scratch& s) const { return kept(s, plan.height * plan.list + plan.joined() * plan.unit); }

    void make_list(Scratch& s, int64_t dy) const {
        const int64_t depth = plan.length;
        if (plan.is_5x5) return apply<Sort5>(s, nx, [&](int64_t w) { return s.rows[dy] + w; }, list(s, dy));
        if (depth == 1) return apply(s, plan.merge, nx, [&](int64_t w) { return s.rows[dy] + w; }, list(s, dy));
        const T* columns = s.columns.data();
        apply(s, plan.sort, source.length, [&](int64_t w) { return s.rows[w * plan.height + dy]; }, s.columns.data());
        apply(s, plan.merge, nx, [&](int64_t w) { return columns + w % depth * width + w / depth; }, list(s, dy));
    }
    void join_lists(Scratch& s, int64_t dy) const {  // row dy and the one before
        const T *a = list(s, dy - 1), *b = list(s, dy);
        const auto from = [&](int64_t w) { return w < plan.list ? a + w * width : b + (w - plan.list) * width; };
        if (plan.is_5x5) apply<Join5>(s, nx, from, joined(s, dy - 1));
        else apply(s, plan.join, nx, from, joined(s, dy - 1));
    }
    void select_common(Scratch& s) const {
        const auto from = [&](int64_t w) {
            const int64_t u = w / plan.unit, i = w % plan.unit;
            return (plan.joined() ? joined(s, 1 + 2 * u) : list(s, 1 + u)) + i * width;
        };
        if (plan.is_5x5) apply<Common4x5>(s, nx, from, common(s));
        else apply(s, plan.common, nx, from, common(s));
    }
    // With i values from the common ones and the others from the list, the larger of the last two is no less than the
    // result; with the right i it is the result.
    void select_last(Scratch& s, const T* b) const {
        const T* a = common(s);
        const int64_t k = plan.rank - plan.low + 1, m = plan.high - plan.low + 1;
        const int64_t first = std::max<int64_t>(0, k - plan.list), last = std::min(m, k);
        const auto larger = [&](int64_t i, int64_t x) {
            if (i == 0) return load(b + (k - 1) * width + x);
            const V v = load(a + (i - 1) * width + x);
            return i == k ? v : vmax(v, load(b + (k - i - 1) * width + x));
        };
        for (int64_t x = 0; x < nx; x += simd<T>::lanes) {
            V best = larger(first, x);
            for (int64_t i = first + 1; i <= last; ++i) best = vmin(best, larger(i, x));
            store(s.ready.data() + x, best);
        }
    }

    // A window that holds a NaN gives NaN. In the networks a NaN may drive out other values, but only of windows that
    // hold it.
    void put_nans(Scratch& s) const {
        using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
        constexpr T infinity = std::numeric_limits<T>::infinity();
        Bits limit;
        std::memcpy(&limit, &infinity, sizeof limit);
        std::fill(s.nan_here.begin(), s.nan_here.end(), uint8_t(0));
        for (size_t r = 0; r < window.rows.size(); ++r) {
            for (int64_t x = 0; x < source.length; ++x) {
                Bits bits;
                std::memcpy(&bits, s.rows[r] + x, sizeof bits);
                s.nan_at[x] = (bits & (Bits(~Bits(0)) >> 1)) > limit;
            }
            for (int64_t dx : window.rows[r].x)
                for (int64_t x = 0; x < nx; ++x) s.nan_here[x] |= s.nan_at[x + dx];
        }
        for (int64_t x = 0; x < nx; ++x)
            if (s.nan_here[x]) s.ready[x] = std::numeric_limits<T>::quiet_NaN();
    }
};

// The view with axis `axis` last.
View turned(View v, int axis) {
    std::rotate(v.shape.begin() + axis, v.shape.begin() + axis + 1, v.shape.begin() + v.ndim);
    std::rotate(v.strides.begin() + axis, v.strides.begin() + axis + 1, v.strides.begin() + v.ndim);
    return v;
}
}  // namespace

void rank_rows(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, double cval, const View& output, int threads) {
    if (input.size() == 0) return;
    const int last = input.ndim - 1;
    const int longest = int(std::max_element(input.shape.begin(), input.shape.begin() + input.ndim) - input.shape.begin());
    if (input.shape[last] < 32 && input.shape[longest] >= 2 * input.shape[last]) {  // colours: vectors would stay empty
        Ints moved = origins;
        std::rotate(moved.begin() + longest, moved.begin() + longest + 1, moved.end());
        return rank_rows(turned(input, longest), turned(footprint, longest), moved, rank, mode, cval, turned(output, longest), threads);
    }
    const Window window(footprint, origins);
    if (window.box && median_square_fits(input, window.shape, rank, output))
        return median_square(input, window.shape, window.before, mode, cval, output, threads);
    switch (way_of(window, footprint, input, rank)) {
        case Way::histogram: return histogram_box(input, window.shape, window.before, rank, mode, cval, output, threads);
        case Way::sliding: return sliding_ranks(input, footprint, origins, rank, mode, cval, output, threads);
        case Way::network: break;
    }
    const std::shared_ptr<const Plan> plan = plan_for(window, rank);
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        RankRows<T>(input, window, *plan, mode, cval, output, threads).run(threads);
    });
}

}  // namespace fastmed
