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

// The quickest way, by estimates in cycles for one result. The lengths of networks are those that Network makes, to a
// fifth; the rest was measured with AVX-512 on volumes and images of smooth structures with noise.
Way way_of(const Window& w, const View& footprint, const View& input) {
    const double n = double(w.count), size = double(bytes_of(input.dtype));
    const int64_t nx = input.shape[input.ndim - 1], step = UNROLL * VECTOR_BYTES / int64_t(size);
    const double idle = double((nx + step - 1) / step * step) / double(nx);  // lanes that stand for nothing
    const double steps = (w.box ? 0.12 : 0.2) * n * std::log2(n) * std::log2(n);
    const double network = w.count > MAX_NETWORK ? INFINITY : 10 + idle * steps * 2.6 * size / VECTOR_BYTES;
    if (network < 50) return Way::network;
    double histogram = INFINITY;
    if (w.box && histogram_box_fits(w.shape)) {
        int longer = 0;
        int64_t shortest = w.count;
        for (int64_t k : w.shape)
            if (k > 1) ++longer, shortest = std::min(shortest, k);
        histogram = (size == 1 ? 50 : 100) + 9.0 * double(longer == 3 ? shortest : 1);
    }
    if (network <= histogram && w.box) return Way::network;
    const double sliding = w.box && histogram < INFINITY ? INFINITY : 80 + 7.0 * double(sliding_edges(footprint));
    return network <= std::min(histogram, sliding) ? Way::network : histogram <= sliding ? Way::histogram : Way::sliding;
}

// The networks for one window. Either the columns of a box, then across them; or all values at once.
struct Plan {
    Network columns, select;
    int64_t rank, lists, length;  // `lists` sorted lists of `length`
    bool by_columns;
    enum { listed, median_3x3, median_3x3x3 } steps = listed;

    Plan(bool box, int64_t n_lists, int64_t n, int64_t r) : rank(r), lists(n_lists), length(n), by_columns(box) {
        if (by_columns) columns = Network::sorting(length);
        select = Network::selecting(lists, length, rank);
        if (Sort3::made_by(columns) && Median3x3::made_by(select)) steps = median_3x3;
        if (Sort9::made_by(columns) && Median3x9::made_by(select)) steps = median_3x3x3;
    }
};

// Plans are kept between calls: making one takes longer than filtering a small image.
std::shared_ptr<const Plan> plan_for(const Window& w, int64_t rank) {
    const bool box = w.box && w.rows.size() > 1 && w.shape.back() > 1;
    const int64_t lists = box ? w.shape.back() : w.count, length = box ? int64_t(w.rows.size()) : 1;
    using Key = std::tuple<bool, int64_t, int64_t, int64_t>;
    static std::mutex mutex;
    static std::map<Key, std::shared_ptr<const Plan>> plans;
    const Key key{box, lists, length, rank};
    // Nobody waits: the lock may be another thread's, or for ever that of a thread that a fork left behind.
    std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
    if (!lock) return std::make_shared<const Plan>(box, lists, length, rank);
    if (auto kept = plans.find(key); kept != plans.end()) return kept->second;
    if (plans.size() >= 64) plans.clear();
    return plans[key] = std::make_shared<const Plan>(box, lists, length, rank);
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
        : window(w), plan(p), source(input, w, mode, cval, output, 2 * STEP, 0, cost(), threads), nx(source.nx), width(source.width) {}

    void run(int threads) const {
        source.run(threads, [&] { return Scratch(*this); }, [](T*) {}, [&](Scratch& s) {
            if (s.any_nan) one_by_one(s);
            else if (plan.steps == Plan::median_3x3) unrolled<Sort3, Median3x3>(s);
            else if (plan.steps == Plan::median_3x3x3) unrolled<Sort9, Median3x9>(s);
            else if (plan.by_columns) by_columns(s);
            else all_at_once(s);
        });
    }

private:
    struct Scratch : WindowRows<T>::Ring {
        std::vector<T> columns, values;
        std::vector<V> wires;
        explicit Scratch(const RankRows& r)
            : WindowRows<T>::Ring(r.source), columns(r.plan.by_columns ? r.plan.length * r.width : 0),
              values(r.window.count), wires(r.plan.lists * r.plan.length * UNROLL) {}
    };
    int64_t cost() const {
        return 1 + int64_t(plan.select.steps.size() + plan.columns.steps.size()) / STEP;
    }

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

    void by_columns(Scratch& s) const {
        V* wires = s.wires.data();
        for (int64_t x = 0; x < source.length; x += STEP) {
            for (int64_t r = 0; r < plan.length; ++r) put(wires, r, s.rows[r] + x);
            exchange_all(plan.columns, wires);
            for (int64_t r = 0; r < plan.length; ++r) take(wires, plan.columns.outputs[r], s.columns.data() + r * width + x);
        }
        for (int64_t x = 0; x < nx; x += STEP) {
            for (uint16_t w : plan.select.inputs) put(wires, w, s.columns.data() + w % plan.length * width + x + w / plan.length);
            exchange_all(plan.select, wires);
            take(wires, plan.select.outputs[0], s.ready.data() + x);
        }
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

    // Rows with a NaN: a window that holds one gives NaN.
    void one_by_one(Scratch& s) const {
        for (int64_t x = 0; x < nx; ++x) {
            int64_t count = 0;
            bool nan = false;
            for (size_t r = 0; r < window.rows.size(); ++r)
                for (int64_t dx : window.rows[r].x) {
                    const T v = s.rows[r][x + dx];
                    nan |= v != v;
                    s.values[count++] = v;
                }
            if (nan) {
                s.ready[x] = std::numeric_limits<T>::quiet_NaN();
                continue;
            }
            std::nth_element(s.values.begin(), s.values.begin() + plan.rank, s.values.end());
            s.ready[x] = s.values[plan.rank];
        }
    }
};
}  // namespace

void rank_rows(const View& input, const View& footprint, const Ints& origins, int64_t rank, Mode mode, double cval, const View& output, int threads) {
    if (input.size() == 0) return;
    const Window window(footprint, origins);
    switch (way_of(window, footprint, input)) {
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
