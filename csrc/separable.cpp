// Separable filters on rows of float or double. Every pass is one row operation, out[i] = f(rows[0][i], rows[1][i]...):
// along the last axis the rows are one extended line shifted by one, along the others they are neighbouring lines. So
// three passes fuse: a block of planes takes each input row once into cache, and its results leave as finished rows
// (memory is crossed once; separate passes cross it three times).
#include "separable.hpp"

#include <algorithm>
#include <cmath>

#include "march.hpp"
#include "parallel.hpp"
#include "planes.hpp"
#include "rows.hpp"
#include "taps.hpp"

namespace fastmed {
namespace {

// --- means ----------------------------------------------------------------------------------------------------------
// SciPy's running sum, along a line and over rows: where its rounding shows in an integer result (64-bit integers,
// fractions cut to integers) the sum must be built as SciPy builds it.
template <class A> void running_mean(const A* line, int64_t length, int64_t n, A* out) {
    A sum = 0;
    for (int64_t k = 0; k < length; ++k) sum += line[k];
    out[0] = sum / A(length);
    for (int64_t i = 1; i < n; ++i) {
        sum += line[i + length - 1] - line[i - 1];
        out[i] = sum / A(length);
    }
}
template <class A>
void running_mean(const A* const* rows, int64_t length, int64_t n, const A* leaves, Buffer<A>& sum, A* out) {
    if (!leaves) std::fill(sum.begin(), sum.end(), A(0));
    for (int64_t k = leaves ? length - 1 : 0; k < length; ++k)
        for (int64_t i = 0; i < n; ++i) sum[i] += leaves ? rows[k][i] - leaves[i] : rows[k][i];
    for (int64_t i = 0; i < n; ++i) out[i] = sum[i] / A(length);
}

// The largest |element|.
template <class A> A largest(const A* row, int64_t n) {
    constexpr int L = simd<A>::lanes;
    typename simd<A>::v most{};
    int64_t i = 0;
    for (; i + L <= n; i += L) most = vmax(most, vmax(load(row + i), -load(row + i)));
    A lanes[L], result = 0;
    store(lanes, most);
    for (const A value : lanes) result = std::max(result, value);
    for (; i < n; ++i) result = std::max(result, std::abs(row[i]));
    return result;
}

// --- passes fused ---------------------------------------------------------------------------------------------------
// Passes along z, y and x in any order in which x comes first or last. A block of planes is worked through along y,
// a few output rows at a time: the more taps, the more rows, because they share them.
template <class A> struct Fused {
    const Planes& p;
    const Pass *z = nullptr, *y = nullptr, *x = nullptr;  // null: no pass along that axis
    bool x_first = false, y_before_z = false, stream;
    std::vector<Taps<A>> taps;
    Rows<A> from, to;
    int64_t block_z, block_y, lz, ly, lx, width, group;
    Ints borders;  // for what lies outside a line along x: the element that stands for it, -1 for the constant
    A most;        // of |constants|

    // How many of the passes one fused run can take.
    static size_t reach(const std::vector<Pass>& passes, int ndim) {
        bool seen[3] = {}, x_inside = false;
        size_t n = 0;
        for (; n < passes.size() && n < 3; ++n) {
            const int slot = passes[n].axis - (ndim - 3);
            if (slot < 0 || seen[slot]) break;
            if (x_inside) break;  // x was neither first nor last
            seen[slot] = true;
            x_inside = slot == 2 && n > 0;
        }
        return n;
    }

    Fused(const Planes& planes, const Pass* first, size_t count, bool cut, int threads)
        : p(planes), from(rows_of<A>(p.in.dtype)), to(rows_of<A>(p.out.dtype)) {
        for (size_t k = 0; k < count; ++k) {
            const Pass* pass = first + k;
            const int slot = pass->axis - (p.in.ndim - 3);
            (slot == 0 ? z : slot == 1 ? y : x) = pass;
            if (slot == 0 && y) y_before_z = true;
            if (slot == 2 && k == 0) x_first = count > 1;
        }
        static const Pass identity{0, 1, 0, Mode::nearest, 0.0, {1.0}};
        for (const Pass* pass : {z, y, x}) taps.emplace_back(pass ? *pass : identity, cut);
        if (cut) to.round = nullptr;
        most = A(0);
        for (const Pass* pass : {z, y, x})
            if (pass && pass->mode == Mode::constant) most = std::max(most, A(std::abs(pass->cval)));
        lz = taps[0].length, ly = taps[1].length, lx = taps[2].length;
        width = spread<A>(p.nx + lx - 1 + 5 * PAD<A>);
        if (x)
            for (int64_t k = 0; k < lx - 1; ++k) borders.push_back(border_index(k < left() ? k - x->before : p.nx + k - x->before, p.nx, x->mode));
        stream = worth_streaming(p.out);
        choose_blocks(threads);
    }

    // Planes per block: the more, the fewer are loaded again by the next block, but the rows at hand must stay in a
    // 2 MB second level cache. Rows per block: enough blocks for the threads, each small enough to answer an interrupt.
    void choose_blocks(int threads) {
        group = y ? 8 : 1;
        const int64_t plane = depth() * width * int64_t(sizeof(A));
        block_z = z ? std::clamp<int64_t>((int64_t(3) << 19) / plane, 1, 32) : 1;
        const int64_t blocks = (p.nz + block_z - 1) / block_z;
        block_z = (p.nz + blocks - 1) / blocks;
        block_y = std::max<int64_t>(4 * ly, (int64_t(1) << 28) / std::max<int64_t>(1, p.nx * block_z * (lz + ly + lx)));
        const int64_t units = p.batch * blocks, wanted = threads > 1 ? 4 * threads : 1;
        if (units < wanted) block_y = std::min(block_y, std::max<int64_t>(4 * ly, (p.ny * units + wanted - 1) / wanted));
        block_y = std::max<int64_t>(1, std::min((block_y + group - 1) / group * group, p.ny));
    }

    struct Scratch {
        Buffer<A> rows, ring, middle, lines, ready, constant_z, constant_y;
        Buffer<char> bytes;
        std::vector<const A*> in, list, window;
        A top;  // no |element| of the block exceeds it
    };
    int64_t planes() const { return block_z + lz - 1; }
    int64_t depth() const { return ly - 1 + group; }
    int64_t left() const { return x ? std::clamp<int64_t>(x->before, 0, lx - 1) : 0; }
    Scratch scratch() const {
        Scratch s;
        s.rows.resize(z ? planes() * width : 0);
        s.ring.resize((y_before_z ? planes() : block_z) * depth() * width);
        if (y_before_z) s.middle.resize(planes() * group * width);
        s.lines.resize(group * width);
        s.ready.resize(width);
        if (stream) s.bytes.resize(p.nx * 8);
        for (int64_t k = 0; z && k < planes(); ++k) s.in.push_back(s.rows.data() + k * width);
        s.list.resize(depth());
        s.window.resize(std::max({lz, ly, lx}));
        if (z) s.constant_z.assign(width, A(z->cval));
        if (y) s.constant_y.assign(width, A(y->cval));
        return s;
    }

    void run(int threads) {
        const int64_t bz = (p.nz + block_z - 1) / block_z, by = (p.ny + block_y - 1) / block_y;
        parallel_for(p.batch * bz * by, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            const int64_t z0 = unit / by % bz * block_z, y0 = unit % by * block_y;
            const auto [i, o] = p.offsets(unit / by / bz);
            s.top = most;
            block(s, p.in.data + i, p.out.data + o, z0, std::min(block_z, p.nz - z0), y0, std::min(y0 + block_y, p.ny));
            if (stream) to_memory_done();
        });
    }

    void block(Scratch& s, const char* in, char* out, int64_t z0, int64_t nz, int64_t y0, int64_t y1) const {
        int64_t e = 0;  // rows that have come in, from y0 - before on
        for (int64_t row = y0; row < y1; row += group) {
            const int64_t count = std::min(group, y1 - row);
            for (; e < row - y0 + count + ly - 1; ++e) arrive(s, in, z0, nz, y0, e);
            char* target = out + z0 * p.out_z + row * p.out_y;
            if (y_before_z) leave_y_before_z(s, z0, nz, row - y0, count, target);
            else leave(s, nz, row - y0, count, target);
        }
    }

    A* slot(Scratch& s, int64_t plane, int64_t e) const { return s.ring.data() + (plane * depth() + e % depth()) * width; }
    A* line(Scratch& s, int64_t r) const { return s.lines.data() + r * width + left(); }
    // Whether plane k of a block that begins at z0 stands for a plane of the input (not for the constant).
    bool inside(int64_t z0, int64_t k) const { return !z || border_index(z0 - z->before + k, p.nz, z->mode) >= 0; }

    // Row e of the block into the rings: of each plane after its pass along z, or of each input plane as it is.
    void arrive(Scratch& s, const char* in, int64_t z0, int64_t nz, int64_t y0, int64_t e) const {
        const int64_t at = y0 - (y ? y->before : 0) + e;
        const int64_t source = y ? border_index(at, p.ny, y->mode) : at;
        const int64_t count = y_before_z ? nz + lz - 1 : nz;
        if (source < 0) {
            for (int64_t k = 0; k < count; ++k) std::copy_n(s.constant_y.data(), p.nx, slot(s, k, e));
        } else if (!z || y_before_z) {
            load_planes(s, in + source * p.in_y, z0, count, [&](int64_t k) { return slot(s, k, e); });
        } else {
            load_planes(s, in + source * p.in_y, z0, nz + lz - 1, [&](int64_t k) { return s.rows.data() + k * width; });
            correlate_rows(s.in.data(), taps[0], nz, p.nx, s.top, [&](int64_t b) { return slot(s, b, e); });
            if (to.round && (y || (x && !x_first)))
                for (int64_t b = 0; b < nz; ++b) to.round(slot(s, b, e), p.nx);
        }
    }

    template <class Place> void load_planes(Scratch& s, const char* in, int64_t z0, int64_t count, Place&& place) const {
        for (int64_t k = 0; k < count; ++k) {
            const int64_t at = z0 - (z ? z->before : 0) + k;
            const int64_t source = z ? border_index(at, p.nz, z->mode) : at;
            A* row = place(k);
            if (source < 0) {
                std::copy_n(s.constant_z.data(), p.nx, row);
                continue;
            }
            if (k + 2 < count) fetch(in, at + 2);
            from.load(in + source * p.in_z, p.in_x, p.nx, x_first ? line(s, 0) : row);
            if (taps[0].cut) s.top = std::max(s.top, largest(x_first ? line(s, 0) : row, p.nx));
            if (x_first) pass_x(s, 0, row);
            if (x_first && to.round) to.round(row, p.nx);
        }
    }

    // A row of the plane after the next: planes lie megabytes apart, so that the processor does not foresee it.
    FASTMED_INLINE void fetch(const char* in, int64_t plane) const {
        const int64_t source = z ? border_index(plane, p.nz, z->mode) : plane;
        if (source < 0 || p.in_x < 0) return;
        for (int64_t b = 0; b < p.nx * p.in_x; b += 64) prefetch(in + source * p.in_z + b);
    }

    // `count` rows of one plane's ring after their pass along y, in order from row e; results in out(r).
    template <class Out> void pass_y(Scratch& s, int64_t plane, int64_t e, int64_t count, bool more, Out&& out) const {
        for (int64_t k = 0; k < count + ly - 1; ++k) s.list[k] = slot(s, plane, e + k);
        correlate_rows(s.list.data(), taps[1], count, p.nx, s.top, out);
        if (to.round && more)
            for (int64_t r = 0; r < count; ++r) to.round(out(r), p.nx);
    }

    void leave(Scratch& s, int64_t nz, int64_t e, int64_t count, char* out) const {
        const bool more = x && !x_first;
        for (int64_t b = 0; b < nz; ++b) {
            if (y) pass_y(s, b, e, count, more, [&](int64_t r) { return line(s, r); });
            else
                for (int64_t r = 0; r < count; ++r) std::copy_n(slot(s, b, e + r), p.nx, line(s, r));
            finish(s, count, out + b * p.out_z);
        }
    }

    void leave_y_before_z(Scratch& s, int64_t z0, int64_t nz, int64_t e, int64_t count, char* out) const {
        auto middle = [&](int64_t k, int64_t r) { return s.middle.data() + (k * group + r) * width; };
        for (int64_t k = 0; k < nz + lz - 1; ++k)
            if (inside(z0, k)) pass_y(s, k, e, count, true, [&](int64_t r) { return middle(k, r); });
        for (int64_t b = 0; b < nz; ++b) {
            for (int64_t r = 0; r < count; ++r) {
                for (int64_t k = 0; k < lz; ++k) s.window[k] = inside(z0, b + k) ? middle(b + k, r) : s.constant_z.data();
                correlate_rows(s.window.data(), taps[0], 1, p.nx, s.top, [&](int64_t) { return line(s, r); });
                if (to.round && x && !x_first) to.round(line(s, r), p.nx);
            }
            finish(s, count, out + b * p.out_z);
        }
    }

    void pass_x(Scratch& s, int64_t r, A* to_row) const {  // of a line in s.lines
        A *values = line(s, r), *begin = values - left();
        for (int64_t k = 0; k < lx - 1; ++k)
            begin[k < left() ? k : p.nx + k] = borders[k] < 0 ? A(x->cval) : values[borders[k]];
        correlate_line(begin, taps[2], p.nx, s.top, s.window, to_row);
    }

    // The rows in s.lines along x, then out.
    void finish(Scratch& s, int64_t count, char* out) const {
        for (int64_t r = 0; r < count; ++r) {
            const A* row = line(s, r);
            if (x && !x_first) pass_x(s, r, s.ready.data()), row = s.ready.data();
            char* target = out + r * p.out_y;
            if (!stream) {
                to.store(row, p.nx, target, p.out_x);
            } else {
                const bool as_is = std::is_same_v<A, float> ? p.out.dtype == DType::f32 : p.out.dtype == DType::f64;
                if (!as_is) to.store(row, p.nx, s.bytes.data(), p.out_x);
                to_memory(target, as_is ? reinterpret_cast<const char*>(row) : s.bytes.data(), p.nx * p.out_x);
            }
        }
    }
};

// --- one pass at a time: long lines, and outputs that are their own input -------------------------------------------
// Lines along the last axis, in pieces where input and output are apart.
template <class A> void lines(const Planes& p, const Pass& pass, bool cut, int threads) {
    const auto from = rows_of<A>(p.in.dtype), to = rows_of<A>(p.out.dtype);
    const Taps<A> taps(pass, cut);
    const bool whole = p.in.data == p.out.data || pass.running, stream = worth_streaming(p.out) && !whole;
    const int64_t piece = whole ? p.nx : std::min<int64_t>(p.nx, 1 << 13);
    const int64_t rows = whole || p.nx > piece ? 1 : std::clamp<int64_t>((1 << 16) / p.nx, 1, p.ny);
    const int64_t pieces = (p.nx + piece - 1) / piece, groups = (p.ny + rows - 1) / rows;
    struct Scratch {
        Buffer<A> line, ready;
        Buffer<char> bytes;
        std::vector<const A*> window;
    };
    auto make = [&] {
        return Scratch{Buffer<A>(piece + pass.length - 1 + 5 * PAD<A>), Buffer<A>(piece + 5 * PAD<A>),
                       Buffer<char>(stream ? piece * 8 : 0), std::vector<const A*>(pass.length)};
    };
    parallel_for(p.batch * p.nz * groups * pieces, threads, make, [&](Scratch& s, int64_t unit) {
        const int64_t x0 = unit % pieces * piece, x1 = std::min(x0 + piece, p.nx), y0 = unit / pieces % groups * rows;
        const int64_t z = unit / pieces / groups % p.nz;
        const auto [i, o] = p.offsets(unit / pieces / groups / p.nz);
        for (int64_t y = y0; y < std::min(y0 + rows, p.ny); ++y) {
            const char* in = p.in.data + i + z * p.in_z + y * p.in_y;
            load_extended(from, in, p.in_x, p.nx, pass, x0, x1 - x0, s.line.data());
            const A top = cut ? largest(s.line.data(), x1 - x0 + pass.length - 1) : A(0);
            if (pass.running) running_mean(s.line.data(), pass.length, p.nx, s.ready.data());
            else correlate_line(s.line.data(), taps, x1 - x0, top, s.window, s.ready.data());
            char* target = p.out.data + o + z * p.out_z + y * p.out_y + x0 * p.out_x;
            to.store(s.ready.data(), x1 - x0, stream ? s.bytes.data() : target, p.out_x);
            if (stream) to_memory(target, s.bytes.data(), (x1 - x0) * p.out_x);
        }
        if (stream) to_memory_done();
    });
}

// Columns along any axis but the last: a strip of columns is copied whole, so that the output may be the input.
template <class A> void columns(View in, View out, const Pass& pass, bool cut, int threads) {
    const auto from = rows_of<A>(in.dtype), to = rows_of<A>(out.dtype);
    const Taps<A> taps(pass, cut);
    const int64_t n = in.shape[pass.axis], in_step = in.strides[pass.axis], out_step = out.strides[pass.axis];
    const Planes p(in.at(pass.axis, 0), out.at(pass.axis, 0));
    const int64_t strip = std::min<int64_t>(p.nx, std::max<int64_t>(64, (1 << 18) / n)), width = spread<A>(strip + 5 * PAD<A>);
    const int64_t strips = (p.nx + strip - 1) / strip;
    struct Scratch {
        Buffer<A> rows, constant, ready, sum;
        std::vector<const A*> window;
    };
    auto make = [&] {
        return Scratch{Buffer<A>(n * width), Buffer<A>(width, A(pass.cval)), Buffer<A>(8 * width), Buffer<A>(width),
                       std::vector<const A*>(n + pass.length - 1)};
    };
    parallel_for(p.batch * p.nz * p.ny * strips, threads, make, [&](Scratch& s, int64_t unit) {
        const int64_t x0 = unit % strips * strip, count = std::min(strip, p.nx - x0), y = unit / strips % p.ny;
        const int64_t z = unit / strips / p.ny % p.nz;
        const auto [i, o] = p.offsets(unit / strips / p.ny / p.nz);
        const char* source = p.in.data + i + z * p.in_z + y * p.in_y + x0 * p.in_x;
        char* target = p.out.data + o + z * p.out_z + y * p.out_y + x0 * p.out_x;
        A top = pass.mode == Mode::constant ? A(std::abs(pass.cval)) : A(0);
        for (int64_t a = 0; a < n; ++a) {
            from.load(source + a * in_step, p.in_x, count, s.rows.data() + a * width);
            if (cut) top = std::max(top, largest(s.rows.data() + a * width, count));
        }
        for (int64_t k = 0; k < n + pass.length - 1; ++k) {
            const int64_t row = border_index(k - pass.before, n, pass.mode);
            s.window[k] = row < 0 ? s.constant.data() : s.rows.data() + row * width;
        }
        for (int64_t a = 0; a < n; a += 8) {
            const int64_t together = std::min<int64_t>(8, n - a);
            auto ready = [&](int64_t r) { return s.ready.data() + r * width; };
            if (pass.running) {
                for (int64_t r = 0; r < together; ++r)
                    running_mean(s.window.data() + a + r, pass.length, count, a + r ? s.window[a + r - 1] : nullptr, s.sum, ready(r));
            } else {
                correlate_rows(s.window.data() + a, taps, together, count, top, ready);
            }
            for (int64_t r = 0; r < together; ++r) to.store(ready(r), count, target + (a + r) * out_step, p.out_x);
        }
    });
}

// Adjacent axes without a pass become one where both layouts allow it: longer rows, fewer calls, up to what the
// caches hold several rows of.
constexpr int64_t LONGEST_ROW = 2048;
void collapse(View& in, View& out, std::vector<Pass>& passes) {
    for (int d = in.ndim - 2; d >= 0; --d) {
        const bool used = std::any_of(passes.begin(), passes.end(), [&](const Pass& p) { return p.axis == d || p.axis == d + 1; });
        if (used || in.shape[d] * in.shape[d + 1] > LONGEST_ROW || in.strides[d] != in.strides[d + 1] * in.shape[d + 1] || out.strides[d] != out.strides[d + 1] * out.shape[d + 1]) continue;
        for (View* v : {&in, &out}) {
            const int64_t merged = v->shape[d] * v->shape[d + 1];
            *v = v->at(d, 0);
            v->shape[d] = merged;
        }
        for (Pass& p : passes) p.axis -= p.axis > d;
    }
}

// Whether passes are one along each of the last three axes, in float32: their order is free then, but for constants
// outside, which every pass finds as they are.
bool any_order(DType in, DType out, int ndim, const std::vector<Pass>& passes) {
    int seen = 0;
    for (const Pass& p : passes) {
        if (p.axis < ndim - 3 || p.weights.empty() || (p.mode == Mode::constant && p.cval != 0)) return false;
        seen |= 1 << (ndim - 1 - p.axis);
    }
    return in == DType::f32 && out == DType::f32 && passes.size() == 3 && seen == 7;
}

template <class A> void run(View in, View out, std::vector<Pass> passes, bool cut, int threads) {
    collapse(in, out, passes);
    if (std::is_same_v<A, float> && any_order(in.dtype, out.dtype, in.ndim, passes)) {
        std::sort(passes.begin(), passes.end(), [](const Pass& a, const Pass& b) { return a.axis > b.axis; });
        if (in.data != out.data) return march(Planes(in, out), passes[0], passes[1], passes[2], threads);
    }
    const int n = in.ndim;
    size_t done = 0;
    const bool running = std::any_of(passes.begin(), passes.end(), [](const Pass& p) { return p.running; });
    if (in.data != out.data && !running && (done = Fused<A>::reach(passes, n)) > 0) {
        const Planes p(in, out);
        if (done == 1 && passes[0].axis == n - 1) lines<A>(p, passes[0], cut, threads);
        else Fused<A>(p, passes.data(), done, cut, threads).run(threads);
    }
    for (; done < passes.size(); ++done) {
        const View& source = done == 0 ? in : out;
        if (passes[done].axis == n - 1) lines<A>(Planes(source, out), passes[done], cut, threads);
        else columns<A>(source, out, passes[done], cut, threads);
    }
}

// Whether every window sum is exact in double (integers of at most 32 bits), so that its order does not matter.
bool sums_are_exact(DType dtype, const Pass& p) {
    if (dtype == DType::f32 || dtype == DType::f64 || dtype == DType::u64 || dtype == DType::i64) return false;
    return p.mode != Mode::constant || (p.cval == std::floor(p.cval) && std::abs(p.cval) < 1e9);
}

}  // namespace

void separable(const View& input, std::vector<Pass> passes, bool exact, const View& output, int threads) {
    if (input.size() == 0) return;
    const bool integers = output.dtype != DType::f32 && output.dtype != DType::f64;
    // The first pass reads the input, the others what the output's dtype has made of it: of -1, in uint64, 2^64 - 1.
    const bool wraps = output.dtype == DType::u64 && !(input.dtype == DType::boolean || input.dtype == DType::u8 || input.dtype == DType::u16 || input.dtype == DType::u32);
    for (Pass& p : passes) {
        const bool read_exactly = sums_are_exact(input.dtype, p) && (&p == &passes[0] || !wraps);
        p.running = p.weights.empty() && integers && !read_exactly;
    }
    const bool single = input.dtype == DType::f32 && output.dtype == DType::f32 && !exact;
    const bool small = input.dtype == output.dtype && float_is_exact(input.dtype, passes);
    const bool held = input.dtype == output.dtype && float_holds(input.dtype, passes);
    if (single || small || held) run<float>(input, output, passes, held && !small, threads);
    else run<double>(input, output, passes, false, threads);
}

}  // namespace fastmed
