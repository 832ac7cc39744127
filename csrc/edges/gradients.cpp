// One component of a gradient, or its length: a derivative along one axis with smoothing along all others, for every
// axis, in one trip through memory; no component is ever stored.
//
// A unit of work is a bar of some rows that walks along the first axis. Sums along the first axis (smoothed S, derived D)
// are made once per row and kept in a ring along the second; the rest happens on rows in the first level cache.
#include <algorithm>
#include <cmath>

#include "border.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "scaled.hpp"
#include "weighted_rows.hpp"

namespace fastmed {
namespace {

template <class A, bool odd, class Row> void taps(Row&& row, const std::vector<A>& weights, int64_t n, A* out) {
    const int64_t radius = int64_t(weights.size()) / 2;
    if (radius == 1) sum_taps<A, odd>(row, weights.data(), 1, n, out);  // a loop known to the compiler
    else sum_taps<A, odd>(row, weights.data(), radius, n, out);
}

template <class A> class Gradients {
public:
    Gradients(const View& input, const Ints& axes, const Ints& radii, const Doubles& smooth, const Doubles& derive, const Doubles& scales,
              const Ints& modes, double cval, bool scaled, bool root, const View& output)
        : input_(input), output_(output), rows_(rows_of<A>(input.dtype)), cval_(A(cval)), scaled_(scaled), root_(root) {
        auto s = smooth.begin(), d = derive.begin();
        for (int a = 0; a < 3; ++a) {
            n_[a] = input.shape[a], r_[a] = radii[a], mode_[a] = Mode(modes[a]), scale_[a] = A(scales[a]);
            smooth_[a].assign(s, s + 2 * r_[a] + 1), derive_[a].assign(d, d + 2 * r_[a] + 1);
            s += 2 * r_[a] + 1, d += 2 * r_[a] + 1;
        }
        for (int64_t a : axes) wanted_[a] = true;
        // One factor for all is taken behind the root, as scikit-image does: sqrt(1) / sqrt(2) is not sqrt(1 / 2).
        bool equal = root;
        for (int64_t a : axes) equal = equal && scales[a] == scales[axes[0]];
        if (equal && !axes.empty()) {
            after_ = A(1 / std::sqrt(1 / scales[axes[0]]));
            for (int64_t a : axes) scale_[a] = A(1);
        }
        length_ = n_[2] + 2 * r_[2];
        width_ = whole<A>(length_) + 2 * STRIDE<A>;
    }
    void run(int threads) const {
        const int64_t slots = 2 * r_[0] + 1;
        int64_t height = std::clamp<int64_t>((int64_t(1) << 19) / (slots * width_ * int64_t(sizeof(A))), 4 * r_[1] + 8, std::max<int64_t>(n_[1], 4 * r_[1] + 8));
        if (n_[1] / height < threads && n_[0] < 4 * threads) height = std::max<int64_t>((n_[1] + threads - 1) / threads, 8);
        const int64_t depth = std::max<int64_t>((int64_t(1) << 21) / (height * width_), 8 * r_[0] + 1);
        const int64_t bars = (n_[1] + height - 1) / height, parts = (n_[0] + depth - 1) / depth;
        parallel_for(bars * parts, threads, [&] { return Scratch(*this, height); }, [&](Scratch& s, int64_t i) {
            const int64_t y = i / parts * height, z = i % parts * depth;
            s.y0 = y, s.y1 = std::min(y + height, n_[1]);
            std::fill(s.held.begin(), s.held.end(), INT64_MIN);
            for (int64_t k = z; k < std::min(z + depth, n_[0]); ++k) slice(s, k);
        });
    }

private:
    const View &input_, &output_;
    const Rows<A> rows_;
    const A cval_;
    const bool scaled_, root_;
    int64_t n_[3], r_[3], length_, width_;
    Mode mode_[3];
    A scale_[3], after_ = A(1);
    std::vector<A> smooth_[3], derive_[3];
    bool wanted_[3] = {false, false, false};

    struct Scratch {
        std::vector<A> raw, s, d, line, component[3];
        std::vector<int64_t> held;
        int64_t y0 = 0, y1 = 0, most;
        Scratch(const Gradients& g, int64_t height)
            : raw((2 * g.r_[0] + 1) * (height + 2 * g.r_[1]) * g.width_), s((2 * g.r_[1] + 1) * g.width_), d(s.size()), line(g.width_),
              held(2 * g.r_[0] + 1), most(height + 2 * g.r_[1]) {
            for (auto& c : component) c.resize(g.width_);
        }
    };
    A* raw(Scratch& s, int64_t v, int64_t row) const {
        const int64_t slots = 2 * r_[0] + 1;
        return s.raw.data() + ((v % slots + slots) % slots * s.most + row) * width_;
    }
    // Slice v of the bar, with its borders, into the ring.
    void fetch(Scratch& s, int64_t v) const {
        const int64_t slots = 2 * r_[0] + 1;
        int64_t& held = s.held[(v % slots + slots) % slots];
        if (held == v) return;
        held = v;
        const int64_t z = border_index(v, n_[0], mode_[0]);
        for (int64_t e = s.y0 - r_[1]; e < s.y1 + r_[1]; ++e) {
            A* to = raw(s, v, e - s.y0 + r_[1]);
            const int64_t y = border_index(e, n_[1], mode_[1]);
            if (z < 0 || y < 0) {
                std::fill_n(to, length_, cval_);
                continue;
            }
            A* line = to + r_[2];
            if (scaled_) load_scaled(input_.at(0, z), y, line);
            else rows_.load(input_.data + z * input_.strides[0] + y * input_.strides[1], input_.strides[2], n_[2], line);
            for (int64_t i = 1; i <= r_[2]; ++i)
                for (const int64_t x : {-i, n_[2] - 1 + i}) {
                    const int64_t k = border_index(x, n_[2], mode_[2]);
                    line[x] = k < 0 ? cval_ : line[k];
                }
        }
    }
    void slice(Scratch& s, int64_t z) const {
        for (int64_t v = z - r_[0]; v <= z + r_[0]; ++v) fetch(s, v);
        const int64_t slots = 2 * r_[1] + 1;
        for (int64_t e = 0; e < s.y1 - s.y0 + 2 * r_[1]; ++e) {
            auto rows = [&](int64_t k) { return raw(s, z - r_[0] + k, e); };
            if (r_[0]) taps<A, false>(rows, smooth_[0], length_, s.s.data() + e % slots * width_);
            if (wanted_[0]) taps<A, true>(rows, derive_[0], length_, s.d.data() + e % slots * width_);
            if (e >= 2 * r_[1]) row(s, z, e - 2 * r_[1]);
        }
    }
    // Row `first` + radius of the bar, from the sums of rows first ... first + 2 radius along the first axis.
    void row(Scratch& s, int64_t z, int64_t first) const {
        const int64_t slots = 2 * r_[1] + 1;
        auto of_s = [&](int64_t k) { return r_[0] ? s.s.data() + (first + k) % slots * width_ : raw(s, z, first + k); };
        auto of_d = [&](int64_t k) { return s.d.data() + (first + k) % slots * width_; };
        auto along_x = [&](int64_t k) { return s.line.data() + k; };
        if (wanted_[0]) taps<A, false>(of_d, smooth_[1], length_, s.line.data()), taps<A, false>(along_x, smooth_[2], n_[2], s.component[0].data());
        if (wanted_[1]) taps<A, true>(of_s, derive_[1], length_, s.line.data()), taps<A, false>(along_x, smooth_[2], n_[2], s.component[1].data());
        if (wanted_[2]) taps<A, false>(of_s, smooth_[1], length_, s.line.data()), taps<A, true>(along_x, derive_[2], n_[2], s.component[2].data());
        join(s, reinterpret_cast<A*>(output_.data) + (z * n_[1] + s.y0 + first) * n_[2]);
    }
    void join(Scratch& s, A* __restrict out) const {
        const A *__restrict cz = s.component[0].data(), *__restrict cy = s.component[1].data(), *__restrict cx = s.component[2].data();
        const A fz = scale_[0], fy = scale_[1], fx = scale_[2], after = after_;  // 0 where a component is not wanted, which is then 0
        const int64_t n = n_[2];
        if (!root_)
            for (int64_t x = 0; x < n; ++x) out[x] = cz[x] * fz + cy[x] * fy + cx[x] * fx;
        else if (wanted_[0])
            for (int64_t x = 0; x < n; ++x) out[x] = std::sqrt(cz[x] * cz[x] * fz + cy[x] * cy[x] * fy + cx[x] * cx[x] * fx) * after;
        else
            for (int64_t x = 0; x < n; ++x) out[x] = std::sqrt(cy[x] * cy[x] * fy + cx[x] * cx[x] * fx) * after;
    }
};

}  // namespace

void gradients(View input, Ints axes, Ints radii, Doubles smooth, Doubles derive, Doubles scales, Ints modes, double cval, bool scaled,
               bool root, View output, int threads) {
    if (input.size() == 0) return;
    if (output.dtype == DType::f32)
        Gradients<float>(input, axes, radii, smooth, derive, scales, modes, cval, scaled, root, output).run(threads);
    else Gradients<double>(input, axes, radii, smooth, derive, scales, modes, cval, scaled, root, output).run(threads);
}

}  // namespace fastmed
