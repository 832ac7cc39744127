// Connected components, numbered in the order in which a raster scan meets them.
//
// Lines along the last axis become bits, bits become runs; runs of neighbouring lines that touch are joined in a
// union-find whose links go to earlier runs (Rem's algorithm, in Patwary, Blair and Manne 2010), so that the root of a
// component is its first run. Slabs along the first axis side by side, then the seams between them one after the other.
//
// The links stand in the output itself: a slab has no more runs than elements, and when labels are written from the
// last line to the first, the links of the lines before are still there. Beside it 1.5 bits per element are kept.
#include <memory>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../kernels.hpp"
#include "../parallel.hpp"
#include "lines.hpp"
#include "spread.hpp"

namespace fastmed {
namespace {

constexpr int64_t SLAB = int64_t(1) << 21;  // elements: a few ms, so that Ctrl-C is answered

inline uint64_t up_to(int i) { return (uint64_t(2) << i) - 1; }  // bits 0 to i

// Labels of the type `Label`, written to `out`, which first holds the links of the runs: run `i` of a slab at the
// slab's element `i`. A link goes to an earlier run of the slab or to the run itself; ~j stands for `far_[j]`, a run of
// an earlier slab.
template <class Label> class Labeller {
  public:
    Labeller(const View& input, const View& structure, const View& background, bool equal, Label* out)
        : input_(input), background_(background), grid_(input, structure), equal_(equal), out_(out), each_(grid_.words + 1),
          bits_(new uint64_t[grid_.count * each_ + 1]), starts_(equal ? new uint64_t[grid_.count * each_ + 1] : nullptr),
          before_(new uint32_t[grid_.count * grid_.words]), first_(new Label[grid_.count]) {
        bits_[0] = 0;
    }

    int64_t run(int threads) {
        const int64_t plane = grid_.plane * grid_.length;
        thick_ = std::max<int64_t>(1, SLAB / std::max<int64_t>(plane, 1)) * grid_.plane;
        const int64_t slabs = (grid_.count + thick_ - 1) / thick_;
        runs_.assign(slabs, 0), roots_.assign(slabs, 0);
        auto line = [&] { return Line(grid_.words); };
        parallel_for(slabs, threads, line, [&](Line& l, int64_t i) {
            dispatch(input_.dtype, [&](auto t) { scan<typename decltype(t)::t>(i, l); });
        });
        parallel_for(slabs - 1, 1, line, [&](Line& l, int64_t i) {
            dispatch(input_.dtype, [&](auto t) { seam<typename decltype(t)::t>(i + 1, l); });
        });
        for (Label& far : far_) far = root(far);
        std::vector<int64_t> before(slabs + 1, 0);
        for (int64_t i = 0; i < slabs; ++i) before[i + 1] = before[i] + roots_[i];
        parallel_for(slabs, threads, [&](int64_t i) { number(i, static_cast<Label>(before[i])); });
        for (Label& far : far_) far = out_[far];
        if (far_.empty()) far_.push_back(0);  // is read where it is not used
        auto row = [&] { return Row(grid_.words); };
        parallel_for(slabs, threads, row, [&](Row& r, int64_t i) { write(i, r); });
        return before[slabs];
    }

  private:
    // What a thread needs while it joins: a byte an element, and bits.
    struct Line {
        explicit Line(int64_t words) : flags(words * 64 + 64), covered(words), meets(words) {}
        std::vector<uint8_t> flags;
        std::vector<uint64_t> covered, meets;
    };
    // And while it writes labels.
    static constexpr int64_t PIECE = 64;  // words
    struct Row {
        explicit Row(int64_t words) : labels(words * 64 + 1 + SPREAD_PAD), elements(std::min(words, PIECE) * 64), starts(words) {}
        std::vector<Label> labels, elements;
        std::vector<uint64_t> starts;
    };
    using Place = LineGrid::Place;

    const View input_, background_;
    const LineGrid grid_;
    const bool equal_;
    Label* const out_;
    const int64_t each_;                          // words from line to line: between them, and first of all, stands a 0
    std::unique_ptr<uint64_t[]> bits_, starts_;
    std::unique_ptr<uint32_t[]> before_;          // runs of a line before each word
    std::unique_ptr<Label[]> first_;              // run of each line
    int64_t thick_ = 0;                           // lines of a slab
    std::vector<int64_t> runs_, roots_;
    std::vector<Label> far_;

    int64_t begin(int64_t slab) const { return std::min(slab * thick_, grid_.count); }
    uint64_t* bits(int64_t line) const { return bits_.get() + line * each_ + 1; }
    uint64_t start(int64_t line, int64_t k) const {
        if (equal_) return starts_[line * each_ + 1 + k];
        const uint64_t* f = bits(line);
        return grid_.joined ? f[k] & ~(f[k] << 1 | f[k - 1] >> 63) : f[k];
    }
    template <class T> const T* values(int64_t line) const {  // where values are compared, lines are contiguous
        return reinterpret_cast<const T*>(input_.data + grid_.offset(grid_.place(line)));
    }

    // --- bits and runs ---

    template <class T> void read(int64_t line, const char* from, uint8_t* flag) {
        const int64_t n = grid_.length, words = grid_.words;
        uint64_t* to = bits(line);
        to[words] = 0;
        std::memset(flag + (words - 1) * 64, 0, 64);
        if (equal_) return read_values(line, reinterpret_cast<const T*>(from), flag);
        if (sizeof(T) == 1 && grid_.stride == 1) {
            const auto* p = reinterpret_cast<const uint8_t*>(from);
            for (int64_t k = 0; k < n / 64; ++k) to[k] = nonzero_bits(p + 64 * k);
            if (n % 64) {
                std::memcpy(flag, p + n / 64 * 64, n % 64);
                std::memset(flag + n % 64, 0, 64 - n % 64);
                to[words - 1] = nonzero_bits(flag);
            }
            return;
        }
        if (grid_.stride == sizeof(T)) {
            const T* __restrict p = reinterpret_cast<const T*>(from);
            for (int64_t x = 0; x < n; ++x) flag[x] = p[x] != 0;
        } else {
            for (int64_t x = 0; x < n; ++x) flag[x] = *reinterpret_cast<const T*>(from + x * grid_.stride) != 0;
        }
        for (int64_t k = 0; k < words; ++k) to[k] = nonzero_bits(flag + 64 * k);
    }
    template <class T> void read_values(int64_t line, const T* __restrict p, uint8_t* __restrict flag) {
        const int64_t n = grid_.length, words = grid_.words;
        uint64_t *to = bits(line), *starts = starts_.get() + line * each_ + 1;
        if (background_.size()) {
            const T background = *reinterpret_cast<const T*>(background_.data);
            for (int64_t x = 0; x < n; ++x) flag[x] = p[x] != background;
        } else {
            std::memset(flag, 1, n);
        }
        for (int64_t k = 0; k < words; ++k) to[k] = nonzero_bits(flag + 64 * k);
        flag[0] = 1;
        for (int64_t x = 1; x < n; ++x) flag[x] = p[x] != p[x - 1];
        for (int64_t k = 0; k < words; ++k) starts[k] = grid_.joined ? to[k] & nonzero_bits(flag + 64 * k) : to[k];
        starts[words] = 0;
    }
    template <class T> void scan(int64_t slab, Line& l) {
        const int64_t end = begin(slab + 1), base = begin(slab) * grid_.length;
        Label next = static_cast<Label>(base);
        int64_t joins = 0;
        Place at = grid_.place(begin(slab));
        for (int64_t line = begin(slab); line < end; ++line, grid_.advance(at)) {
            read<T>(line, input_.data + grid_.offset(at), l.flags.data());
            first_[line] = next;
            uint32_t n = 0, *before = before_.get() + line * grid_.words;
            for (int64_t k = 0; k < grid_.words; ++k) before[k] = n, n += static_cast<uint32_t>(count_bits(start(line, k)));
            for (const Label stop = next + static_cast<Label>(n); next < stop; ++next) out_[next] = next;
            if (!n) continue;
            for (const Neighbour& other : grid_.neighbours)
                if (line - other.lines >= begin(slab) && !(at.edges & other.edges))
                    touching<T>(line, at.edges, other, begin(slab), l, [&](Label a, Label b) { joins += join(a, b); });
        }
        runs_[slab] = next - base;
        roots_[slab] = runs_[slab] - joins;
    }

    // --- which runs of two lines touch: once each, or nearly so ---

    template <class T, class Join>
    void touching(int64_t line, uint64_t edges, const Neighbour& n, int64_t first, Line& l, Join&& join) {
        const int64_t other = line - n.lines;
        const uint64_t *a = bits(line), *b = bits(other);
        if (grid_.joined && !equal_ && n.offsets & SAME) {
            find_covered(line, edges, n, first, l.covered.data());
            stretches(a, b, l.covered.data(), l.meets.data());
            meet<0>(line, other, l.meets.data(), join);
            if (n.offsets & BEFORE) corners<-1>(a, b, l), meet<-1>(line, other, l.meets.data(), join);
            if (n.offsets & AFTER) corners<1>(a, b, l), meet<1>(line, other, l.meets.data(), join);
            return;
        }
        if (n.offsets & SAME) each_pair<T, 0>(line, other, l, join);
        if (n.offsets & BEFORE) each_pair<T, -1>(line, other, l, join);
        if (n.offsets & AFTER) each_pair<T, 1>(line, other, l, join);
    }
    // Where the lines from `first` on have joined a line and its neighbour. Of all neighbours an element touches 3 in a
    // line, which count where they are.
    void find_covered(int64_t line, uint64_t edges, const Neighbour& n, int64_t first, uint64_t* __restrict covered) const {
        std::fill_n(covered, grid_.words, uint64_t(0));
        for (const Cover& cover : n.covers) {
            const int64_t other = line - cover.lines, corner = line - cover.corner;
            if (std::min(other, corner) < first || edges & cover.edges) continue;
            const uint64_t *f = bits(other), *g = bits(corner);
            if (cover.corner)
                for (int64_t k = 0; k < grid_.words; ++k) covered[k] |= f[k] & g[k];
            else
                for (int64_t k = 0; k < grid_.words; ++k) covered[k] |= f[k];
        }
    }
    // An element of each stretch in which both are set and none is covered. Adding its first bit to a stretch clears the
    // bits up to the first that is covered.
    void stretches(const uint64_t* a, const uint64_t* b, uint64_t* __restrict covered, uint64_t* __restrict meets) const {
        for (int64_t k = 0; k < grid_.words; ++k) {
            const uint64_t m = a[k] & b[k];
            const uint64_t c = m & (grid_.full ? covered[k] | covered[k] << 1 | covered[k] >> 1 : covered[k]);
            const uint64_t open = m & ~c;
            const uint64_t begins = open & ~(m << 1 | (a[k - 1] & b[k - 1]) >> 63);
            const uint64_t clear = open & ~(open + begins);
            meets[k] = clear & ~(clear >> 1) & ~(c >> 1);
        }
    }
    // Elements that touch one beside the straight neighbour, where that does not join them.
    template <int s> void corners(const uint64_t* a, const uint64_t* b, Line& l) const {
        const uint64_t* __restrict covered = l.covered.data();
        uint64_t* __restrict meets = l.meets.data();
        for (int64_t k = 0; k < grid_.words; ++k) {
            const uint64_t m = a[k] & ~b[k] & shifted<s>(b, k) & ~shifted<s>(a, k);
            const uint64_t c = s < 0 ? covered[k] << 1 : covered[k] >> 1;
            meets[k] = grid_.full ? m & ~(covered[k] | c) : m;
        }
    }
    template <class T, int s, class Join> void each_pair(int64_t line, int64_t other, Line& l, Join&& join) {
        const uint64_t *a = bits(line), *b = bits(other);
        if (equal_) compare<T, s>(values<T>(line), values<T>(other), l.flags.data());
        uint64_t carry = 0;
        for (int64_t k = 0; k < grid_.words; ++k) {
            uint64_t m = a[k] & shifted<s>(b, k);
            if (m && equal_) m &= nonzero_bits(l.flags.data() + 64 * k);
            l.meets[k] = m & (~(m << 1 | carry) | start(line, k) | starts_beside<s>(other, k));
            carry = m >> 63;
        }
        meet<s>(line, other, l.meets.data(), join);
    }
    // Runs that touch with element x here and x + s there, for the elements `meets`.
    template <int s, class Join> void meet(int64_t line, int64_t other, const uint64_t* meets, Join&& join) const {
        const uint32_t *here = before_.get() + line * grid_.words, *there = before_.get() + other * grid_.words;
        for (int64_t k = 0; k < grid_.words; ++k) {
            if (!meets[k]) continue;
            const uint64_t from = start(line, k), to = start(other, k), beside = starts_beside<s>(other, k);
            const Label mine = first_[line] + static_cast<Label>(here[k]) - 1;  // the last run before the word
            const Label theirs = first_[other] + static_cast<Label>(there[k]) - 1 + static_cast<Label>(s > 0 ? to & 1 : 0);
            for (uint64_t rest = meets[k]; rest; rest &= rest - 1) {
                const uint64_t mask = up_to(lowest_bit(rest));
                join(mine + static_cast<Label>(count_bits(from & mask)),
                     theirs + static_cast<Label>(count_bits(s < 0 ? to & mask >> 1 : beside & mask)));
            }
        }
    }
    template <int s> static uint64_t shifted(const uint64_t* b, int64_t k) {  // bit i: that of element i + s
        if (s < 0) return b[k] << 1 | b[k - 1] >> 63;
        if (s > 0) return b[k] >> 1 | b[k + 1] << 63;
        return b[k];
    }
    template <int s> uint64_t starts_beside(int64_t line, int64_t k) const {
        if (s < 0) return start(line, k) << 1 | (k ? start(line, k - 1) >> 63 : 0);
        if (s > 0) return start(line, k) >> 1 | (k + 1 < grid_.words ? start(line, k + 1) << 63 : 0);
        return start(line, k);
    }
    template <class T, int s> void compare(const T* __restrict a, const T* __restrict b, uint8_t* __restrict flag) const {
        flag[0] = flag[grid_.length - 1] = 0;
        for (int64_t x = s < 0; x < grid_.length - (s > 0); ++x) flag[x] = a[x] == b[x + s];
    }

    // --- union-find ---

    bool join(Label a, Label b) {
        while (out_[a] != out_[b]) {
            if (out_[a] < out_[b]) std::swap(a, b);
            const Label up = out_[a];
            out_[a] = out_[b];
            if (up == a) return true;
            a = up;
        }
        return false;
    }
    Label root(Label run) {
        Label at = run;
        while (out_[at] != at) at = out_[at] < 0 ? far_[~out_[at]] : out_[at];
        while (out_[run] != run) {  // links over seams are shortened: there can be as many as slabs
            const Label up = out_[run];
            run = up < 0 ? std::exchange(far_[~up], at) : up;
        }
        return at;
    }
    template <class T> void seam(int64_t slab, Line& l) {
        Place at = grid_.place(begin(slab));
        for (int64_t line = begin(slab); line < begin(slab) + grid_.plane; ++line, grid_.advance(at))
            for (const Neighbour& other : grid_.neighbours)
                if (line - other.lines < begin(slab) && !(at.edges & other.edges))
                    touching<T>(line, at.edges, other, 0, l, [&](Label a, Label b) { join_slabs(a, b); });
    }
    void join_slabs(Label a, Label b) {
        a = root(a), b = root(b);
        if (a == b) return;
        if (a < b) std::swap(a, b);
        out_[a] = ~static_cast<Label>(far_.size());
        far_.push_back(b);
        --roots_[a / (thick_ * grid_.length)];
    }

    // --- labels ---

    // Links become labels; those that lead to another slab stay.
    void number(int64_t slab, Label last) const {
        const Label base = static_cast<Label>(begin(slab) * grid_.length);
        for (Label i = base, end = base + static_cast<Label>(runs_[slab]); i < end; ++i) {
            const Label up = out_[i], number = out_[up < 0 ? i : up];  // without branches: noise foretells nothing
            last += up == i;
            out_[i] = up == i ? last : up < 0 ? up : number;
        }
    }
    void write(int64_t slab, Row& row) const {
        for (int64_t line = begin(slab + 1), end = static_cast<int64_t>(begin(slab) * grid_.length + runs_[slab]); line-- > begin(slab);) {
            const Label* __restrict from = out_ + first_[line];
            Label* __restrict labels = row.labels.data();
            const int64_t n = end - first_[line];
            labels[0] = 0;
            for (int64_t i = 0; i < n; ++i) {
                const Label v = from[i], far = far_[v < 0 ? ~v : 0];
                labels[i + 1] = v < 0 ? far : v;
            }
            end = first_[line];
            for (int64_t k = 0; k < grid_.words; ++k) row.starts[k] = start(line, k);
            for (int64_t k = 0; k < grid_.words; k += PIECE) {
                const Label* const now = spread(bits(line) + k, row.starts.data() + k, std::min(PIECE, grid_.words - k), static_cast<const Label*>(labels), row.elements.data());
                labels = const_cast<Label*>(now);
                to_memory(reinterpret_cast<char*>(out_ + line * grid_.length + k * 64), reinterpret_cast<const char*>(row.elements.data()),
                          std::min(PIECE * 64, grid_.length - k * 64) * static_cast<int64_t>(sizeof(Label)));
            }
        }
        to_memory_done();
    }
};

}  // namespace

int64_t label(View input, View structure, View background, bool equal, View output, int threads) {
    if (output.dtype == DType::i32)
        return Labeller<int32_t>(input, structure, background, equal, reinterpret_cast<int32_t*>(output.data)).run(threads);
    return Labeller<int64_t>(input, structure, background, equal, reinterpret_cast<int64_t*>(output.data)).run(threads);
}

}  // namespace fastmed
