// Median (and any rank) over a footprint. Rows of the neighbourhood are held extended by their borders in cache; a
// vector holds one window position of many neighbouring windows, so a selection network finds all their medians at
// once. For a box the columns of the window are sorted once and shared by all windows that they lie in.
#include <algorithm>
#include <cmath>
#include <limits>

#include "border.hpp"
#include "cast.hpp"
#include "kernels.hpp"
#include "network.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace fastmed {
namespace {

// Vectors per wire: enough independent work to hide the latency of a step, and fewer trips through the list of steps.
constexpr int UNROLL = 2;
// Above this many values the network's wires leave the first level cache and its steps outgrow a selection per window.
constexpr int64_t MAX_NETWORK = 2048;

// The window as rows: for every row that holds an element, its leading offset and the places along x.
struct Window {
    struct Row {
        std::vector<int64_t> at;  // index into the footprint along every axis but the last
        std::vector<int64_t> x;
    };
    std::vector<Row> rows;
    std::vector<int64_t> shape, before;  // before[d]: elements of the window before its centre
    int64_t count = 0;
    bool box = true;

    Window(const View& footprint, const Ints& origins) {
        const int n = footprint.ndim;
        for (int d = 0; d < n; ++d) {
            shape.push_back(footprint.shape[d]);
            before.push_back(shape[d] / 2 + origins[d]);
        }
        for (int64_t r = 0; r < footprint.size() / shape[n - 1]; ++r) {
            Row row;
            int64_t rest = r, offset = 0;
            row.at.resize(n - 1);
            for (int d = n - 2; d >= 0; --d) {
                row.at[d] = rest % shape[d];
                offset += row.at[d] * footprint.strides[d];
                rest /= shape[d];
            }
            for (int64_t x = 0; x < shape[n - 1]; ++x)
                if (footprint.data[offset + x * footprint.strides[n - 1]]) row.x.push_back(x);
            count += row.x.size();
            box &= int64_t(row.x.size()) == shape[n - 1];
            if (!row.x.empty()) rows.push_back(row);
        }
    }
};

// The networks for one window. Either the columns of a box, then across them; or all values at once.
struct Plan {
    Network columns, select;
    int64_t rank, lists, length;  // `lists` sorted lists of `length`
    bool by_columns = false, network;

    Plan(const Window& w, int64_t r) : rank(r), network(w.count <= MAX_NETWORK) {
        by_columns = w.box && w.rows.size() > 1 && w.shape.back() > 1;
        lists = by_columns ? w.shape.back() : w.count;
        length = by_columns ? int64_t(w.rows.size()) : 1;
        if (!network) return;
        if (by_columns) columns = Network::sorting(length);
        select = Network::selecting(lists, length, rank);
    }
};

template <class T> class RankRows {
    using V = typename simd<T>::v;
    static constexpr int64_t STEP = UNROLL * simd<T>::lanes;

    const View in, out;
    const Window& window;
    const Plan& plan;
    const Mode mode;
    const T cval;
    const int n;
    int64_t nx, ny, nz, outer = 1, wx, wy, wz, width, block_z, block_y;
    std::vector<std::vector<int64_t>> leads;  // distinct offsets along the axes before z

public:
    RankRows(const View& input, const Window& w, const Plan& p, Mode m, double c, const View& output, int threads)
        : in(input), out(output), window(w), plan(p), mode(m), cval(cast<T>(c)), n(input.ndim) {
        nx = in.shape[n - 1], wx = window.shape[n - 1];
        ny = n > 1 ? in.shape[n - 2] : 1, wy = n > 1 ? window.shape[n - 2] : 1;
        nz = n > 2 ? in.shape[n - 3] : 1, wz = n > 2 ? window.shape[n - 3] : 1;
        for (int d = 0; d < n - 3; ++d) outer *= in.shape[d];
        for (const auto& row : window.rows) {
            std::vector<int64_t> lead(row.at.begin(), row.at.begin() + std::max(0, n - 3));
            if (std::find(leads.begin(), leads.end(), lead) == leads.end()) leads.push_back(lead);
        }
        width = nx + wx - 1 + 2 * STEP;
        // The rows at hand stay in a second level cache; a block answers an interrupt in time.
        const int64_t slab = int64_t(leads.size()) * wy * width * int64_t(sizeof(T));
        block_z = std::clamp<int64_t>((int64_t(1) << 20) / slab - wz + 1, 1, std::max<int64_t>(1, nz / threads));
        const int64_t cost = plan.network ? 1 + int64_t(plan.select.steps.size() + plan.columns.steps.size()) / STEP : 32 * window.count;
        block_y = std::clamp<int64_t>((int64_t(1) << 25) / (nx * block_z * cost), 1, ny);
        if (outer * nz / block_z < 2 * threads) block_y = std::min(block_y, std::max<int64_t>(wy, ny / (2 * threads)));
        block_y = std::max<int64_t>(block_y, 1);
    }

    void run(int threads) {
        const int64_t bz = (nz + block_z - 1) / block_z, by = (ny + block_y - 1) / block_y;
        parallel_for(outer * bz * by, threads, [&] { return Scratch(*this); }, [&](Scratch& s, int64_t unit) {
            const int64_t z0 = unit / by % bz * block_z, y0 = unit % by * block_y;
            block(s, unit / by / bz, z0, std::min(z0 + block_z, nz), y0, std::min(y0 + block_y, ny));
        });
    }

private:
    struct Scratch {
        std::vector<T> ring, columns, ready, values;
        std::vector<char> nan;  // per row of the ring: holds a NaN
        std::vector<V> wires;
        std::vector<const T*> rows;
        explicit Scratch(const RankRows& r)
            : ring(r.slots() * r.width), columns(r.plan.by_columns && r.plan.network ? r.plan.length * r.width : 0), ready(r.width),
              values(r.window.count), nan(r.slots()), wires(r.plan.network ? std::max(r.plan.lists * r.plan.length, int64_t(1)) * UNROLL : 0),
              rows(r.window.rows.size()) {}
    };
    int64_t planes() const { return int64_t(leads.size()) * (block_z + wz - 1); }
    int64_t slots() const { return planes() * wy; }
    int64_t slot(int64_t lead, int64_t z, int64_t e) const { return (lead * (block_z + wz - 1) + z) * wy + e % wy; }

    void block(Scratch& s, int64_t o, int64_t z0, int64_t z1, int64_t y0, int64_t y1) const {
        std::vector<int64_t> at(std::max(0, n - 3));
        int64_t rest = o, out_offset = 0;
        for (int d = n - 4; d >= 0; --d) {
            at[d] = rest % in.shape[d];
            out_offset += at[d] * out.strides[d];
            rest /= in.shape[d];
        }
        for (int64_t e = 0; e < y1 - y0 + wy - 1; ++e) {
            const int64_t y = n > 1 ? border_index(y0 - window.before[n - 2] + e, ny, mode) : 0;
            for (int64_t lead = 0; lead < int64_t(leads.size()); ++lead)
                for (int64_t k = 0; k < z1 - z0 + wz - 1; ++k) {
                    const int64_t z = n > 2 ? border_index(z0 - window.before[n - 3] + k, nz, mode) : 0;
                    fetch(s, slot(lead, k, e), at, leads[lead], z, y);
                }
            if (e < wy - 1) continue;
            for (int64_t z = 0; z < z1 - z0; ++z) {
                char* to = out.data + out_offset + (n > 2 ? (z0 + z) * out.strides[n - 3] : 0) + (n > 1 ? (y0 + e - wy + 1) * out.strides[n - 2] : 0);
                row(s, z, e - wy + 1, to);
            }
        }
    }

    // One extended row into the ring.
    void fetch(Scratch& s, int64_t slot, const std::vector<int64_t>& at, const std::vector<int64_t>& lead, int64_t z, int64_t y) const {
        T* to = s.ring.data() + slot * width;
        int64_t offset = (n > 2 ? z * in.strides[n - 3] : 0) + (n > 1 ? y * in.strides[n - 2] : 0);
        bool outside = z < 0 || y < 0;
        for (size_t d = 0; d < lead.size(); ++d) {
            const int64_t i = border_index(at[d] - window.before[d] + lead[d], in.shape[d], mode);
            outside |= i < 0;
            offset += i * in.strides[d];
        }
        if (outside) {
            std::fill_n(to, nx + wx - 1, cval);
            s.nan[slot] = cval != cval;
            return;
        }
        const int64_t before = window.before[n - 1];
        gather(in.data + offset, in.strides[n - 1], nx, to + before);
        for (int64_t i = -before; i < nx + wx - 1 - before; i = i == -1 ? nx : i + 1) {
            const int64_t k = border_index(i, nx, mode);
            to[before + i] = k < 0 ? cval : to[before + k];
        }
        if constexpr (std::is_floating_point_v<T>) {
            bool any = false;
            for (int64_t i = 0; i < nx + wx - 1; ++i) any |= to[i] != to[i];
            s.nan[slot] = any;
        }
    }

    void row(Scratch& s, int64_t z, int64_t e, char* to) const {
        bool nan = false;
        for (size_t r = 0; r < window.rows.size(); ++r) {
            const auto& at = window.rows[r].at;
            const std::vector<int64_t> lead(at.begin(), at.begin() + std::max(0, n - 3));
            const int64_t l = leads.size() == 1 ? 0 : std::find(leads.begin(), leads.end(), lead) - leads.begin();
            const int64_t k = slot(l, z + (n > 2 ? at[n - 3] : 0), e + (n > 1 ? at[n - 2] : 0));
            s.rows[r] = s.ring.data() + k * width;
            nan |= s.nan[k] != 0;
        }
        if (nan || !plan.network) one_by_one(s);
        else if (plan.by_columns) by_columns(s);
        else all_at_once(s);
        scatter(s.ready.data(), nx, to, out.strides[n - 1]);
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
        for (int64_t x = 0; x < nx + wx - 1; x += STEP) {
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

    // Large windows, and rows with a NaN: a window that holds one gives NaN.
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

void median_filter(View input, View footprint, Ints origins, int64_t rank, int mode, double cval, View output, int threads) {
    if (input.size() == 0) return;
    const Window window(footprint, origins);
    const Plan plan(window, rank);
    dispatch(input.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        RankRows<T>(input, window, plan, Mode(mode), cval, output, threads).run(threads);
    });
}

}  // namespace fastmed
