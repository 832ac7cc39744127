// Mean over a box. No sum runs along a line (add what enters, subtract what leaves): it would carry one NaN or infinity
// to the line's end, and a float result would depend on where the line begins. Small boxes: all axes in one trip through
// memory, over rows and with sums shared in registers (5 = 4 + 1, 4 = 2 + 2: three additions). Large ones: one trip per
// axis, whose cost does not grow with the box, from blocks as long as it (van Herk 1992, Gil and Werman 1993): a window
// is the end of one block and the beginning of the next.
#include <algorithm>
#include <cmath>

#include "cast.hpp"
#include "kernels.hpp"
#include "parallel.hpp"
#include "rows.hpp"
#include "separable.hpp"
#include "wide.hpp"

namespace fastmed {
namespace {

constexpr int64_t SMALL = 9;  // the longest window that is summed in registers

// --- what becomes of a sum ----------------------------------------------------------------------------------------------
// Reals: sums are scaled by powers of two after each pass (no rounding, no overflow), and divided once, at the end.
// Integers are cut toward zero after each pass. Their mean is the sum times a number not below 1 / length: an exact
// quotient is then not missed, and the next one not reached, as long as the error stays below 1 / length.
template <class A> struct Finish {
    bool integers = false, divide = false;
    A factor = 1, divisor = 1;
    uint16_t multiplier = 0;
    int shift = 0;

    // Sums of up to `length` integers of magnitude up to `top`.
    static Finish cut(int64_t length, double top) {
        Finish f;
        f.integers = true;
        f.divisor = A(length);
        if constexpr (std::is_floating_point_v<A>) {
            f.factor = A(1) / A(length);
            if (std::fma(double(f.factor), double(length), -1.0) < 0) f.factor = std::nextafter(f.factor, A(2));
            // The two roundings, 1.5 units in the last place of the quotient, must come to less than 1 / length.
            f.divide = (top + 1) * double(length) * 1.5 * double(std::numeric_limits<A>::epsilon()) >= 1;
        } else {
            while ((int64_t(2) << f.shift) <= length) ++f.shift;
            if (length == int64_t(1) << f.shift) --f.shift;
            f.multiplier = uint16_t(((int64_t(1) << (16 + f.shift)) + length - 1) / length);
        }
        return f;
    }
    static Finish real(double factor, double divisor) {
        Finish f;
        f.factor = A(factor), f.divisor = A(divisor), f.divide = divisor != 1;
        return f;
    }
};

// Sixteen bits: length * 255 < 2^16, and the multiplier's excess times that stays below 2^(16 + shift).
bool fits_in_16_bits(int64_t length) {
    if (length > 129) return false;
    const auto f = Finish<uint16_t>::cut(length, 255);
    const int64_t excess = int64_t(f.multiplier) * length - (int64_t(1) << (16 + f.shift));
    return length == 1 || excess * 255 * length < int64_t(1) << (16 + f.shift);
}

template <class A> FASTMED_INLINE typename simd<A>::v quotient(typename simd<A>::v sum, const Finish<A>& f) { return sum / f.divisor; }
#if defined(__AVX512F__)
// A division takes ten cycles; a product whose error is computed and taken off gives the same bits in two (Markstein).
template <> FASTMED_INLINE simd<float>::v quotient<float>(simd<float>::v sum, const Finish<float>& f) {
    const simd<float>::v d = splat(f.divisor), r = splat(1 / f.divisor), q = sum * r;
    const __m512 error = _mm512_fnmadd_ps(q, d, sum);  // NaN for infinity: q stays
    return _mm512_mask3_fmadd_ps(error, r, q, _mm512_cmp_ps_mask(error, error, _CMP_ORD_Q));
}
#endif

template <class A> FASTMED_INLINE typename simd<A>::v truncated(typename simd<A>::v v) {
#if defined(__AVX512F__)
    if constexpr (std::is_same_v<A, float>) return _mm512_maskz_roundscale_ps(0xffff, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    if constexpr (std::is_same_v<A, double>) return _mm512_maskz_roundscale_pd(0xff, v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#elif defined(__SSE4_1__)
    if constexpr (std::is_same_v<A, float>) return FASTMED_MM(round_ps)(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    if constexpr (std::is_same_v<A, double>) return FASTMED_MM(round_pd)(v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
#endif
    A lanes[simd<A>::lanes];
    std::memcpy(lanes, &v, sizeof v);
    for (A& lane : lanes) lane = A(std::trunc(lane));
    std::memcpy(&v, lanes, sizeof v);
    return v;
}

template <class A> FASTMED_INLINE typename simd<A>::v finished(typename simd<A>::v sum, const Finish<A>& f) {
    if constexpr (std::is_same_v<A, uint16_t>) {
#if defined(__x86_64__) && defined(__GNUC__)  // the compiler makes 32-bit products of the loop below
        typedef long long Whole __attribute__((vector_size(VECTOR_BYTES)));
        const auto high = FASTMED_MM(mulhi_epu16)(Whole(sum), Whole(splat(f.multiplier)));
        return typename simd<A>::v(FASTMED_MM(srl_epi16)(high, _mm_cvtsi32_si128(f.shift)));
#endif
        uint16_t lanes[simd<A>::lanes];
        std::memcpy(lanes, &sum, sizeof sum);
        for (uint16_t& lane : lanes) lane = uint16_t((uint32_t(lane) * f.multiplier >> 16) >> f.shift);
        std::memcpy(&sum, lanes, sizeof sum);
        return sum;
    } else if (f.integers) {
        return truncated<A>(f.divide ? sum / f.divisor : sum * f.factor);
    } else {
        return f.divide ? quotient<A>(sum * f.factor, f) : sum * f.factor;
    }
}

// --- sums of neighbouring rows ------------------------------------------------------------------------------------------
// The sum of the LENGTH values that came last; values come one after the other, and sums of 2, 4 and 8 are kept.
template <class A, int LENGTH> struct Recent {
    using V = typename simd<A>::v;
    V ones[LENGTH + 1], twos[LENGTH + 1], fours[LENGTH + 1], eights[LENGTH + 1];

    FASTMED_INLINE V next(V value) {
        push(ones, value);
        if (LENGTH >= 2) push(twos, ones[1] + ones[0]);
        if (LENGTH >= 4) push(fours, twos[2] + twos[0]);
        if (LENGTH >= 8) push(eights, fours[4] + fours[0]);
        int back = 0;
        V sum;
        bool any = false;
        auto add = [&](const V* sums, int n) {
            if (!(LENGTH & n)) return;
            sum = any ? sums[back] + sum : sums[back];
            back += n, any = true;
        };
        add(ones, 1), add(twos, 2), add(fours, 4), add(eights, 8);
        return sum;
    }

private:
    static FASTMED_INLINE void push(V* kept, V value) {
        for (int k = LENGTH; k > 0; --k) kept[k] = kept[k - 1];
        kept[0] = value;
    }
};

// out[r] = finished sum of rows r ... r + LENGTH - 1, of `count` such. Rows are readable a vector past n, or n is a
// multiple of a vector. `ahead`: so many elements further stands what is wanted next: the processor foresees no more than
// 32 rows at a time by itself (a tenth of the time of a volume in memory).
template <class A, int LENGTH>
void sum_rows(const A* const* rows, int64_t count, int64_t n, const Finish<A>& f, A* const* out, int64_t ahead = 0) {
    constexpr int64_t L = simd<A>::lanes;
    for (int64_t i = 0; i < n; i += L) {
        if (ahead)
            for (int64_t r = 0; r < count + LENGTH - 1; ++r) prefetch(rows[r] + i + ahead);
        Recent<A, LENGTH> recent{};
        for (int k = 0; k < LENGTH - 1; ++k) recent.next(load(rows[k] + i));
        for (int64_t r = 0; r < count; ++r) store(out[r] + i, finished(recent.next(load(rows[r + LENGTH - 1] + i)), f));
    }
}
// The same along a row: out[i] = finished sum of line[i] ... line[i + LENGTH - 1].
template <class A, int LENGTH> void sum_line(const A* line, int64_t n, const Finish<A>& f, A* out) {
    constexpr int64_t L = simd<A>::lanes;
    for (int64_t i = 0; i < n; i += L) {
        typename simd<A>::v sum = load(line + i);
        for (int k = 1; k < LENGTH; ++k) sum += load(line + i + k);
        store(out + i, finished(sum, f));
    }
}
template <class F> void with_length(int64_t length, F&& f) {
    switch (length) {
        case 1: return f(std::integral_constant<int, 1>());
        case 2: return f(std::integral_constant<int, 2>());
        case 3: return f(std::integral_constant<int, 3>());
        case 4: return f(std::integral_constant<int, 4>());
        case 5: return f(std::integral_constant<int, 5>());
        case 6: return f(std::integral_constant<int, 6>());
        case 7: return f(std::integral_constant<int, 7>());
        case 8: return f(std::integral_constant<int, 8>());
        default: return f(std::integral_constant<int, 9>());
    }
}

template <class T, class A> void load_as(const char* from, int64_t stride, int64_t n, A* to) {
    if (stride == sizeof(T))
        for (int64_t i = 0; i < n; ++i) to[i] = A(reinterpret_cast<const T*>(from)[i]);
    else
        for (int64_t i = 0; i < n; ++i) to[i] = A(*reinterpret_cast<const T*>(from + i * stride));
}
template <class T, class A> void store_as(const A* from, int64_t n, char* to, int64_t stride) {
    if (stride == sizeof(T))
        for (int64_t i = 0; i < n; ++i) reinterpret_cast<T*>(to)[i] = T(from[i]);  // values of T's range
    else
        for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(to + i * stride) = T(from[i]);
}

// --- small boxes: all of the last three axes in one trip ------------------------------------------------------------------
// A block of planes is worked through along y. Each row of its input planes comes in once; the sums over z stand in
// rings of rows, `group` of those give as many output rows.
template <class A> class Box {
    struct Axis {
        int64_t length = 1, before = 0;
        Mode mode = Mode::nearest;
        A outside = 0;  // the constant; as the sums that it stands beside, still to be divided
    };
    const View in, out;
    Axis z, y, x;
    int64_t nz = 1, ny = 1, nx = 1, batch = 1, in_z = 0, in_y = 0, in_x = 0, out_z = 0, out_y = 0, out_x = 0;
    Finish<A> at_z, at_y, at_x;
    bool direct = false, out_direct = false;
    int64_t width, group, depth, block_z, block_y;
    void (*load_row)(const char*, int64_t, int64_t, A*) = nullptr;
    void (*store_row)(const A*, int64_t, char*, int64_t) = nullptr;

    struct Scratch {
        Buffer<A> ring, strip, lines, ready, constant_z, constant_y;
        std::vector<const A*> ring_rows, rows, at;
        std::vector<A*> to;
    };

public:
    static constexpr int64_t PADDED = 2 * simd<A>::lanes;

    Box(const View& input, const std::vector<Pass>& passes, bool integers, double top, const View& output)
        : in(input), out(output) {
        const int n = in.ndim;
        if (n > 0) nx = in.shape[n - 1], in_x = in.strides[n - 1], out_x = out.strides[n - 1];
        if (n > 1) ny = in.shape[n - 2], in_y = in.strides[n - 2], out_y = out.strides[n - 2];
        if (n > 2) nz = in.shape[n - 3], in_z = in.strides[n - 3], out_z = out.strides[n - 3];
        for (int d = 0; d < n - 3; ++d) batch *= in.shape[d];
        double divisor = 1;
        for (const Pass& p : passes) {
            Axis& a = p.axis == n - 1 ? x : p.axis == n - 2 ? y : z;
            a = {p.length, p.before, p.mode, p.mode == Mode::constant ? A(p.cval * divisor) : A(0)};
            Finish<A>& f = p.axis == n - 1 ? at_x : p.axis == n - 2 ? at_y : at_z;
            if (integers) {
                f = Finish<A>::cut(p.length, top);
            } else {
                const double scale = std::exp2(std::ceil(std::log2(double(p.length))));
                divisor *= double(p.length) / scale;
                // float64 is divided after each pass, as one axis alone is: SciPy's tests want the same bits of both.
                const bool now = &p == &passes.back() || std::is_same_v<A, double>;
                f = Finish<A>::real(1 / scale, now ? divisor : 1);
                if (now) divisor = 1;
            }
        }
        dispatch(in.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            load_row = load_as<T, A>;
            direct = std::is_same_v<T, A> && in_x == sizeof(T);
        });
        dispatch(out.dtype, [&](auto tag) {
            using T = typename decltype(tag)::t;
            store_row = store_as<T, A>;
            out_direct = std::is_same_v<T, A> && out_x == sizeof(T);
        });
        group = y.length == 1 ? 1 : 8;
        depth = y.length - 1 + group;
        width = spread<A>(nx + x.length - 1 + PADDED);
    }

    void run(int threads) {
        const int64_t plane = depth * width * int64_t(sizeof(A));
        block_z = z.length == 1 ? 1 : std::clamp<int64_t>((int64_t(3) << 18) / plane, 1, 16);
        block_z = std::min(block_z, std::max<int64_t>(1, (nz * batch + threads - 1) / threads));
        const int64_t planes = batch * ((nz + block_z - 1) / block_z);
        block_y = std::max<int64_t>(16, (int64_t(1) << 24) / std::max<int64_t>(1, nx * block_z));
        if (planes < 4 * threads) block_y = std::min(block_y, std::max<int64_t>(8 * y.length, ny * planes / (4 * threads)));
        block_y = std::max<int64_t>(1, std::min((block_y + group - 1) / group * group, ny));
        const int64_t bz = (nz + block_z - 1) / block_z, by = (ny + block_y - 1) / block_y;
        parallel_for(batch * bz * by, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            const int64_t z0 = unit / by % bz * block_z, y0 = unit % by * block_y;
            int64_t i = 0, o = 0, b = unit / by / bz;
            for (int d = in.ndim - 4; d >= 0; --d) {
                i += b % in.shape[d] * in.strides[d];
                o += b % in.shape[d] * out.strides[d];
                b /= in.shape[d];
            }
            block(s, in.data + i, out.data + o, z0, std::min(block_z, nz - z0), y0, std::min(y0 + block_y, ny));
        });
    }

private:
    int64_t planes() const { return block_z + z.length - 1; }
    int64_t strip() const {  // so many elements of all planes' rows stay in a first level cache
        return std::max<int64_t>(PADDED, (int64_t(1) << 15) / (planes() * int64_t(sizeof(A))) / simd<A>::lanes * simd<A>::lanes);
    }
    Scratch scratch() const {
        Scratch s;
        s.ring.resize(block_z * depth * width);
        s.strip.resize(planes() * (strip() + simd<A>::lanes));
        s.lines.resize(group * width);
        s.ready.resize(width);
        s.constant_z.assign(width, z.outside);
        s.constant_y.assign(width, y.outside);
        s.ring_rows.resize(block_z * depth);
        s.rows.resize(std::max(planes(), depth));
        s.at.resize(planes());
        s.to.resize(std::max(block_z, group));
        return s;
    }
    A* ring(Scratch& s, int64_t plane, int64_t e) const { return s.ring.data() + (plane * depth + e % depth) * width; }
    A* line(Scratch& s, int64_t r) const { return s.lines.data() + r * width; }

    void block(Scratch& s, const char* from, char* to, int64_t z0, int64_t count_z, int64_t y0, int64_t y1) const {
        int64_t e = 0;  // rows that have come in, from y0 - before on
        for (int64_t row = y0; row < y1; row += group) {
            const int64_t count = std::min(group, y1 - row);
            for (; e < row - y0 + count + y.length - 1; ++e) arrive(s, from, z0, count_z, y0 - y.before + e, e);
            for (int64_t b = 0; b < count_z; ++b) leave(s, b, row - y0, count, to + (z0 + b) * out_z + row * out_y);
        }
    }

    // Row `at_y` of all planes (the constant, where that is outside) into place e of the rings, summed along z.
    void arrive(Scratch& s, const char* from, int64_t z0, int64_t count, int64_t row, int64_t e) const {
        const int64_t source = y.length > 1 ? border_index(row, ny, y.mode) : row;
        for (int64_t b = 0; b < count; ++b) s.ring_rows[b * depth + e % depth] = source < 0 ? s.constant_y.data() : ring(s, b, e);
        if (source < 0) return;
        from += source * in_y;
        if (z.length == 1) {
            for (int64_t b = 0; b < count; ++b) {
                const char* p = from + (z0 + b) * in_z;
                if (direct && nx % simd<A>::lanes == 0) s.ring_rows[b * depth + e % depth] = reinterpret_cast<const A*>(p);
                else load_row(p, in_x, nx, ring(s, b, e));
            }
            return;
        }
        const bool in_memory = direct && nx % simd<A>::lanes == 0;
        const int64_t all = count + z.length - 1, part = in_memory ? nx : strip(), pitch = part + simd<A>::lanes;
        for (int64_t x0 = 0; x0 < nx; x0 += part) {
            const int64_t n = std::min(part, nx - x0);
            for (int64_t k = 0; k < all; ++k) {
                const int64_t i = border_index(z0 - z.before + k, nz, z.mode);
                const char* p = from + i * in_z + x0 * in_x;
                if (i < 0) s.rows[k] = s.constant_z.data();
                else if (in_memory) s.rows[k] = reinterpret_cast<const A*>(p);
                else load_row(p, in_x, n, s.strip.data() + k * pitch), s.rows[k] = s.strip.data() + k * pitch;
                if (!in_memory && i >= 0)
                    for (int64_t at = 0; at < n * in_x; at += 64) prefetch(p + in_y + at);
            }
            for (int64_t b = 0; b < count; ++b) s.to[b] = ring(s, b, e) + x0;
            with_length(z.length, [&](auto l) { sum_rows<A, l>(s.rows.data(), count, n, at_z, s.to.data(), in_memory ? in_y / int64_t(sizeof(A)) : 0); });
        }
    }

    // `count` rows of a plane along y and x, from place e of its ring, into memory.
    void leave(Scratch& s, int64_t b, int64_t e, int64_t count, char* to) const {
        for (int64_t k = 0; k < count + y.length - 1; ++k) s.rows[k] = s.ring_rows[b * depth + (e + k) % depth];
        for (int64_t r = 0; r < count; ++r) s.to[r] = line(s, r) + x.before;
        if (y.length > 1) with_length(y.length, [&](auto l) { sum_rows<A, l>(s.rows.data(), count, nx, at_y, s.to.data()); });
        for (int64_t r = 0; r < count; ++r) {
            const A* row = y.length > 1 ? line(s, r) : s.rows[r];
            char* target = to + r * out_y;
            if (x.length == 1) {
                store_row(row + (y.length > 1 ? x.before : 0), nx, target, out_x);
                continue;
            }
            if (y.length == 1) std::copy_n(row, nx, line(s, r) + x.before);
            extend(line(s, r));
            const int64_t n = out_direct ? nx / simd<A>::lanes * simd<A>::lanes : 0;
            with_length(x.length, [&](auto l) {
                if (n > 0) sum_line<A, l>(line(s, r), n, at_x, reinterpret_cast<A*>(target));
                if (n < nx) sum_line<A, l>(line(s, r) + n, nx - n, at_x, s.ready.data());
            });
            if (n < nx) store_row(s.ready.data(), nx - n, target + n * out_x, out_x);
        }
    }
    void extend(A* row) const {  // what lies outside; the row itself stands from `before` on
        auto outside = [&](int64_t i) {
            const int64_t k = border_index(i, nx, x.mode);
            row[x.before + i] = k < 0 ? x.outside : row[x.before + k];
        };
        for (int64_t i = -x.before; i < 0; ++i) outside(i);
        for (int64_t i = nx; i < nx + x.length - 1 - x.before; ++i) outside(i);
    }
};

// --- large boxes: one trip per axis ---------------------------------------------------------------------------------------
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

// --- which way ------------------------------------------------------------------------------------------------------------
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
        if (integers ? p.length * (top + 1) < (1 << 24) : reals) Lines<float>(in, p, integers, top, out).run(threads);
        else Lines<double>(in, p, integers, top, out).run(threads);
        return;
    }
    dispatch(in.dtype, [&](auto from) {
        using T = typename decltype(from)::t;
        if constexpr (std::is_same_v<T, uint8_t>)
            if (integers && fits_in_16_bits(p.length)) return Columns<T, T, uint16_t>(in, p, true, top, out).run(threads);
        if constexpr (std::is_integral_v<T> && sizeof(T) <= 2)
            if (integers && double(p.length) * (top + 1) < (1 << 24)) return Columns<T, T, float>(in, p, true, top, out).run(threads);
        if (in.dtype == out.dtype) return Columns<T, T, double>(in, p, integers, top, out).run(threads);
        if (out.dtype == DType::f32) Columns<T, float, double>(in, p, false, top, out).run(threads);
        else Columns<T, double, double>(in, p, false, top, out).run(threads);
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
