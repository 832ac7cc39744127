// Correlation with the user's weights. Along one axis it is one pass. Over several axes, every input line that a block
// of output lines needs is loaded once, in float or double and with its borders; then a tap is a pointer into a line,
// and an output vector stays in a register over all of them.
#include <cmath>

#include "kernels.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "separable.hpp"

namespace fastmed {
namespace {

// Lines of x, in planes of y, at places along all other axes.
struct Lines {
    int outer;  // how many other axes
    int64_t ny = 1, nx, in_y = 0, out_y = 0, in_x, out_x, places = 1;

    Lines(const View& in, const View& out) : outer(std::max(0, in.ndim - 2)), nx(in.shape[in.ndim - 1]) {
        in_x = in.strides[in.ndim - 1], out_x = out.strides[in.ndim - 1];
        if (in.ndim > 1) ny = in.shape[in.ndim - 2], in_y = in.strides[in.ndim - 2], out_y = out.strides[in.ndim - 2];
        for (int d = 0; d < outer; ++d) places *= in.shape[d];
    }
};

// SciPy casts negative sums without their sign here, and then negates. That shows in uint64 below -2^63 only.
template <class A> void store_uint64(const A* from, int64_t n, char* to, int64_t stride) {
    for (int64_t i = 0; i < n; ++i) {
        const uint64_t value = from[i] > -1 ? cast<uint64_t>(from[i]) : -cast<uint64_t>(-from[i]);
        std::memcpy(to + i * stride, &value, sizeof value);
    }
}

template <class A> struct Correlation {
    struct Tap {
        int64_t plane, y, x;  // where it stands in the lines at hand
        A weight;
    };

    View in, out;
    Lines at;
    Mode mode;
    A cval;
    Ints befores;
    Pass x;  // the extent along lines
    int64_t wy = 1, before_y = 0;
    std::vector<Ints> planes;  // offsets along the other axes at which there are taps
    std::vector<Tap> taps;     // in the weights' own order, which is SciPy's
    int64_t strip, block, width;
    Rows<A> from, to;

    Correlation(const View& input, const View& weights, const Ints& before, Mode m, double constant, const View& output)
        : in(input), out(output), at(input, output), mode(m), cval(A(constant)), befores(before),
          x{0, weights.shape[weights.ndim - 1], before.back(), m, constant, {}}, from(rows_of<A>(in.dtype)), to(rows_of<A>(out.dtype)) {
        if (in.ndim > 1) wy = weights.shape[in.ndim - 2], before_y = before[in.ndim - 2];
        if (out.dtype == DType::u64) to.store = store_uint64<A>;
        collect(weights);
        strip = std::min<int64_t>(at.nx, 2048);
        width = spread<A>(strip + x.length - 1 + 5 * PAD<A>);
        // The lines at hand stay in a second level cache; few taps, or the edges of the block, are loaded in vain.
        const int64_t fit = (int64_t(1) << 20) / (width * int64_t(sizeof(A)) * std::max<int64_t>(1, planes.size())) - (wy - 1);
        block = std::min(at.ny, std::clamp<int64_t>(fit, std::max<int64_t>(4, wy / 2), 64));
    }

    // SciPy leaves out weights within epsilon of 0: a NaN under them does not spread.
    void collect(const View& weights) {
        const double* w = reinterpret_cast<const double*>(weights.data);
        Ints place(weights.ndim, 0);
        for (int64_t k = 0, n = weights.size(); k < n; ++k) {
            if (std::abs(w[k]) > 2.220446049250313e-16) {
                const Ints plane(place.begin(), place.begin() + at.outer);
                if (planes.empty() || planes.back() != plane) planes.push_back(plane);
                taps.push_back({int64_t(planes.size()) - 1, in.ndim > 1 ? place[in.ndim - 2] : 0, place.back(), A(w[k])});
            }
            for (int d = weights.ndim - 1; d >= 0 && ++place[d] == weights.shape[d]; --d) place[d] = 0;
        }
    }

    struct Scratch {
        std::vector<A> rows, ready;
        std::vector<const A*> pointers;
        Ints place;
    };
    int64_t depth() const { return block + wy - 1; }

    void run(int threads) const {
        const int64_t strips = (at.nx + strip - 1) / strip;
        // At least two blocks per thread, or one of them waits at the end.
        const int64_t wanted = std::max<int64_t>(1, (2 * threads + at.places * strips - 1) / (at.places * strips));
        const int64_t rows = std::max<int64_t>(1, std::min(block, (at.ny + wanted - 1) / wanted)), blocks = (at.ny + rows - 1) / rows;
        auto make = [&] {
            return Scratch{std::vector<A>(std::max<size_t>(1, planes.size()) * depth() * width), std::vector<A>(width),
                           std::vector<const A*>(taps.size()), Ints(at.outer)};
        };
        parallel_for(at.places * blocks * strips, threads, make, [&](Scratch& s, int64_t unit) {
            const int64_t x0 = unit % strips * strip, y0 = unit / strips % blocks * rows;
            const int64_t nx = std::min(strip, at.nx - x0), ny = std::min(rows, at.ny - y0);
            int64_t rest = unit / strips / blocks, offset = 0;
            for (int d = at.outer - 1; d >= 0; rest /= in.shape[d], --d) {
                s.place[d] = rest % in.shape[d];
                offset += s.place[d] * out.strides[d];
            }
            for (size_t k = 0; k < planes.size(); ++k) arrive(s, k, y0, ny, x0, nx);
            compute(s, ny, nx, out.data + offset + y0 * at.out_y + x0 * at.out_x);
        });
    }

    // The lines of plane k that the block needs.
    void arrive(Scratch& s, size_t k, int64_t y0, int64_t ny, int64_t x0, int64_t nx) const {
        const char* source = in.data;
        bool outside = false;
        for (int d = 0; d < at.outer; ++d) {
            const int64_t i = border_index(s.place[d] - befores[d] + planes[k][d], in.shape[d], mode);
            outside |= i < 0;
            source += i * in.strides[d];
        }
        for (int64_t e = 0; e < ny + wy - 1; ++e) {
            A* row = s.rows.data() + (k * depth() + e) * width;
            const int64_t y = border_index(y0 - before_y + e, at.ny, mode);
            if (outside || y < 0) std::fill_n(row, nx + x.length - 1, cval);
            else load_extended(from, source + y * at.in_y, at.in_x, at.nx, x, x0, nx, row);
        }
    }

    void compute(Scratch& s, int64_t ny, int64_t nx, char* target) const {
        const int64_t part = part_width<A>(std::max<int64_t>(1, planes.size()) * wy);
        for (int64_t x0 = 0; x0 < nx; x0 += part) {
            const int64_t count = std::min(part, nx - x0);
            for (int64_t y = 0; y < ny; ++y) {
                for (size_t k = 0; k < taps.size(); ++k)
                    s.pointers[k] = s.rows.data() + (taps[k].plane * depth() + y + taps[k].y) * width + taps[k].x + x0;
                constexpr int L = simd<A>::lanes;
                int64_t i = 0;
                for (; i + 8 * L <= count; i += 8 * L) vectors<8>(s.pointers.data(), i, s.ready.data());
                for (; i + 2 * L <= count; i += 2 * L) vectors<2>(s.pointers.data(), i, s.ready.data());
                for (; i < count; i += L) vectors<1>(s.pointers.data(), i, s.ready.data());
                to.store(s.ready.data(), count, target + y * at.out_y + x0 * at.out_x, at.out_x);
            }
        }
    }

    // U vectors of a line, from one tap after the other.
    template <int U> FASTMED_INLINE void vectors(const A* const* pointers, int64_t i, A* ready) const {
        using V = typename simd<A>::v;
        constexpr int L = simd<A>::lanes;
        V sums[U];
        for (int u = 0; u < U; ++u) sums[u] = V{};
        for (size_t k = 0; k < taps.size(); ++k) {
            const V w = splat(taps[k].weight);
            const A* p = pointers[k] + i;
            for (int u = 0; u < U; ++u) sums[u] = multiply_add<A>(load(p + u * L), w, sums[u]);
        }
        for (int u = 0; u < U; ++u) store(ready + i + u * L, sums[u]);
    }
};

// Whether float sums give double's bits: of small integers also where weights are whole multiples of some 2^-k, as
// binomial ones are.
bool exact_in_float(DType dtype, Pass all) {
    for (int k = 0; k <= 8; ++k) {
        if (float_is_exact(dtype, {all})) return true;
        for (double& w : all.weights) w *= 2;
    }
    return false;
}

}  // namespace

void correlate1d(View input, Doubles weights, int axis, int64_t before, int mode, double cval, bool exact, View output, int threads) {
    const int64_t length = weights.size();
    separable(input, {{axis, length, before, Mode(mode), cval, std::move(weights)}}, exact, output, threads);
}

void correlate(View input, View weights, Ints befores, int mode, double cval, bool exact, View output, int threads) {
    if (input.size() == 0) return;
    const double* w = reinterpret_cast<const double*>(weights.data);
    const Pass all{0, weights.size(), 0, Mode(mode), cval, Doubles(w, w + weights.size())};
    const bool single = input.dtype == DType::f32 && output.dtype == DType::f32 && !exact;
    if (single || (input.dtype == output.dtype && exact_in_float(input.dtype, all)))
        Correlation<float>(input, weights, befores, Mode(mode), cval, output).run(threads);
    else
        Correlation<double>(input, weights, befores, Mode(mode), cval, output).run(threads);
}

}  // namespace fastmed
