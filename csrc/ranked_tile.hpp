// A block of an image with the borders that its windows need, as keys in order: unsigned integers that compare as the
// values do. Large windows are ranked on the elements' places in the sorted block, so that one algorithm serves every
// dtype.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "border.hpp"
#include "cast.hpp"
#include "view.hpp"

namespace fastmed {

// T to an unsigned integer of the same order and back. A NaN is the largest key, which no other float has.
template <class T> struct Ordered {
    using K = std::conditional_t<sizeof(T) == 1, uint8_t, std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;
    static constexpr K SIGN = K(K(1) << (8 * sizeof(K) - 1));

    static FASTMED_INLINE K key(T x) {
        if constexpr (std::is_floating_point_v<T>) {
            K bits;
            std::memcpy(&bits, &x, sizeof x);
            return x != x ? K(~K(0)) : K(bits ^ (bits & SIGN ? K(~K(0)) : SIGN));
        } else {
            return std::is_signed_v<T> ? K(K(x) ^ SIGN) : K(x);
        }
    }
    static FASTMED_INLINE T value(K k) {
        if constexpr (std::is_floating_point_v<T>) {
            const K bits = k ^ (k & SIGN ? SIGN : K(~K(0)));
            T x;
            std::memcpy(&x, &bits, sizeof x);
            return x;
        } else {
            return T(std::is_signed_v<T> ? K(k ^ SIGN) : k);
        }
    }
};

// How lines of one dtype become lines of keys and come back.
template <class K> struct KeyLines {
    void (*load)(const char* from, int64_t stride, int64_t n, K* to) = nullptr;
    void (*store)(const K* from, int64_t n, char* to, int64_t stride) = nullptr;
    K cval = 0;
    bool nan = false;  // the dtype has NaN, whose key is the largest

    template <class T> static KeyLines of(double cval) {
        KeyLines lines;
        lines.load = [](const char* from, int64_t stride, int64_t n, K* to) {
            if (stride == sizeof(T)) {
                const T* p = reinterpret_cast<const T*>(from);
                for (int64_t i = 0; i < n; ++i) to[i] = Ordered<T>::key(p[i]);
            } else {
                for (int64_t i = 0; i < n; ++i) to[i] = Ordered<T>::key(*reinterpret_cast<const T*>(from + i * stride));
            }
        };
        lines.store = [](const K* from, int64_t n, char* to, int64_t stride) {
            for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = Ordered<T>::value(from[i]);
        };
        lines.cval = Ordered<T>::key(cast<T>(cval));
        lines.nan = std::is_floating_point_v<T>;
        return lines;
    }
};

// Calls f(type<K>{}, lines) for the key type of `dtype`.
template <class F> void with_keys(DType dtype, double cval, F&& f) {
    dispatch(dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        using K = typename Ordered<T>::K;
        f(type<K>{}, KeyLines<K>::template of<T>(cval));
    });
}

// One axis: of the array, of the window over it, and of the tiles into which the results are cut.
struct Axis {
    int64_t n = 1, in_stride = 0, out_stride = 0;
    int64_t window = 1, before = 0;
    int64_t tile = 1, tiles = 1;

    int64_t extent() const { return tile + window - 1; }
};

// Grows the tiles of `axes` as far as `elements` (with what the window adds) and `longest` extents allow, always where
// it adds the least beside the results; then makes them even.
inline void cut_tiles(std::vector<Axis>& axes, int64_t elements, int64_t longest) {
    auto size = [&] {
        int64_t n = 1;
        for (const Axis& a : axes) n *= a.extent();
        return n;
    };
    for (Axis& a : axes) a.tile = 1;
    for (int64_t now = size();;) {
        Axis* best = nullptr;
        double most = 0;
        for (Axis& a : axes) {
            const double gain = double(a.tile + 1) / double(a.tile) * double(a.extent()) / double(a.extent() + 1);
            if (a.tile < a.n && a.extent() < longest && now / a.extent() * (a.extent() + 1) <= elements && gain >= most) best = &a, most = gain;
        }
        if (!best) break;
        now = now / best->extent() * (best->extent() + 1);
        ++best->tile;
    }
    for (Axis& a : axes) {
        a.tiles = (a.n + a.tile - 1) / a.tile;
        a.tile = (a.n + a.tiles - 1) / a.tiles;
        a.tiles = (a.n + a.tile - 1) / a.tile;
    }
}

// Places in order with their keys.
template <class K> struct Item {
    K key;
    uint32_t place;
};

// Sorts by key: a radix sort from the last digit. Digits that are the same everywhere cost nothing but their count.
template <class K> void sort_items(std::vector<Item<K>>& items, std::vector<Item<K>>& other, int64_t n) {
    constexpr int BITS = sizeof(K) <= 2 ? 8 : 11, DIGITS = (8 * sizeof(K) + BITS - 1) / BITS, VALUES = 1 << BITS;
    uint32_t counts[DIGITS][VALUES] = {};
    for (int64_t i = 0; i < n; ++i)
        for (int d = 0; d < DIGITS; ++d) ++counts[d][(items[i].key >> (d * BITS)) & (VALUES - 1)];
    for (int d = 0; d < DIGITS; ++d) {
        uint32_t* at = counts[d];
        if (at[(items[0].key >> (d * BITS)) & (VALUES - 1)] == n) continue;
        uint32_t sum = 0;
        for (int v = 0; v < VALUES; ++v) {
            const uint32_t c = at[v];
            at[v] = sum;
            sum += c;
        }
        for (int64_t i = 0; i < n; ++i) other[at[(items[i].key >> (d * BITS)) & (VALUES - 1)]++] = items[i];
        items.swap(other);
    }
}

// The elements of one tile and of the windows around its results: dense, the last axis contiguous.
template <class K> struct RankedTile {
    std::vector<K> keys;
    std::vector<Item<K>> items, other;
    std::vector<std::vector<int64_t>> index;  // per axis: the array's index for each of the extent, -1: outside
    int64_t count = 0;

    // Reads the tile whose first result along axis d is first[d], of which there are length[d].
    void fetch(const char* in, const std::vector<Axis>& axes, const std::vector<int64_t>& first, const std::vector<int64_t>& length, Mode mode, const KeyLines<K>& lines) {
        const int n = int(axes.size());
        index.resize(n);
        count = 1;
        for (int d = 0; d < n; ++d) {
            index[d].resize(length[d] + axes[d].window - 1);
            for (size_t i = 0; i < index[d].size(); ++i) index[d][i] = border_index(first[d] - axes[d].before + int64_t(i), axes[d].n, mode);
            count *= int64_t(index[d].size());
        }
        keys.resize(count);
        const int64_t nx = int64_t(index[n - 1].size());
        for (int64_t row = 0; row < count / nx; ++row) {
            int64_t rest = row, offset = 0;
            bool outside = false;
            for (int d = n - 2; d >= 0; --d) {
                const int64_t i = index[d][rest % int64_t(index[d].size())];
                rest /= int64_t(index[d].size());
                outside |= i < 0;
                offset += i * axes[d].in_stride;
            }
            K* to = keys.data() + row * nx;
            if (outside) std::fill_n(to, nx, lines.cval);
            else line(in + offset, axes[n - 1], index[n - 1], lines, to);
        }
    }

    // Puts `items` in order.
    void sort() {
        items.resize(count);
        other.resize(count);
        for (int64_t i = 0; i < count; ++i) items[i] = {keys[i], uint32_t(i)};
        sort_items(items, other, count);
    }

private:
    // Runs of neighbours are loaded at once, the others one by one.
    static void line(const char* from, const Axis& axis, const std::vector<int64_t>& at, const KeyLines<K>& lines, K* to) {
        const int64_t n = int64_t(at.size());
        for (int64_t i = 0, end; i < n; i = end) {
            for (end = i + 1; end < n && at[i] >= 0 && at[end] == at[end - 1] + 1;) ++end;
            if (at[i] < 0) to[i] = lines.cval;
            else lines.load(from + at[i] * axis.in_stride, axis.in_stride, end - i, to + i);
        }
    }
};

}  // namespace fastmed
