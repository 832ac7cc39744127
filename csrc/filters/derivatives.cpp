// Laplace operators: differences along all axes in one trip, row by row. An output row needs the input rows on both
// sides of it along every axis; a tile of rows marches along the third axis from the end, so that they are in cache.
#include <algorithm>

#include "border.hpp"
#include "cast.hpp"
#include "gaussian_derivatives.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "three_taps.hpp"
#include "wide.hpp"

namespace fastmed {
namespace {

// --- arithmetic: Number is what rows hold, Out what a sum becomes after each axis --------------------------------------
// Integers modulo 2^bits, where that is what SciPy's double and cast come to.
template <class T> struct Modular {
    using Number = T;
    using Out = T;
    static FASTMED_INLINE Out term(Number a, Number c, Number b) { return Out(a + b - 2 * c); }
    static FASTMED_INLINE Out plus(Out a, Out b) { return Out(a + b); }
};
// SciPy's way: in double, cast to the output's dtype, and added there.
template <class N, class T, bool BOOLEAN = false> struct InDouble {
    using Number = N;
    using Out = T;
    static FASTMED_INLINE Out term(double a, double c, double b) { return cast<T>(c * -2.0 + (a + b)); }
    static FASTMED_INLINE Out plus(Out a, Out b) {
        if constexpr (std::is_floating_point_v<T>) return a + b;
        else if constexpr (BOOLEAN) return a || b;
        else return Out(std::make_unsigned_t<T>(a) + std::make_unsigned_t<T>(b));
    }
};

// out = the sum over AXES pairs of neighbours of `at`; or, not `first`, more of it.
template <class How, int AXES>
void add_terms(const typename How::Number* const* pairs, const typename How::Number* at, int64_t n, bool first, typename How::Out* __restrict out) {
    using Number = typename How::Number;
    using Out = typename How::Out;
    const Number *a[AXES], *b[AXES];
    for (int k = 0; k < AXES; ++k) a[k] = pairs[2 * k], b[k] = pairs[2 * k + 1];
    int64_t i = 0;
    if constexpr (std::is_same_v<Number, float> && std::is_same_v<Out, float>)
        for (constexpr int64_t L = simd<double>::lanes; i + L <= n; i += L) {
            const simd<double>::v centre = widened(at + i) * -2.0;
            half_of_floats sum = rounded(centre + (widened(a[0] + i) + widened(b[0] + i)));
            if (!first) sum += load_half(out + i);
            for (int k = 1; k < AXES; ++k) sum += rounded(centre + (widened(a[k] + i) + widened(b[k] + i)));
            store(out + i, sum);
        }
    if (first)
        for (; i < n; ++i) {
            Out sum = How::term(a[0][i], at[i], b[0][i]);
            for (int k = 1; k < AXES; ++k) sum = How::plus(sum, How::term(a[k][i], at[i], b[k][i]));
            out[i] = sum;
        }
    for (; i < n; ++i) {
        Out sum = How::plus(out[i], How::term(a[0][i], at[i], b[0][i]));
        for (int k = 1; k < AXES; ++k) sum = How::plus(sum, How::term(a[k][i], at[i], b[k][i]));
        out[i] = sum;
    }
}

// --- the trip -----------------------------------------------------------------------------------------------------------
template <class How> class Laplace {
    using Number = typename How::Number;
    using Out = typename How::Out;

    const View in, out;
    const Ints axes, modes;
    const int n, x;
    const Number cval;
    int64_t nz = 1, ny = 1, nx = 1, tile = 1, part = 1, outer = 1;
    bool direct = false;
    void (*load)(const char*, int64_t, int64_t, Number*) = nullptr;

    // Converted rows at their places in the tile (three planes of it), with the addresses that they came from.
    struct Scratch {
        std::vector<Number> rows, apart, constant;
        std::vector<const char*> held;
        std::vector<Out> ready;
        std::vector<const Number*> pairs, shifted;
        Scratch(const Laplace& l)
            : rows(l.direct ? 0 : 3 * (l.tile + 2) * l.nx), apart(l.direct ? 0 : 2 * l.n * l.nx), constant(l.nx, l.cval),
              held(3 * (l.tile + 2), nullptr), ready(l.nx), pairs(2 * l.axes.size()), shifted(2 * l.axes.size()) {}
    };

    template <class T> static void load_as(const char* from, int64_t stride, int64_t count, Number* to) {
        if (stride == sizeof(T))
            for (int64_t i = 0; i < count; ++i) to[i] = Number(reinterpret_cast<const T*>(from)[i]);
        else
            for (int64_t i = 0; i < count; ++i) to[i] = Number(*reinterpret_cast<const T*>(from + i * stride));
    }

public:
    Laplace(const View& input, const Ints& a, const Ints& m, double c, const View& output)
        : in(input), out(output), axes(a), modes(m), n(input.ndim), x(input.ndim - 1), cval(cast<Number>(c)) {
        nx = in.shape[x];
        if (n > 1) ny = in.shape[n - 2];
        if (n > 2) nz = in.shape[n - 3];
        for (int d = 0; d < n - 3; ++d) outer *= in.shape[d];
        dispatch(in.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            load = load_as<T>;
            direct = in.strides[x] == sizeof(T) && sizeof(T) == sizeof(Number) && std::is_floating_point_v<T> == std::is_floating_point_v<Number>;
        });
    }

    void run(int threads) {
        const int64_t row = nx * int64_t(sizeof(Number));
        tile = std::clamp<int64_t>((int64_t(1) << 18) / row, std::min<int64_t>(8, ny), ny);
        const int64_t tiles = (ny + tile - 1) / tile, wanted = 4 * threads;
        part = std::clamp<int64_t>((int64_t(1) << 24) / (tile * nx), 1, nz);
        if (outer * tiles < wanted) part = std::min(part, std::max<int64_t>(std::min<int64_t>(8, nz), nz * outer * tiles / wanted));
        const int64_t parts = (nz + part - 1) / part;
        parallel_for(outer * parts * tiles, threads, [&] { return Scratch(*this); }, [&](Scratch& s, int64_t unit) {
            const int64_t y0 = unit % tiles * tile, z0 = unit / tiles % parts * part;
            block(s, unit / tiles / parts, z0, std::min(z0 + part, nz), y0, std::min(y0 + tile, ny));
        });
    }

private:
    void block(Scratch& s, int64_t outer_at, int64_t z0, int64_t z1, int64_t y0, int64_t y1) const {
        std::array<int64_t, MAX_NDIM> at{};
        for (int d = n - 4; d >= 0; --d) at[d] = outer_at % in.shape[d], outer_at /= in.shape[d];
        for (int64_t z = z0; z < z1; ++z)
            for (int64_t y = y0; y < y1; ++y) {
                if (n > 2) at[n - 3] = z;
                if (n > 1) at[n - 2] = y;
                row(s, at, z % 3, y - y0 + 1);
            }
    }
    const char* address(const View& v, const std::array<int64_t, MAX_NDIM>& at) const {
        const char* p = v.data;
        for (int d = 0; d < x; ++d) p += at[d] * v.strides[d];
        return p;
    }
    // A row of the tile, at row r of plane `slot`; outside it (r < 0), at its own place.
    const Number* fetch(Scratch& s, const char* from, int64_t slot, int64_t r, Number* apart) const {
        if (direct) return reinterpret_cast<const Number*>(from);
        if (r < 0) return load(from, in.strides[x], nx, apart), apart;
        const int64_t place = slot * (tile + 2) + r;
        Number* to = s.rows.data() + place * nx;
        if (s.held[place] != from) load(from, in.strides[x], nx, to), s.held[place] = from;
        return to;
    }

    void row(Scratch& s, std::array<int64_t, MAX_NDIM>& at, int64_t slot, int64_t r) const {
        const Number* here = fetch(s, address(in, at), slot, r, nullptr);
        int along_x = -1;
        for (size_t k = 0; k < axes.size(); ++k) {
            const int d = int(axes[k]);
            if (d == x) {
                along_x = int(k);
                continue;
            }
            for (int side = 0; side < 2; ++side) {
                const int64_t mine = at[d], i = border_index(mine + 2 * side - 1, in.shape[d], Mode(modes[k]));
                at[d] = i;
                const int64_t row_at = d < n - 3 ? -1 : d == n - 2 ? r + 2 * side - 1 : r, plane = d == n - 3 ? (slot + 2 + 2 * side) % 3 : slot;
                s.pairs[2 * k + side] = i < 0 ? s.constant.data() : fetch(s, address(in, at), plane, row_at, s.apart.data() + (2 * d + side) * nx);
                at[d] = mine;
            }
        }
        char* to = const_cast<char*>(address(out, at));
        Out* ready = out.strides[x] == sizeof(Out) ? reinterpret_cast<Out*>(to) : s.ready.data();
        if (along_x < 0) {
            sum(s.pairs.data(), here, nx, ready);
        } else {
            ends(s, here, along_x, 0, ready);
            for (size_t j = 0; j < s.pairs.size(); ++j) s.shifted[j] = s.pairs[j] + 1;
            s.shifted[2 * along_x] = here, s.shifted[2 * along_x + 1] = here + 2;
            if (nx > 2) sum(s.shifted.data(), here + 1, nx - 2, ready + 1);
            if (nx > 1) ends(s, here, along_x, nx - 1, ready);
        }
        if (ready == s.ready.data()) scatter(ready, nx, to, out.strides[x]);
    }
    // Element i of a row, whose neighbours along x may lie outside.
    void ends(Scratch& s, const Number* here, int along_x, int64_t i, Out* ready) const {
        Number beside[2];
        for (int side = 0; side < 2; ++side) {
            const int64_t k = border_index(i + 2 * side - 1, nx, Mode(modes[along_x]));
            beside[side] = k < 0 ? cval : here[k];
        }
        for (size_t j = 0; j < s.pairs.size(); ++j) s.shifted[j] = s.pairs[j] + i;
        s.shifted[2 * along_x] = beside, s.shifted[2 * along_x + 1] = beside + 1;
        sum(s.shifted.data(), here + i, 1, ready + i);
    }
    void sum(const Number* const* pairs, const Number* here, int64_t count, Out* ready) const {
        for (size_t k = 0; k < axes.size(); k += 3) {
            const size_t left = axes.size() - k;
            if (left == 1) add_terms<How, 1>(pairs + 2 * k, here, count, k == 0, ready);
            else if (left == 2) add_terms<How, 2>(pairs + 2 * k, here, count, k == 0, ready);
            else add_terms<How, 3>(pairs + 2 * k, here, count, k == 0, ready);
        }
    }
};

}  // namespace

void laplace(View input, Ints axes, Ints modes, double cval, View output, int threads) {
    if (input.size() == 0) return;
    const bool constant = std::any_of(modes.begin(), modes.end(), [](int64_t m) { return Mode(m) == Mode::constant; });
    auto with = [&](auto how) { Laplace<decltype(how)>(input, axes, modes, cval, output).run(threads); };
    const bool fits = same_bits(input.dtype, output.dtype, constant, cval);
    if (output.dtype == DType::boolean) return with(InDouble<double, uint8_t, true>());
    dispatch(output.dtype, [&](auto tag) {
        using T = typename decltype(tag)::t;
        if constexpr (std::is_same_v<T, float>) {
            if (fits) return with(InDouble<float, float>());
        } else if constexpr (sizeof(T) <= 4) {
            if (fits) return with(Modular<std::make_unsigned_t<T>>());
        }
        with(InDouble<double, T>());
    });
}

void generic_gradient_magnitude(View input, Ints axes, Ints modes, double cval, int centre, View output, int threads) {
    three_taps_magnitude(input, axes, modes, cval, centre, output, threads);
}

void gaussian_derivatives(View input, Ints axes, Ints radii, Doubles smooth, Doubles derived, bool odd, int mode, double cval, bool magnitude,
                          View output, int threads) {
    sum_of_derivatives(input, axes, {radii, smooth, derived, odd}, Mode(mode), cval, magnitude, output, threads);
}

}  // namespace fastmed
