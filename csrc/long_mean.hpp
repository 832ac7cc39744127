// Means over windows of any length along one axis, whose cost does not grow with them, from blocks as long as the window
// (van Herk 1992, Gil and Werman 1993): a window is the end of one block and the beginning of the next.
#pragma once

#include <vector>

#include "cast.hpp"
#include "mean_sums.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "separable.hpp"
#include "wide.hpp"

namespace fastmed::mean {

// Columns along any axis but the last, in strips. A is double, in which floats are summed without error that matters, or
// what holds all sums of integers: of bytes four times as many in a vector.
template <class T, class R, class A> class Columns {
    const View in, out;
    const Pass& p;
    const bool integers, copied;
    const int x;
    const int64_t n, nx;
    const Finish<A> f;
    int64_t strip;

    struct Scratch {
        std::vector<T> rows, constant;
        std::vector<A> rest, begun;
        std::vector<R> ready;
    };

public:
    Columns(const View& input, const Pass& pass, bool cut, double top, const View& output)
        : in(input), out(output), p(pass), integers(cut), copied(in.data == out.data || in.strides[in.ndim - 1] != sizeof(T)),
          x(in.ndim - 1), n(in.shape[p.axis]), nx(in.shape[x]), f(cut ? Finish<A>::cut(p.length, top) : Finish<A>()) {
        strip = std::max<int64_t>(256, (int64_t(1) << 15) / int64_t(sizeof(A) * p.length));
        if (copied) strip = std::min(strip, std::max<int64_t>(64, (int64_t(1) << 19) / int64_t(sizeof(T)) / n));
        strip = std::min({strip, nx, int64_t(512)});
    }

    void run(int threads) const {
        const int64_t strips = (nx + strip - 1) / strip;
        int64_t units = strips;
        for (int d = 0; d < x; ++d)
            if (d != p.axis) units *= in.shape[d];
        auto make = [&] {
            return Scratch{std::vector<T>(copied ? n * strip : 0), std::vector<T>(strip, cast<T>(p.mode == Mode::constant ? p.cval : 0.0)),
                           std::vector<A>((p.length + 1) * strip), std::vector<A>(strip), std::vector<R>(strip)};
        };
        parallel_for(units, threads, make, [&](Scratch& s, int64_t unit) {
            const int64_t x0 = unit % strips * strip;
            int64_t rest = unit / strips;
            const char* from = in.data + x0 * in.strides[x];
            char* to = out.data + x0 * out.strides[x];
            for (int d = x - 1; d >= 0; --d) {
                if (d == p.axis) continue;
                from += rest % in.shape[d] * in.strides[d];
                to += rest % in.shape[d] * out.strides[d];
                rest /= in.shape[d];
            }
            column(s, from, to, std::min(strip, nx - x0));
        });
    }

private:
    void column(Scratch& s, const char* from, char* to, int64_t count) const {
        const int64_t step = in.strides[p.axis], out_step = out.strides[p.axis], out_x = out.strides[x], length = p.length;
        if (copied)
            for (int64_t i = 0; i < n; ++i) gather(from + i * step, in.strides[x], count, s.rows.data() + i * strip);
        auto row = [&](int64_t e) -> const T* {
            const int64_t i = border_index(e - p.before, n, p.mode);
            if (i < 0) return s.constant.data();
            return copied ? s.rows.data() + i * strip : reinterpret_cast<const T*>(from + i * step);
        };
        for (int64_t begin = 0; begin < n; begin += length) {
            A* rest = s.rest.data() + length * strip;  // sums from each row of the block to its end
            std::fill_n(rest, count, A(0));
            for (int64_t j = length - 1; j >= 0; --j) add(row(begin + j), rest, count, rest - strip), rest -= strip;
            std::fill_n(s.begun.data(), count, A(0));
            for (int64_t j = 0; j < std::min(length, n - begin); ++j) {
                if (j > 0) add(row(begin + length + j - 1), s.begun.data(), count, s.begun.data());
                char* target = to + (begin + j) * out_step;
                const bool plain = out_x == sizeof(R);
                mean(s.rest.data() + j * strip, s.begun.data(), count, plain ? reinterpret_cast<R*>(target) : s.ready.data());
                if (!plain) scatter(s.ready.data(), count, target, out_x);
            }
        }
    }
    static void add(const T* row, const A* to, int64_t count, A* sum) {
        int64_t i = 0;
        if constexpr (std::is_same_v<T, float> && std::is_same_v<A, double>)
            for (constexpr int64_t L = simd<double>::lanes; i + L <= count; i += L) store(sum + i, load(to + i) + widened(row + i));
        for (; i < count; ++i) sum[i] = A(to[i] + A(row[i]));
    }
    void mean(const A* a, const A* b, int64_t count, R* __restrict to) const {
        if constexpr (!std::is_same_v<A, double>) {
            constexpr int64_t L = simd<A>::lanes;
            A means[L];
            int64_t i = 0;
            for (; i + L <= count; i += L) {
                store(means, finished(typename simd<A>::v(load(a + i) + load(b + i)), f));
                for (int64_t k = 0; k < L; ++k) to[i + k] = R(means[k]);
            }
            for (; i < count; ++i) {
                std::fill_n(means, L, A(a[i] + b[i]));
                store(means, finished(load(means), f));
                to[i] = R(means[0]);
            }
            return;
        } else {
            mean_of_doubles(a, b, count, to);
        }
    }
    void mean_of_doubles(const double* a, const double* b, int64_t count, R* __restrict to) const {
        // A product with 1 / length rounds to the same float, and above it cuts to the same integer (see Finish).
        double factor = 1.0 / double(p.length);
        if (std::is_same_v<R, double> || p.length > 1 << 16) {
            for (int64_t i = 0; i < count; ++i) to[i] = R((a[i] + b[i]) / double(p.length));
        } else {
            if (integers && std::fma(factor, double(p.length), -1.0) < 0) factor = std::nextafter(factor, 2.0);
            int64_t i = 0;
            if constexpr (std::is_same_v<R, float>)
                for (constexpr int64_t L = simd<double>::lanes; i + L <= count; i += L) store(to + i, rounded((load(a + i) + load(b + i)) * factor));
            for (; i < count; ++i) to[i] = cast<R>((a[i] + b[i]) * factor);
        }
    }
};

// Lines along the last axis. By doubling (the sum of 2^k neighbours is that of two halves) up to a vector's length; more
// are sums of whole vectors, by blocks as above.
template <class A> class Lines {
    using V = typename simd<A>::v;
    static constexpr int64_t L = simd<A>::lanes;

    const View in, out;
    const Pass& p;
    const int x;
    const int64_t nx, whole, rest;  // whole vectors in a window, and what remains
    const Finish<A> f;
    const Rows<A> from;
    void (*keep)(const A*, int64_t, char*, int64_t) = nullptr;
    std::vector<int64_t> left, right;  // the elements that stand for those before and after the line; -1: the constant

    struct Scratch {
        std::vector<A> line, sum, ends;
    };

public:
    Lines(const View& input, const Pass& pass, bool integers, double top, const View& output)
        : in(input), out(output), p(pass), x(in.ndim - 1), nx(in.shape[x]), whole(p.length / L), rest(p.length % L),
          f(integers ? Finish<A>::cut(p.length, top) : Finish<A>::real(1, double(p.length))), from(rows_of<A>(in.dtype)) {
        dispatch(out.dtype, [&](auto tag) { keep = store_as<typename decltype(tag)::t, A>; });
        for (int64_t i = -p.before; i < 0; ++i) left.push_back(border_index(i, nx, p.mode));
        for (int64_t i = nx; i < nx + p.length - 1 - p.before; ++i) right.push_back(border_index(i, nx, p.mode));
    }

    void run(int threads) const {
        // Pieces of whole blocks, so that sums do not depend on where a piece begins.
        const int64_t block = std::max<int64_t>(whole, 1) * L, total = in.size() / nx;
        const int64_t piece = in.data == out.data ? nx : std::min(nx, std::max<int64_t>(1 << 13, 8 * p.length) / block * block);
        const int64_t pieces = (nx + piece - 1) / piece, rows = std::clamp<int64_t>((1 << 16) / nx, 1, total), groups = (total + rows - 1) / rows;
        auto make = [&] {
            return Scratch{std::vector<A>(piece + p.length + 4 * L), std::vector<A>(piece + 4 * L), std::vector<A>((whole + 1) * L)};
        };
        parallel_for(groups * pieces, threads, make, [&](Scratch& s, int64_t unit) {
            const int64_t x0 = unit % pieces * piece, r0 = unit / pieces * rows;
            for (int64_t r = r0; r < std::min(r0 + rows, total); ++r) row(s, r, x0, std::min(piece, nx - x0));
        });
    }

private:
    void row(Scratch& s, int64_t r, int64_t x0, int64_t n) const {
        const char* source = in.data;
        char* target = out.data + x0 * out.strides[x];
        for (int d = x - 1; d >= 0; --d) {
            source += r % in.shape[d] * in.strides[d];
            target += r % in.shape[d] * out.strides[d];
            r /= in.shape[d];
        }
        A *line = s.line.data(), *sum = s.sum.data();
        if (n == nx) {
            A* inside = line + p.before;
            from.load(source, in.strides[x], n, inside);
            for (size_t i = 0; i < left.size(); ++i) line[i] = left[i] < 0 ? A(p.cval) : inside[left[i]];
            for (size_t i = 0; i < right.size(); ++i) inside[n + int64_t(i)] = right[i] < 0 ? A(p.cval) : inside[right[i]];
        } else {
            load_extended(from, source, in.strides[x], nx, p, x0, n, line);
        }
        int64_t at = whole * L;  // the remainder stands behind the whole vectors
        for (int64_t have = 1; have < L; have *= 2) {
            if (rest & have) {
                const bool first = at == whole * L;
                for (int64_t i = 0; i < n; i += L) store(sum + i, first ? load(line + at + i) : load(sum + i) + load(line + at + i));
                at += have;
            }
            if (2 * have > p.length) break;
            for (int64_t i = 0; i < n + p.length - 2 * have; i += L) store(line + i, load(line + i) + load(line + have + i));
        }
        if (whole > 0) add_whole(line, n, sum, s.ends.data());
        for (int64_t i = 0; i < n; i += L) store(sum + i, finished(load(sum + i), f));
        keep(sum, n, target, out.strides[x]);
    }
    // Windows of `whole` vectors. `line` holds sums of L neighbours.
    void add_whole(const A* line, int64_t n, A* sum, A* ends) const {
        for (int64_t begin = 0; begin * L < n; begin += whole) {
            V end{}, begun{};
            for (int64_t j = whole - 1; j >= 0; --j) store(ends + j * L, end += load(line + (begin + j) * L));
            for (int64_t j = 0; j < whole && (begin + j) * L < n; ++j) {
                if (j > 0) begun += load(line + (begin + whole + j - 1) * L);
                const V total = load(ends + j * L) + begun;
                store(sum + (begin + j) * L, rest ? load(sum + (begin + j) * L) + total : total);
            }
        }
    }
};

}  // namespace fastmed::mean
