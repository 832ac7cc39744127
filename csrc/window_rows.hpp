// Windows of any shape over rows: the rows of a neighbourhood, extended by their borders, stay in cache while the window
// moves along y; what is done with them for one row of results is the user's.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "border.hpp"
#include "cast.hpp"
#include "order.hpp"
#include "parallel.hpp"
#include "view.hpp"

namespace fastmed {

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

// Values of type T, kept as keys of `Order`. Past its values a row is readable for `pad` elements.
template <class T, class Order = Plain<T>> class WindowRows {
public:
    using K = typename Order::K;

    const View in, out;
    const Window& window;
    int64_t nx, ny, nz, wx, wy, wz;
    int64_t length;  // of a row with its borders
    int64_t width;   // of a row in memory

    // What a thread works with. `rows`: those of window.rows, for the results at hand, which go to `ready`.
    struct Ring {
        std::vector<K> values, ready;
        std::vector<char> nan;  // per row of the ring: holds a NaN
        std::vector<const K*> rows;
        bool any_nan = false;  // in `rows`
        int64_t z = 0, y = 0;  // of the results at hand, from the first of the block; y grows by one
        explicit Ring(const WindowRows& r)
            : values(r.slots() * r.slot_size), ready(r.width), nan(r.slots()), rows(r.window.rows.size()) {}
    };

    // `copies`: room for so many rows beside each (derived from it once, when it is read). `beside`: rows that the user
    // keeps for each z. `cost`: vector operations for one element, about.
    WindowRows(const View& input, const Window& w, Mode m, double c, const View& output, int64_t pad, int64_t copies, int64_t cost, int threads, int64_t beside = 0)
        : in(input), out(output), window(w), mode(m), cval(Order::key(cast<T>(c))), n(input.ndim) {
        nx = in.shape[n - 1], wx = window.shape[n - 1];
        ny = n > 1 ? in.shape[n - 2] : 1, wy = n > 1 ? window.shape[n - 2] : 1;
        nz = n > 2 ? in.shape[n - 3] : 1, wz = n > 2 ? window.shape[n - 3] : 1;
        for (int d = 0; d < n - 3; ++d) outer *= in.shape[d];
        for (const auto& row : window.rows) {
            std::vector<int64_t> lead(row.at.begin(), row.at.begin() + std::max(0, n - 3));
            if (std::find(leads.begin(), leads.end(), lead) == leads.end()) leads.push_back(lead);
        }
        length = nx + wx - 1;
        width = length + pad;
        slot_size = width * (1 + copies);
        // The rows at hand stay in a second level cache; a block answers an interrupt in time.
        const int64_t slab = int64_t(leads.size()) * wy * slot_size * int64_t(sizeof(K));
        const int64_t kept = beside * width * int64_t(sizeof(K));
        block_z = std::clamp<int64_t>(((int64_t(1) << 20) - (wz - 1) * slab) / (slab + kept), 1, std::max<int64_t>(1, nz / threads));
        block_y = std::clamp<int64_t>((int64_t(1) << 25) / (nx * block_z * cost), 1, ny);
        if (outer * nz / block_z < 2 * threads) block_y = std::min(block_y, std::max<int64_t>(wy, ny / (2 * threads)));
        block_y = std::max<int64_t>(block_y, 1);
    }

    // make() gives a Ring, or what is derived from one; read(row) is called on every row that comes in, filter(ring)
    // for every row of results.
    template <class Make, class Read, class Filter> void run(int threads, Make&& make, Read&& read, Filter&& filter) const {
        const int64_t bz = (nz + block_z - 1) / block_z, by = (ny + block_y - 1) / block_y;
        parallel_for(outer * bz * by, threads, make, [&](auto& ring, int64_t unit) {
            const int64_t z0 = unit / by % bz * block_z, y0 = unit % by * block_y;
            block(ring, unit / by / bz, z0, std::min(z0 + block_z, nz), y0, std::min(y0 + block_y, ny), read, filter);
        });
    }

    int64_t most_z() const { return block_z; }  // in a block

private:
    const Mode mode;
    const K cval;
    const int n;
    int64_t outer = 1, block_z, block_y, slot_size;
    std::vector<std::vector<int64_t>> leads;  // distinct offsets along the axes before z

    int64_t slots() const { return int64_t(leads.size()) * (block_z + wz - 1) * wy; }
    int64_t slot(int64_t lead, int64_t z, int64_t e) const { return (lead * (block_z + wz - 1) + z) * wy + e % wy; }

    template <class R, class Read, class Filter>
    void block(R& s, int64_t o, int64_t z0, int64_t z1, int64_t y0, int64_t y1, Read& read, Filter& filter) const {
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
                    const int64_t i = slot(lead, k, e);
                    fetch(s, i, at, leads[lead], z, y);
                    read(s.values.data() + i * slot_size);
                }
            if (e < wy - 1) continue;
            for (int64_t z = 0; z < z1 - z0; ++z) {
                char* to = out.data + out_offset + (n > 2 ? (z0 + z) * out.strides[n - 3] : 0) + (n > 1 ? (y0 + e - wy + 1) * out.strides[n - 2] : 0);
                point(s, z, e - wy + 1);
                s.z = z, s.y = e - wy + 1;
                filter(s);
                scatter_keys<T, Order>(s.ready.data(), nx, to, out.strides[n - 1]);
            }
        }
    }

    // One extended row into the ring.
    void fetch(Ring& s, int64_t slot, const std::vector<int64_t>& at, const std::vector<int64_t>& lead, int64_t z, int64_t y) const {
        K* to = s.values.data() + slot * slot_size;
        int64_t offset = (n > 2 ? z * in.strides[n - 3] : 0) + (n > 1 ? y * in.strides[n - 2] : 0);
        bool outside = z < 0 || y < 0;
        for (size_t d = 0; d < lead.size(); ++d) {
            const int64_t i = border_index(at[d] - window.before[d] + lead[d], in.shape[d], mode);
            outside |= i < 0;
            offset += i * in.strides[d];
        }
        if (outside) {
            std::fill_n(to, length, cval);
            s.nan[slot] = cval != cval;
            return;
        }
        const int64_t before = window.before[n - 1];
        gather_keys<T, Order>(in.data + offset, in.strides[n - 1], nx, to + before);
        for (int64_t i = -before; i < length - before; i = i == -1 ? nx : i + 1) {
            const int64_t k = border_index(i, nx, mode);
            to[before + i] = k < 0 ? cval : to[before + k];
        }
        if constexpr (std::is_floating_point_v<K>) {
            // Among integers: a loop that compares floats stays scalar, because a NaN may trap.
            using Bits = std::conditional_t<sizeof(K) == 4, int32_t, int64_t>;
            constexpr K infinity = std::numeric_limits<K>::infinity();
            Bits largest = 0, limit;
            std::memcpy(&limit, &infinity, sizeof limit);
            for (int64_t i = 0; i < length; ++i) {
                Bits bits;
                std::memcpy(&bits, to + i, sizeof bits);
                largest = std::max<Bits>(largest, bits & std::numeric_limits<Bits>::max());
            }
            s.nan[slot] = largest > limit;
        }
    }

    void point(Ring& s, int64_t z, int64_t e) const {
        s.any_nan = false;
        for (size_t r = 0; r < window.rows.size(); ++r) {
            const auto& at = window.rows[r].at;
            const std::vector<int64_t> lead(at.begin(), at.begin() + std::max(0, n - 3));
            const int64_t l = leads.size() == 1 ? 0 : std::find(leads.begin(), leads.end(), lead) - leads.begin();
            const int64_t k = slot(l, z + (n > 2 ? at[n - 3] : 0), e + (n > 1 ? at[n - 2] : 0));
            s.rows[r] = s.values.data() + k * slot_size;
            s.any_nan |= s.nan[k] != 0;
        }
    }
};

}  // namespace fastmed
