// Mean over a box. No sum runs along a line (add what enters, subtract what leaves): it would carry one NaN or infinity
// to the line's end, and a float result would depend on where the line begins. Small boxes take one trip through memory
// (small_box.hpp), large ones one trip per axis (long_mean.hpp).
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.hpp"
#include "long_mean.hpp"
#include "parallel.hpp"
#include "separable.hpp"
#include "small_box.hpp"

namespace fastmed {
namespace {

using namespace mean;

bool is_integer(DType t) { return t != DType::f32 && t != DType::f64; }
double top_of(DType t) {  // the largest magnitude
    double top = 0;
    dispatch(t, [&](auto tag) {
        using T = typename decltype(tag)::t;
        top = std::max(double(std::numeric_limits<T>::max()), -double(std::numeric_limits<T>::lowest()));
    });
    return top;
}

// Whether sums are exact, so that their order does not matter, and results stay in the dtype's range; reals always.
bool taken(const View& in, const View& out, const std::vector<Pass>& passes) {
    if (is_integer(out.dtype) && (in.dtype != out.dtype || top_of(in.dtype) > 4294967296.0)) return false;
    if (!is_integer(in.dtype))  // rows of float32 hold no constant that needs more digits
        return in.dtype == out.dtype || in.dtype == DType::f64 || std::all_of(passes.begin(), passes.end(), [](const Pass& p) {
            return p.mode != Mode::constant || double(float(p.cval)) == p.cval;
        });
    return std::all_of(passes.begin(), passes.end(), [&](const Pass& p) {
        if (p.mode != Mode::constant) return p.length < 1 << 20;
        bool inside = false;
        dispatch(in.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            inside = p.cval >= double(std::numeric_limits<T>::lowest()) && p.cval <= double(std::numeric_limits<T>::max());
        });
        return p.length < 1 << 20 && inside && p.cval == std::floor(p.cval);
    });
}

// Adjacent axes without a pass become one: longer rows, fewer of them.
void merge(View& in, View& out, std::vector<Pass>& passes) {
    for (int d = in.ndim - 2; d >= 0; --d) {
        const bool used = std::any_of(passes.begin(), passes.end(), [&](const Pass& p) { return p.axis == d || p.axis == d + 1; });
        const bool apart = in.strides[d] != in.strides[d + 1] * in.shape[d + 1] || out.strides[d] != out.strides[d + 1] * out.shape[d + 1];
        if (used || apart || in.shape[d] * in.shape[d + 1] > 2048) continue;
        for (View* v : {&in, &out}) {
            const int64_t merged = v->shape[d] * v->shape[d + 1];
            *v = v->at(d, 0);
            v->shape[d] = merged;
        }
        for (Pass& p : passes) p.axis -= p.axis > d;
    }
}

// The first passes, if they are small and along ascending ones of the last three axes.
size_t together(const View& in, const std::vector<Pass>& passes) {
    size_t n = 0;
    for (int last = in.ndim - 4; n < passes.size() && passes[n].length <= SMALL && passes[n].axis > last; ++n) last = passes[n].axis;
    return n;
}

void one_pass(const View& in, const View& out, const Pass& p, bool integers, int threads) {
    const double top = top_of(in.dtype);
    if (p.axis == in.ndim - 1) {
        const bool reals = in.dtype == DType::f32 && out.dtype == DType::f32 && p.length <= 256;  // more would lose digits
        if (integers ? p.length * (top + 1) < (1 << 24) : reals) mean::Lines<float>(in, p, integers, top, out).run(threads);
        else mean::Lines<double>(in, p, integers, top, out).run(threads);
        return;
    }
    dispatch(in.dtype, [&](auto from) {
        using T = typename decltype(from)::t;
        if constexpr (std::is_same_v<T, uint8_t>)
            if (integers && p.length > 1 && fits_in_16_bits(p.length)) return mean::Columns<T, T, uint16_t>(in, p, true, top, out).run(threads);
        if constexpr (std::is_integral_v<T> && sizeof(T) <= 2)
            if (integers && double(p.length) * (top + 1) < (1 << 24)) return mean::Columns<T, T, float>(in, p, true, top, out).run(threads);
        if (in.dtype == out.dtype) return mean::Columns<T, T, double>(in, p, integers, top, out).run(threads);
        if (out.dtype == DType::f32) mean::Columns<T, float, double>(in, p, false, top, out).run(threads);
        else mean::Columns<T, double, double>(in, p, false, top, out).run(threads);
    });
}

// Passes along the last two axes, plane by plane, so that the second one finds the plane in cache.
void two_passes(const View& in, const View& out, Pass y, Pass x, bool integers, int threads) {
    int64_t planes = 1;
    for (int d = 0; d < in.ndim - 2; ++d) planes *= in.shape[d];
    y.axis = 0, x.axis = 1;
    parallel_for(planes, threads, [&](int64_t plane) {
        View from = in, to = out;
        for (int d = in.ndim - 3; d >= 0; --d) {
            const int64_t i = plane % in.shape[d];
            plane /= in.shape[d];
            from = from.at(d, i), to = to.at(d, i);
        }
        one_pass(from, to, y, integers, 1);
        one_pass(to, to, x, integers, 1);
    });
}

}  // namespace

void uniform_filter(View input, Ints axes, Ints sizes, Ints origins, Ints modes, double cval, View output, int threads) {
    if (input.size() == 0) return;
    std::vector<Pass> passes;
    for (size_t k = 0; k < axes.size(); ++k)
        passes.push_back({int(axes[k]), sizes[k], sizes[k] / 2 + origins[k], Mode(modes[k]), cval, {}});
    if (!taken(input, output, passes)) return separable(input, std::move(passes), false, output, threads);
    merge(input, output, passes);
    const bool integers = is_integer(output.dtype);
    const size_t n = input.data == output.data ? 0 : together(input, passes);
    if (n > 0) {
        const std::vector<Pass> box(passes.begin(), passes.begin() + n);
        const double top = top_of(input.dtype);
        int64_t longest = 1;
        for (const Pass& p : box) longest = std::max(longest, p.length);
        const bool bytes = integers && top <= 255 && (input.dtype == DType::u8 || input.dtype == DType::boolean);
        const bool exact = integers ? longest * (top + 1) < (1 << 24) : input.dtype == DType::f32 && output.dtype == DType::f32;
        if (bytes && std::all_of(box.begin(), box.end(), [](const Pass& p) { return fits_in_16_bits(p.length); }))
            Box<uint16_t>(input, box, true, top, output).run(threads);
        else if (exact) Box<float>(input, box, integers, top, output).run(threads);
        else Box<double>(input, box, integers, top, output).run(threads);
    }
    for (size_t k = n; k < passes.size(); ++k) {
        const View& from = k == 0 ? input : output;
        const bool two = k + 1 < passes.size() && passes[k].axis == input.ndim - 2 && passes[k + 1].axis == input.ndim - 1;
        if (two && input.ndim > 2) {
            two_passes(from, output, passes[k], passes[k + 1], integers, threads);
            ++k;
        } else {
            one_pass(from, output, passes[k], integers, threads);
        }
    }
}

}  // namespace fastmed
