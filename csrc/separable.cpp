// Separable filters on rows of float or double. Every pass is one row operation, out[i] = f(rows[0][i], rows[1][i]...):
// along the last axis the rows are one extended line shifted by one, along the others they are neighbouring lines. So
// three passes fuse: a block of planes takes each input row once into cache, and its results leave as finished rows
// (memory is crossed once; separate passes cross it three times).
#include "separable.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "rows.hpp"

namespace fastmed {
namespace {

// --- row operations ------------------------------------------------------------------------------------------------
enum class Kind { plain, symmetric, antisymmetric, mean, running_mean };

template <class A> struct Taps {
    Kind kind;
    int64_t length;
    std::vector<A> w;
    A divisor;

    explicit Taps(const Pass& p) : kind(Kind::mean), length(p.length), w(p.weights.begin(), p.weights.end()), divisor(A(p.length)) {
        if (p.running) kind = Kind::running_mean;
        if (p.weights.empty()) return;
        kind = Kind::plain;
        const int64_t half = length / 2;
        if (length % 2 == 0) return;
        bool even = true, odd = true;  // SciPy's test, on the weights in double
        for (int64_t k = 1; k <= half; ++k) {
            even &= std::abs(p.weights[half + k] - p.weights[half - k]) <= 2.220446049250313e-16;
            odd &= std::abs(p.weights[half + k] + p.weights[half - k]) <= 2.220446049250313e-16;
        }
        kind = even ? Kind::symmetric : odd ? Kind::antisymmetric : Kind::plain;
    }
};

// U vectors at a time stay in registers over all taps. The order of the sums is SciPy's.
template <class A, int U> FASTMED_INLINE void correlate_block(const A* const* rows, const Taps<A>& t, int64_t i, A* out) {
    using V = typename simd<A>::v;
    constexpr int L = simd<A>::lanes;
    V acc[U];
    const int64_t half = t.length / 2;
    if (t.kind == Kind::mean) {  // groups of eight: the error of a long float sum stays near that of a short one
        for (int u = 0; u < U; ++u) acc[u] = V{};
        for (int64_t k0 = 0; k0 < t.length; k0 += 8) {
            V part[U];
            for (int u = 0; u < U; ++u) part[u] = load(rows[k0] + i + u * L);
            for (int64_t k = k0 + 1; k < std::min(k0 + 8, t.length); ++k)
                for (int u = 0; u < U; ++u) part[u] += load(rows[k] + i + u * L);
            for (int u = 0; u < U; ++u) acc[u] += part[u];
        }
        for (int u = 0; u < U; ++u) acc[u] /= t.divisor;
    } else if (t.kind == Kind::plain) {
        const A last = t.w[t.length - 1];
        for (int u = 0; u < U; ++u) acc[u] = load(rows[t.length - 1] + i + u * L) * last;
        for (int64_t k = 0; k + 1 < t.length; ++k) {
            const V w = splat(t.w[k]);
            for (int u = 0; u < U; ++u) acc[u] = multiply_add<A>(load(rows[k] + i + u * L), w, acc[u]);
        }
    } else {
        const A centre = t.w[half];
        for (int u = 0; u < U; ++u) acc[u] = load(rows[half] + i + u * L) * centre;
        for (int64_t k = 0; k < half; ++k) {
            const V w = splat(t.w[k]);
            const A *a = rows[k] + i, *b = rows[t.length - 1 - k] + i;
            if (t.kind == Kind::symmetric) {
                for (int u = 0; u < U; ++u) acc[u] = multiply_add<A>(load(a + u * L) + load(b + u * L), w, acc[u]);
            } else {
                for (int u = 0; u < U; ++u) acc[u] = multiply_add<A>(load(a + u * L) - load(b + u * L), w, acc[u]);
            }
        }
    }
    for (int u = 0; u < U; ++u) store(out + i + u * L, acc[u]);
}

// Elements [x0, x1) of the rows; x1 is the end of the rows or lies 4 vectors' multiples past x0.
template <class A>
void correlate_part(const A* const* rows, const Taps<A>& t, int64_t x0, int64_t x1, A* out, bool padded) {
    constexpr int L = simd<A>::lanes;
    int64_t i = x0;
    for (; i + 4 * L <= x1; i += 4 * L) correlate_block<A, 4>(rows, t, i, out);
    for (; i + L <= x1; i += L) correlate_block<A, 1>(rows, t, i, out);
    if (i == x1) return;
    if (padded) return correlate_block<A, 1>(rows, t, i, out);
    std::vector<A> rest((t.length + 1) * L);  // rows in the caller's own memory: do not read past their end
    std::vector<const A*> copies(t.length);
    for (int64_t k = 0; k < t.length; ++k) {
        std::copy(rows[k] + i, rows[k] + x1, rest.data() + k * L);
        copies[k] = rest.data() + k * L;
    }
    correlate_block<A, 1>(copies.data(), t, 0, rest.data() + t.length * L);
    std::copy_n(rest.data() + t.length * L, x1 - i, out + i);
}

template <class A> void correlate_row(const A* const* rows, const Taps<A>& t, int64_t n, A* out) {
    correlate_part(rows, t, 0, n, out, true);
}

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
void running_mean(const A* const* rows, int64_t length, int64_t n, const A* leaves, std::vector<A>& sum, A* out) {
    if (!leaves) std::fill(sum.begin(), sum.end(), A(0));
    for (int64_t k = leaves ? length - 1 : 0; k < length; ++k)
        for (int64_t i = 0; i < n; ++i) sum[i] += leaves ? rows[k][i] - leaves[i] : rows[k][i];
    for (int64_t i = 0; i < n; ++i) out[i] = sum[i] / A(length);
}

// --- along the last axis: one line with its borders -------------------------------------------------------------------
// The line's values stand at [before, before + n); fills what lies outside.
template <class A> void extend(A* line, int64_t n, const Pass& p) {
    auto outside = [&](int64_t i) {
        const int64_t k = border_index(i, n, p.mode);
        line[p.before + i] = k < 0 ? A(p.cval) : line[p.before + k];
    };
    for (int64_t i = -p.before; i < std::min<int64_t>(0, n + p.length - 1 - p.before); ++i) outside(i);
    for (int64_t i = std::max<int64_t>(n, -p.before); i < n + p.length - 1 - p.before; ++i) outside(i);
}

// --- a view as (batch..., z, y, x) ---------------------------------------------------------------------------------
struct Planes {
    View in, out;
    int64_t batch = 1, nz = 1, ny = 1, nx = 1;
    int64_t in_z = 0, in_y = 0, in_x = 0, out_z = 0, out_y = 0, out_x = 0;

    Planes(const View& input, const View& output) : in(input), out(output) {
        const int n = in.ndim;
        if (n > 0) nx = in.shape[n - 1], in_x = in.strides[n - 1], out_x = out.strides[n - 1];
        if (n > 1) ny = in.shape[n - 2], in_y = in.strides[n - 2], out_y = out.strides[n - 2];
        if (n > 2) nz = in.shape[n - 3], in_z = in.strides[n - 3], out_z = out.strides[n - 3];
        for (int d = 0; d < n - 3; ++d) batch *= in.shape[d];
    }
    // Byte offsets of batch element b.
    std::pair<int64_t, int64_t> offsets(int64_t b) const {
        int64_t i = 0, o = 0;
        for (int d = in.ndim - 4; d >= 0; --d) {
            i += (b % in.shape[d]) * in.strides[d];
            o += (b % in.shape[d]) * out.strides[d];
            b /= in.shape[d];
        }
        return {i, o};
    }
};

// Passes along z, y and x in any order in which x comes first or last. A block of planes is worked through along y,
// a few output rows at a time: the more taps, the more rows, because they share them.
template <class A> struct Fused {
    const Planes& p;
    const Pass *z = nullptr, *y = nullptr, *x = nullptr;  // null: no pass along that axis
    bool x_first = false, y_before_z = false;
    std::vector<Taps<A>> taps;
    Rows<A> from, to;
    int64_t block_z, block_y, lz, ly, lx, width, group;

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

    Fused(const Planes& planes, const Pass* first, size_t count, int threads)
        : p(planes), from(rows_of<A>(p.in.dtype)), to(rows_of<A>(p.out.dtype)) {
        for (size_t k = 0; k < count; ++k) {
            const Pass* pass = first + k;
            const int slot = pass->axis - (p.in.ndim - 3);
            (slot == 0 ? z : slot == 1 ? y : x) = pass;
            if (slot == 0 && y) y_before_z = true;
            if (slot == 2 && k == 0) x_first = count > 1;
        }
        static const Pass identity{0, 1, 0, Mode::nearest, 0.0, {1.0}};
        for (const Pass* pass : {z, y, x}) taps.emplace_back(pass ? *pass : identity);
        lz = taps[0].length, ly = taps[1].length, lx = taps[2].length;
        group = ly < 7 ? 1 : 8;
        width = spread<A>(p.nx + lx - 1 + 5 * PAD<A>);
        // Planes per block: more reuse of the loaded rows, but the rows at hand must stay in a 2 MB second level
        // cache; then enough blocks for the threads, each small enough to answer an interrupt in time.
        const int64_t plane = depth() * width * int64_t(sizeof(A));
        block_z = std::clamp<int64_t>((int64_t(1) << 20) / plane, 1, z ? 16 : 1);
        block_z = std::min(block_z, std::max<int64_t>(1, p.nz * p.batch / threads));
        block_y = std::max<int64_t>(16, (int64_t(1) << 25) / std::max<int64_t>(1, p.nx * block_z * (lz + ly + lx)));
        const int64_t units = p.batch * ((p.nz + block_z - 1) / block_z);
        if (units < threads) block_y = std::min(block_y, std::max<int64_t>(4 * ly, (p.ny * units + 2 * threads - 1) / (2 * threads)));
        block_y = std::max<int64_t>(1, std::min((block_y + group - 1) / group * group, p.ny));
    }

    struct Scratch {
        std::vector<A> rows, ring, middle, lines, ready, constant_z, constant_y;
        std::vector<const A*> in, list, done, window;
    };
    int64_t planes() const { return block_z + lz - 1; }
    int64_t depth() const { return ly - 1 + group; }
    int64_t margin() const { return x ? std::max<int64_t>(x->before, 0) : 0; }
    Scratch scratch() const {
        Scratch s;
        s.rows.resize(planes() * width);
        s.ring.resize((y_before_z ? planes() : block_z) * depth() * width);
        if (y_before_z) s.middle.resize(planes() * group * width);
        s.lines.resize(group * width);
        s.ready.resize(width);
        s.in.resize(planes());
        s.list.resize(depth());
        s.done.resize(planes());
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
            block(s, p.in.data + i, p.out.data + o, z0, std::min(block_z, p.nz - z0), y0, std::min(y0 + block_y, p.ny));
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
    A* line(Scratch& s, int64_t r) const { return s.lines.data() + r * width + margin(); }
    // Read several times, rows in memory collide: planes lie a multiple of 4 kB apart, in the same few cache sets.
    bool rows_are_the_callers() const { return from.direct && p.in_x == sizeof(A) && !x_first && lz < 12; }
    // Whether plane k of a block that begins at z0 stands for a plane of the input (not for the constant).
    bool inside(int64_t z0, int64_t k) const { return !z || border_index(z0 - z->before + k, p.nz, z->mode) >= 0; }

    // Row e of the block into the rings: of each plane after its pass along z, or of each input plane as it is.
    void arrive(Scratch& s, const char* in, int64_t z0, int64_t nz, int64_t y0, int64_t e) const {
        const int64_t at = y0 - (y ? y->before : 0) + e;
        const int64_t source = y ? border_index(at, p.ny, y->mode) : at;
        if (source >= 0) load_planes(s, in + source * p.in_y, z0, nz);
        if (source < 0 || y_before_z || !z) {
            for (int64_t k = 0; k < (y_before_z ? nz + lz - 1 : nz); ++k)
                std::copy_n(source < 0 ? s.constant_y.data() : s.in[k], p.nx, slot(s, k, e));
            return;
        }
        const int64_t part = part_width<A>(nz + lz - 1);
        for (int64_t x0 = 0; x0 < p.nx; x0 += part)
            for (int64_t b = 0; b < nz; ++b)
                correlate_part(s.in.data() + b, taps[0], x0, std::min(x0 + part, p.nx), slot(s, b, e), !rows_are_the_callers());
        if (to.round && (y || (x && !x_first)))
            for (int64_t b = 0; b < nz; ++b) to.round(slot(s, b, e), p.nx);
    }

    void load_planes(Scratch& s, const char* in, int64_t z0, int64_t nz) const {
        for (int64_t k = 0; k < nz + lz - 1; ++k) {
            const int64_t at = z0 - (z ? z->before : 0) + k;
            const int64_t source = z ? border_index(at, p.nz, z->mode) : at;
            A* row = s.rows.data() + k * width;
            if (source < 0) {
                s.in[k] = s.constant_z.data();
            } else if (rows_are_the_callers()) {
                s.in[k] = reinterpret_cast<const A*>(in + source * p.in_z);
            } else {
                from.load(in + source * p.in_z, p.in_x, p.nx, x_first ? line(s, 0) : row);
                if (x_first) pass_x(s, 0, row);
                if (x_first && to.round) to.round(row, p.nx);
                s.in[k] = row;
            }
        }
    }

    // `count` rows of one plane's ring after their pass along y, in order from row e; results in out(r).
    template <class Out> void pass_y(Scratch& s, int64_t plane, int64_t e, int64_t count, bool more, Out&& out) const {
        for (int64_t k = 0; k < count + ly - 1; ++k) s.list[k] = slot(s, plane, e + k);
        const int64_t part = part_width<A>(count + ly - 1);
        for (int64_t x0 = 0; x0 < p.nx; x0 += part)
            for (int64_t r = 0; r < count; ++r)
                correlate_part(s.list.data() + r, taps[1], x0, std::min(x0 + part, p.nx), out(r), true);
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
                correlate_row(s.window.data(), taps[0], p.nx, line(s, r));
                if (to.round && x && !x_first) to.round(line(s, r), p.nx);
            }
            finish(s, count, out + b * p.out_z);
        }
    }

    void pass_x(Scratch& s, int64_t r, A* to_row) const {  // of a line in s.lines
        A* begin = line(s, r) - margin();
        extend(begin, p.nx, *x);
        for (int64_t k = 0; k < lx; ++k) s.window[k] = begin + k;
        correlate_row(s.window.data(), taps[2], p.nx, to_row);
    }

    // The rows in s.lines along x, then out.
    void finish(Scratch& s, int64_t count, char* out) const {
        for (int64_t r = 0; r < count; ++r) {
            const A* row = line(s, r);
            if (x && !x_first) pass_x(s, r, s.ready.data()), row = s.ready.data();
            to.store(row, p.nx, out + r * p.out_y, p.out_x);
        }
    }
};

// --- one pass at a time: long lines, and outputs that are their own input -------------------------------------------
// Lines along the last axis, in pieces where input and output are apart.
template <class A> void lines(const Planes& p, const Pass& pass, int threads) {
    const auto from = rows_of<A>(p.in.dtype), to = rows_of<A>(p.out.dtype);
    const Taps<A> taps(pass);
    const bool whole = p.in.data == p.out.data || pass.running;
    const int64_t piece = whole ? p.nx : std::min<int64_t>(p.nx, 1 << 16);
    const int64_t rows = whole || p.nx > piece ? 1 : std::clamp<int64_t>((1 << 16) / p.nx, 1, p.ny);
    const int64_t pieces = (p.nx + piece - 1) / piece, groups = (p.ny + rows - 1) / rows;
    struct Scratch {
        std::vector<A> line, ready;
        std::vector<const A*> window;
    };
    auto make = [&] {
        return Scratch{std::vector<A>(piece + pass.length - 1 + 5 * PAD<A>), std::vector<A>(piece + 5 * PAD<A>),
                       std::vector<const A*>(pass.length)};
    };
    parallel_for(p.batch * p.nz * groups * pieces, threads, make, [&](Scratch& s, int64_t unit) {
        const int64_t x0 = unit % pieces * piece, x1 = std::min(x0 + piece, p.nx), y0 = unit / pieces % groups * rows;
        const int64_t z = unit / pieces / groups % p.nz;
        const auto [i, o] = p.offsets(unit / pieces / groups / p.nz);
        for (int64_t k = 0; k < pass.length; ++k) s.window[k] = s.line.data() + k;
        for (int64_t y = y0; y < std::min(y0 + rows, p.ny); ++y) {
            const char* in = p.in.data + i + z * p.in_z + y * p.in_y;
            load_extended(from, in, p.in_x, p.nx, pass, x0, x1 - x0, s.line.data());
            if (pass.running) running_mean(s.line.data(), pass.length, p.nx, s.ready.data());
            else correlate_row(s.window.data(), taps, x1 - x0, s.ready.data());
            to.store(s.ready.data(), x1 - x0, p.out.data + o + z * p.out_z + y * p.out_y + x0 * p.out_x, p.out_x);
        }
    });
}

// Columns along any axis but the last: a strip of columns is copied whole, so that the output may be the input.
template <class A> void columns(View in, View out, const Pass& pass, int threads) {
    const auto from = rows_of<A>(in.dtype), to = rows_of<A>(out.dtype);
    const Taps<A> taps(pass);
    const int64_t n = in.shape[pass.axis], in_step = in.strides[pass.axis], out_step = out.strides[pass.axis];
    const Planes p(in.at(pass.axis, 0), out.at(pass.axis, 0));
    const int64_t strip = std::min<int64_t>(p.nx, std::max<int64_t>(64, (1 << 18) / n)), width = strip + 5 * PAD<A>;
    const int64_t strips = (p.nx + strip - 1) / strip;
    struct Scratch {
        std::vector<A> rows, constant, ready, sum;
        std::vector<const A*> window;
    };
    auto make = [&] {
        return Scratch{std::vector<A>(n * width), std::vector<A>(width, A(pass.cval)), std::vector<A>(width),
                       std::vector<A>(width), std::vector<const A*>(pass.length)};
    };
    parallel_for(p.batch * p.nz * p.ny * strips, threads, make, [&](Scratch& s, int64_t unit) {
        const int64_t x0 = unit % strips * strip, count = std::min(strip, p.nx - x0), y = unit / strips % p.ny;
        const int64_t z = unit / strips / p.ny % p.nz;
        const auto [i, o] = p.offsets(unit / strips / p.ny / p.nz);
        const char* source = p.in.data + i + z * p.in_z + y * p.in_y + x0 * p.in_x;
        char* target = p.out.data + o + z * p.out_z + y * p.out_y + x0 * p.out_x;
        for (int64_t a = 0; a < n; ++a) from.load(source + a * in_step, p.in_x, count, s.rows.data() + a * width);
        const A* leaves = nullptr;
        for (int64_t a = 0; a < n; ++a) {
            for (int64_t k = 0; k < pass.length; ++k) {
                const int64_t row = border_index(a - pass.before + k, n, pass.mode);
                s.window[k] = row < 0 ? s.constant.data() : s.rows.data() + row * width;
            }
            if (pass.running) running_mean(s.window.data(), pass.length, count, leaves, s.sum, s.ready.data());
            else correlate_row(s.window.data(), taps, count, s.ready.data());
            leaves = s.window[0];
            to.store(s.ready.data(), count, target + a * out_step, p.out_x);
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

template <class A> void run(View in, View out, std::vector<Pass> passes, int threads) {
    collapse(in, out, passes);
    const int n = in.ndim;
    size_t done = 0;
    const bool running = std::any_of(passes.begin(), passes.end(), [](const Pass& p) { return p.running; });
    if (in.data != out.data && !running && (done = Fused<A>::reach(passes, n)) > 0) {
        const Planes p(in, out);
        if (done == 1 && passes[0].axis == n - 1) lines<A>(p, passes[0], threads);
        else Fused<A>(p, passes.data(), done, threads).run(threads);
    }
    for (; done < passes.size(); ++done) {
        const View& source = done == 0 ? in : out;
        if (passes[done].axis == n - 1) lines<A>(Planes(source, out), passes[done], threads);
        else columns<A>(source, out, passes[done], threads);
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
    if (single || small) run<float>(input, output, passes, threads);
    else run<double>(input, output, passes, threads);
}

}  // namespace fastmed
