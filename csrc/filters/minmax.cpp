// Minimum and maximum. A box is separable, and the cost does not grow with it: over rows by van Herk's and Gil and
// Werman's running blocks, along a row by doubling (the best of 2^k neighbours is that of two overlapping halves). The
// last two axes go together, a row at a time; every other axis is one more trip, in tiles that stay in cache.
// Other footprints are runs along x, each of them two rows of 2^k neighbours.
#include <algorithm>
#include <numeric>

#include "border.hpp"
#include "cast.hpp"
#include "kernels.hpp"
#include "order.hpp"
#include "parallel.hpp"
#include "simd.hpp"
#include "window_rows.hpp"

namespace fastmed {
namespace {

// Bytes of rows that a thread keeps at hand: a first level cache; with whole rows, a second level one.
constexpr int64_t NEAR = 1 << 15, FAR = 1 << 20;

template <class K, bool LARGEST> FASTMED_INLINE typename simd<K>::v best_of(typename simd<K>::v a, typename simd<K>::v b) {
    return LARGEST ? vmax(a, b) : vmin(a, b);
}
// to[i] = the best of from[i] and from[i + apart]; both may be the same row, which is readable a vector past its end.
template <class K, bool LARGEST> void pair_up(const K* from, int64_t apart, int64_t n, K* to) {
    for (int64_t i = 0; i < n; i += simd<K>::lanes) store(to + i, best_of<K, LARGEST>(load(from + i), load(from + i + apart)));
}

struct Along {  // one axis of the box
    int axis = -1;
    int64_t length = 1, before = 0;
    Mode mode = Mode::nearest;
};

template <class T, bool LARGEST> class Box {
    using Order = Extremal<T, LARGEST>;
    using K = typename Order::K;

    const View in, out;
    const int threads, x;
    const T cval;

    // One trip through memory: along one axis other than the last, or along the last alone, or along both.
    struct Trip {
        View from;
        Along axis, x;
        int64_t n = 1, tile = 1, tiles = 1, part = 1, parts = 1, outer = 1;
        bool in_place = false;
    };
    struct Scratch {
        std::vector<K> line, blocks, best;
        std::vector<T> gathered, ready, constant, tail;
        Scratch(const Trip& t, T cval)
            : line(t.tile + t.x.length + 2 * simd<K>::lanes), blocks(t.axis.length * t.tile), best(t.tile), gathered(t.tile),
              ready(t.tile), constant(t.tile, cval), tail(t.in_place ? after(t.axis) * t.tile : 0) {}
    };
    static int64_t after(const Along& a) { return a.length - 1 - a.before; }

public:
    Box(const View& input, const View& output, double c, int t) : in(input), out(output), threads(t), x(input.ndim - 1), cval(cast<T>(c)) {}

    void run(std::vector<Along> axes) const {
        std::sort(axes.begin(), axes.end(), [](const Along& a, const Along& b) { return a.axis > b.axis; });
        View from = in;
        Along along_x;
        if (!axes.empty() && axes[0].axis == x) {
            along_x = axes[0];
            axes.erase(axes.begin());
            const bool together = !axes.empty() && axes[0].length * in.shape[x] * int64_t(sizeof(K)) <= FAR;
            if (!together) axes.insert(axes.begin(), Along{});
        }
        for (const Along& axis : axes) {
            trip(from, axis, along_x);
            along_x = Along{};
            from = out;
        }
    }

private:
    void trip(const View& from, const Along& axis, const Along& along_x) const {
        Trip t{from, axis, along_x};
        t.in_place = from.data == out.data;
        t.n = axis.axis < 0 ? 1 : in.shape[axis.axis];
        const int64_t nx = in.shape[x], lanes = 64 / int64_t(sizeof(T));
        const int64_t room = NEAR / (axis.length * int64_t(sizeof(K))) / lanes * lanes;
        t.tile = along_x.axis < 0 ? std::min(nx, std::max(room, 4 * lanes)) : nx;
        t.tiles = (nx + t.tile - 1) / t.tile;
        for (int d = 0; d < x; ++d)
            if (d != axis.axis) t.outer *= in.shape[d];
        t.part = t.n;
        if (!t.in_place) {  // parts read rows that are others' results
            const int64_t quick = std::max<int64_t>(1, (int64_t(1) << 24) / t.tile);
            const int64_t shared = t.outer * t.tiles >= 2 * threads ? t.n : (t.n + 2 * threads - 1) / (2 * threads);
            t.part = std::min(t.n, std::max(4 * axis.length, std::min(quick, shared)));
        }
        t.parts = (t.n + t.part - 1) / t.part;
        const int64_t units = t.outer * t.tiles * t.parts;
        const int64_t batch = std::clamp<int64_t>((int64_t(1) << 16) / (t.tile * t.part), 1, std::max<int64_t>(1, units / (4 * threads)));
        parallel_for((units + batch - 1) / batch, threads, [&] { return Scratch(t, cval); }, [&](Scratch& s, int64_t b) {
            for (int64_t u = b * batch; u < std::min(units, (b + 1) * batch); ++u) unit(t, s, u);
        });
    }

    void unit(const Trip& t, Scratch& s, int64_t u) const {
        const int64_t part = u % t.parts, x0 = u / t.parts % t.tiles * t.tile;
        const int64_t count = std::min(t.tile, in.shape[x] - x0), i0 = part * t.part, i1 = std::min(t.n, i0 + t.part);
        int64_t rest = u / t.parts / t.tiles;
        const char* from = t.from.data + x0 * t.from.strides[x];
        char* to = out.data + x0 * out.strides[x];
        for (int d = x - 1; d >= 0; --d) {
            if (d == t.axis.axis) continue;
            from += rest % in.shape[d] * t.from.strides[d];
            to += rest % in.shape[d] * out.strides[d];
            rest /= in.shape[d];
        }
        column(t, s, from, to, count, i0, i1);
    }

    // Results i0 ... i1 of one column of rows.
    void column(const Trip& t, Scratch& s, const char* from, char* to, int64_t count, int64_t i0, int64_t i1) const {
        const int64_t step = t.axis.axis < 0 ? 0 : t.from.strides[t.axis.axis], out_step = t.axis.axis < 0 ? 0 : out.strides[t.axis.axis];
        const int64_t in_x = t.from.strides[x], out_x = out.strides[x], length = t.axis.length;
        const int64_t last = t.n + t.axis.before;  // from here on, rows may have been overwritten
        auto index = [&](int64_t e) { return border_index(e - t.axis.before, t.n, t.axis.mode); };
        if (t.in_place)
            for (int64_t k = 0; k < after(t.axis); ++k) {
                const int64_t i = index(last + k);
                if (i >= 0) gather(from + i * step, in_x, count, s.tail.data() + k * t.tile);
            }
        for (int64_t e = i0; e < i1 + length - 1; ++e) {
            const int64_t i = index(e), j = (e - i0) % length, result = e - length + 1;
            const char* row = i < 0 ? reinterpret_cast<const char*>(s.constant.data()) : from + i * step;
            int64_t stride = i < 0 ? int64_t(sizeof(T)) : in_x;
            if (i >= 0 && t.in_place && e >= last) row = reinterpret_cast<const char*>(s.tail.data() + (e - last) * t.tile), stride = sizeof(T);
            T* ready = result < i0 ? nullptr : out_x == sizeof(T) ? reinterpret_cast<T*>(to + result * out_step) : s.ready.data();
            if (t.x.axis >= 0) {
                along_row(t.x, row, stride, count, s.line.data());
                push<K>(s, s.line.data(), j, length, count, t.tile, ready);
            } else if (stride == sizeof(T)) {
                push<T>(s, reinterpret_cast<const T*>(row), j, length, count, t.tile, ready);
            } else {
                gather(row, stride, count, s.gathered.data());
                push<T>(s, s.gathered.data(), j, length, count, t.tile, ready);
            }
            if (ready == s.ready.data()) scatter(ready, count, to + result * out_step, out_x);
        }
    }

    // The row's keys with borders, then the best of every `length` neighbours, in place.
    void along_row(const Along& a, const char* row, int64_t stride, int64_t n, K* line) const {
        gather_keys<T, Order>(row, stride, n, line + a.before);
        const int64_t end = n + a.length - 1;
        auto outside = [&](int64_t e) {
            const int64_t k = border_index(e - a.before, n, a.mode);
            line[e] = k < 0 ? Order::key(cval) : line[a.before + k];
        };
        for (int64_t e = 0; e < a.before; ++e) outside(e);
        for (int64_t e = a.before + n; e < end; ++e) outside(e);
        int64_t have = 1;
        for (; 2 * have <= a.length; have *= 2) pair_up<K, LARGEST>(line, have, end + 1 - 2 * have, line);
        if (have < a.length) pair_up<K, LARGEST>(line, a.length - have, n, line);
    }

    template <class In> static FASTMED_INLINE K to_key(In v) {
        if constexpr (std::is_same_v<In, K>) return v;
        else return Order::key(v);
    }

    // Row j of a block of `length`. `blocks` holds this block's rows up to j, and of the one before it the best from each
    // later row to its end; `best` that of this block so far. So a window of `length` rows is the best of the two.
    template <class In>
    static void push(Scratch& s, const In* __restrict row, int64_t j, int64_t length, int64_t n, int64_t width, T* __restrict ready) {
        K* __restrict best = s.best.data();
        K* __restrict own = s.blocks.data() + j * width;
        if (j == 0)
            for (int64_t i = 0; i < n; ++i) best[i] = own[i] = to_key(row[i]);
        else
            for (int64_t i = 0; i < n; ++i) best[i] = Order::best(best[i], own[i] = to_key(row[i]));
        if (j + 1 < length) {
            const K* __restrict rest = own + width;
            if (ready)
                for (int64_t i = 0; i < n; ++i) ready[i] = Order::value(Order::best(rest[i], best[i]));
            return;
        }
        if (ready)
            for (int64_t i = 0; i < n; ++i) ready[i] = Order::value(best[i]);
        for (int64_t k = length - 2; k > 0; --k) {
            K* __restrict upper = s.blocks.data() + k * width;
            const K* __restrict lower = upper + width;
            for (int64_t i = 0; i < n; ++i) upper[i] = Order::best(upper[i], lower[i]);
        }
    }
};

// The same view with its axes from the widest to the narrowest stride of `by`.
std::vector<int> widest_first(const View& by) {
    std::vector<int> order(by.ndim);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return std::abs(by.strides[a]) > std::abs(by.strides[b]); });
    return order;
}
View permuted(const View& v, const std::vector<int>& order) {
    View p = v;
    for (int d = 0; d < v.ndim; ++d) p.shape[d] = v.shape[order[d]], p.strides[d] = v.strides[order[d]];
    return p;
}

// Any footprint: what a window needs is `loads`, of rows and of rows of 2^k neighbours.
template <class T, bool LARGEST> class Footprint {
    using Order = Extremal<T, LARGEST>;
    using K = typename Order::K;
    using V = typename simd<K>::v;
    using Rows = WindowRows<T, Order>;
    static constexpr int64_t L = simd<K>::lanes;
    static constexpr int UNROLL = 4;

    struct Load {
        int64_t row, level, x;
    };
    struct Runs {
        std::vector<Load> loads;
        int64_t levels = 0;
        explicit Runs(const Window& w) {
            for (int64_t r = 0; r < int64_t(w.rows.size()); ++r) {
                const auto& at = w.rows[r].x;
                for (size_t a = 0, b; a < at.size(); a = b) {
                    for (b = a + 1; b < at.size() && at[b] == at[b - 1] + 1;) ++b;
                    const int64_t length = int64_t(b - a);
                    int64_t level = 0;
                    while ((int64_t(2) << level) <= length) ++level;
                    levels = std::max(levels, level);
                    loads.push_back({r, level, at[a]});
                    if ((int64_t(1) << level) < length) loads.push_back({r, level, at[a] + length - (int64_t(1) << level)});
                }
            }
        }
    };
    struct Scratch : Rows::Ring {
        std::vector<const K*> from;
        Scratch(const Rows& r, const Runs& runs) : Rows::Ring(r), from(runs.loads.size()) {}
    };

    const Runs runs;
    const Rows source;

public:
    Footprint(const View& input, const Window& w, Mode mode, double cval, const View& output, int threads)
        : runs(w), source(input, w, mode, cval, output, 2 * UNROLL * L, runs.levels, 1 + int64_t(runs.loads.size()) / L, threads) {}

    void run(int threads) const {
        source.run(threads, [&] { return Scratch(source, runs); }, [&](K* row) { double_up(row); }, [&](Scratch& s) { row(s); });
    }

private:
    void double_up(K* row) const {
        for (int64_t k = 0; k < runs.levels; ++k, row += source.width)
            pair_up<K, LARGEST>(row, int64_t(1) << k, source.length + 1 - (int64_t(2) << k), row + source.width);
    }
    void row(Scratch& s) const {
        for (size_t i = 0; i < s.from.size(); ++i) {
            const Load& l = runs.loads[i];
            s.from[i] = s.rows[l.row] + l.level * source.width + l.x;
        }
        for (int64_t x = 0; x < source.nx; x += UNROLL * L) {
            V best[UNROLL];
            for (int u = 0; u < UNROLL; ++u) best[u] = load(s.from[0] + x + u * L);
            for (size_t i = 1; i < s.from.size(); ++i)
                for (int u = 0; u < UNROLL; ++u) best[u] = best_of<K, LARGEST>(best[u], load(s.from[i] + x + u * L));
            for (int u = 0; u < UNROLL; ++u) store(s.ready.data() + x + u * L, best[u]);
        }
    }
};

}  // namespace

void box_extremum(View input, Ints axes, Ints sizes, Ints origins, Ints modes, double cval, bool largest, View output, int threads) {
    if (input.size() == 0) return;
    const auto order = widest_first(input);
    std::vector<Along> along;
    for (size_t k = 0; k < axes.size(); ++k) {
        const int axis = int(std::find(order.begin(), order.end(), int(axes[k])) - order.begin());
        along.push_back({axis, sizes[k], sizes[k] / 2 + origins[k], Mode(modes[k])});
    }
    const View from = permuted(input, order), to = permuted(output, order);
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        if (largest) Box<T, true>(from, to, cval, threads).run(along);
        else Box<T, false>(from, to, cval, threads).run(along);
    });
}

void footprint_extremum(View input, View footprint, Ints origins, int mode, double cval, bool largest, View output, int threads) {
    if (input.size() == 0) return;
    const Window window(footprint, origins);
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        if (largest) Footprint<T, true>(input, window, Mode(mode), cval, output, threads).run(threads);
        else Footprint<T, false>(input, window, Mode(mode), cval, output, threads).run(threads);
    });
}

}  // namespace fastmed
