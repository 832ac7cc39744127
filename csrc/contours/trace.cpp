// Border following (Suzuki & Abe 1985, CVGIP 30: 32-46) on a mask packed to one bit per pixel.
//
// Where the paper writes border numbers into the image, this writes them beside it, one for each *transition*: a place
// in a row where background meets foreground. Transitions alternate: 0, 2, 4... of a row are left ends of runs, 1, 3,
// 5... right ends. Each lies on exactly one border, and a border's first transition in raster order is where the paper
// starts it. So the raster scan is a search for transitions without a number, the pixels need no marks, and beside
// the packed mask there are 4 bytes per transition instead of 4 per pixel.
//
// Of a stack of masks every one is traced on its own, side by side.
#include "bits.hpp"
#include "follow.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace fastmed {
namespace {

// The mask as bits, framed by background, and its transitions numbered in raster order.
class PackedMask {
  public:
    const int64_t rows, columns;
    const int64_t words;  // of a row; bit x + 1 of a row is pixel x, the bits around are 0

    PackedMask(const View& mask, int threads)
        : rows(mask.shape[0]), columns(mask.shape[1]), words((columns + 2 + 63) / 64),
          bits_((rows + 2) * words + 1), changes_(rows * words), before_(rows * words), first_(rows + 1) {
        const bool bytes = (mask.dtype <= DType::i8) && mask.strides[1] == 1;
        auto buffer = [&] { return std::vector<uint8_t>(bytes ? 0 : BAND * pitch()); };
        parallel_for((rows + BAND - 1) / BAND, threads, buffer, [&](std::vector<uint8_t>& band, int64_t i) {
            const int64_t y = i * BAND, n = std::min(rows - y, BAND);
            if (!bytes) dispatch(mask.dtype, [&](auto t) { gather<typename decltype(t)::t>(mask, y, n, band.data()); });
            for (int64_t j = 0; j < n; ++j) {
                pack(y + j, bytes ? reinterpret_cast<const uint8_t*>(mask.data + (y + j) * mask.strides[0])
                                  : band.data() + j * pitch());
                first_[y + j + 1] = count(y + j);
            }
        });
        for (int64_t y = 0; y < rows; ++y) {
            for (int64_t w = y * words; w < (y + 1) * words; ++w) before_[w] += first_[y];
            first_[y + 1] += first_[y];
        }
    }

    // Transitions of row y: first(y) ... first(y + 1) - 1.
    uint32_t first(int64_t y) const { return first_[y]; }

    // Column at which transition k of row y lies: the first pixel behind it.
    int64_t column(int64_t y, uint32_t k) const {
        const auto from = before_.begin() + y * words;
        const int64_t w = std::upper_bound(from, from + words, k) - from - 1;
        uint64_t word = changes_[y * words + w];
        for (uint32_t i = before_[y * words + w]; i < k; ++i) word &= word - 1;
        int bit = 0;
        while (!(word >> bit & 1)) ++bit;
        return 64 * w + bit - 1;
    }

    // A pixel's place: the bit of its left neighbour, counted through all rows from the frame's on.
    int64_t place(int64_t x, int64_t y) const { return (y + 1) * 64 * words + x; }

    uint32_t around(int64_t place) const {
        const auto* p = reinterpret_cast<const uint8_t*>(bits_.data()) + (place >> 3);
        const int64_t row = 8 * words;
        const int shift = place & 7;
        return (three(p - row) >> shift & 7) | (three(p) >> shift & 7) << 3 | (three(p + row) >> shift & 7) << 6;
    }

    // The transition behind a pixel's run: if the pixel is the right end of its run, the one on its right side. The
    // one before it in number is then the run's left end.
    uint32_t right_end(int64_t place) const {
        const int64_t bit = place + 1 - 64 * words;
        return before_[bit >> 6] + count_bits(changes_[bit >> 6] << (63 - (bit & 63)));
    }

  private:
    static constexpr int64_t BAND = 64;  // rows that a thread packs at a time

    std::vector<uint64_t> bits_;     // pixels; one word more than rows, because `three` reads past its bits
    std::vector<uint64_t> changes_;  // bit i: bit i of the row differs from bit i - 1
    std::vector<uint32_t> before_;   // transitions before each word
    std::vector<uint32_t> first_;    // transitions before each row

    // Between rows of a band: an odd number of cache lines, so that a column of them does not fall on the same few.
    int64_t pitch() const { return 64 * ((columns + 63) / 64 | 1); }

    static uint32_t three(const uint8_t* p) {  // 16 bits, of which three are wanted
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "the packed mask is read by bytes, lowest first"
#endif
        uint16_t v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }

    // n rows from y on, a byte per pixel, whatever the dtype and layout. By tiles where rows are not contiguous: a walk
    // along the rows makes 2048 x 2048 bytes in Fortran order take 54 ms (tracing a thousand borders included), tiles
    // 4 to 8 ms.
    template <class T> void gather(const View& mask, int64_t y, int64_t n, uint8_t* __restrict band) const {
        const int64_t down = mask.strides[0], right = mask.strides[1];
        const char* from = mask.data + y * down;
        if (right == sizeof(T)) {
            for (int64_t j = 0; j < n; ++j) {
                const T* p = reinterpret_cast<const T*>(from + j * down);
                for (int64_t x = 0; x < columns; ++x) band[j * pitch() + x] = p[x] != T(0);
            }
            return;
        }
        constexpr int64_t TILE = 64;
        uint8_t tile[TILE][BAND];
        for (int64_t x0 = 0; x0 < columns; x0 += TILE) {
            const int64_t m = std::min(columns - x0, TILE);
            for (int64_t x = 0; x < m; ++x) {
                const char* p = from + (x0 + x) * right;
                for (int64_t j = 0; j < n; ++j) tile[x][j] = *reinterpret_cast<const T*>(p + j * down) != T(0);
            }
            for (int64_t j = 0; j < n; ++j)
                for (int64_t x = 0; x < m; ++x) band[j * pitch() + x0 + x] = tile[x][j];
        }
    }

    void pack(int64_t y, const uint8_t* bytes) {
        uint64_t* row = bits_.data() + (y + 1) * words;
        int64_t x = 0;
        uint64_t carry = 0;  // pixel x sits at bit x + 1: each word's last pixel goes to the next word
        for (; x + 64 <= columns; x += 64) {
            const uint64_t word = nonzero_bits(bytes + x);
            row[x / 64] = word << 1 | carry;
            carry = word >> 63;
        }
        uint64_t word = 0;
        for (int64_t i = x; i < columns; ++i) word |= uint64_t(bytes[i] != 0) << (i - x);
        row[x / 64] = word << 1 | carry;
        if (x / 64 + 1 < words) row[x / 64 + 1] = word >> 63;
    }

    uint32_t count(int64_t y) {
        const uint64_t* row = bits_.data() + (y + 1) * words;
        uint64_t last = 0;
        uint32_t n = 0;
        for (int64_t w = 0; w < words; ++w) {
            const uint64_t changes = row[w] ^ (row[w] << 1 | last);
            last = row[w] >> 63;
            changes_[y * words + w] = changes;
            before_[y * words + w] = n;
            n += count_bits(changes);
        }
        return n;
    }
};

// The borders in the order of the raster scan.
class Tracer {
  public:
    Flat<int32_t> points;
    Flat<Border> borders;

    Tracer(const PackedMask& mask, Retrieve mode, bool simple)
        : mask_(mask), mode_(mode), simple_(simple), numbers_(size_t(mask.first(mask.rows)) + 1) {
        for (int d = 0; d < 8; ++d) {
            move_[d] = DY[d] * 64 * mask.words + DX[d];
            shift_[d] = DY[d] * (int64_t(1) << 32) + DX[d];
        }
        for (int64_t y = 0; y < mask.rows; ++y) {
            scan(y);
            if (y % 64 == 0) poll();
        }
    }

  private:
    static constexpr int64_t BLOCK = 4096;  // steps between two looks at the room for points and at interrupts

    const PackedMask& mask_;
    const Retrieve mode_;
    const bool simple_;
    // Of each transition, the border it is on, counted from 1; 0: none yet. The last one takes stores that no
    // transition wants.
    std::vector<int32_t> numbers_;
    int64_t move_[8], shift_[8];  // a step, in places and in packed points
    int64_t steps_left_ = 16 * BLOCK;
    detail::Pulse pulse_;

    void poll() {
        if (pulse_.stop()) throw Interrupted{};
    }

    void scan(int64_t y) {
        const uint32_t first = mask_.first(y), end = mask_.first(y + 1);
        if (mode_ == Retrieve::external) {
            // Untraced background (number 0) before it: it lies in a hole.
            for (uint32_t k = first; k < end; k += 2)
                if (!numbers_[k] && (k == first || numbers_[k - 1])) start(y, k, false, -1);
            return;
        }
        for (uint32_t k = first; k < end; ++k)
            if (!numbers_[k]) {
                const bool hole = (k - first) & 1;
                start(y, k, hole, parent(k, hole, k == first));
            }
    }

    // The border around a new one (table 1 of the paper): the last border that the row met is it, or its sibling.
    int32_t parent(uint32_t k, bool hole, bool first_in_row) const {
        if (mode_ == Retrieve::list || first_in_row || (mode_ == Retrieve::ccomp && !hole)) return -1;
        const int32_t last = numbers_[k - 1] - 1;
        return borders[last].hole != hole ? last : borders[last].parent;
    }

    void start(int64_t y, uint32_t k, bool hole, int32_t parent) {
        const int64_t x = mask_.column(y, k) - hole;
        const int64_t begin = static_cast<int64_t>(points.size()) / 2;
        const int32_t number = static_cast<int32_t>(borders.size()) + 1;
        if (simple_)
            follow<true>(x, y, hole, number);
        else
            follow<false>(x, y, hole, number);
        borders.push_back({begin, static_cast<int64_t>(points.size()) / 2, parent, hole});
    }

    // Where the border's last pixel lies, from its first: clockwise from the background that began it. -1: alone.
    int last_pixel(int64_t place, bool hole) const {
        const uint32_t around = mask_.around(place);
        for (int turn = 1; turn < 8; ++turn) {
            const int d = ((hole ? 0 : 4) - turn) & 7;
            if (around >> (3 * (DY[d] + 1) + DX[d] + 1) & 1) return d;
        }
        return -1;
    }

    template <bool SIMPLE> void follow(int64_t x, int64_t y, bool hole, int32_t number) {
        int64_t place = mask_.place(x, y);
        int64_t point = (y << 32) + x;
        const int last = last_pixel(place, hole);
        if (last < 0) {
            int32_t* out = points.room(2);
            out[0] = static_cast<int32_t>(x);
            out[1] = static_cast<int32_t>(y);
            points.end_at(out + 2);
            const uint32_t right = mask_.right_end(place);
            numbers_[right] = numbers_[right - 1] = number;
            return;
        }
        const int64_t home = place;
        const uint32_t home_back = static_cast<uint32_t>(last) << Steps::BACK, unwanted = mask_.first(mask_.rows);
        uint32_t back = home_back, before = static_cast<uint32_t>(last) ^ 4;
        int32_t* numbers = numbers_.data();
        for (bool closed = false; !closed;) {
            int32_t* out = points.room(2 * BLOCK);
            int64_t step = 0;
            while (step < BLOCK && !closed) {
                const uint32_t entry = STEPS.entry[back | mask_.around(place)];
                const uint32_t right = mask_.right_end(place), direction = entry & 7;
                // Stores without a branch: whether a pixel ends a run is a coin toss on rough borders.
                numbers[entry & Steps::LEFT ? right - 1 : unwanted] = number;
                numbers[entry & Steps::RIGHT ? right : unwanted] = number;
                std::memcpy(out, &point, sizeof point);  // x, then y: lowest bytes first
                out += SIMPLE ? 2 * (direction != before) : 2;
                before = direction;
                back = entry & (7u << Steps::BACK);
                place += move_[direction];
                point += shift_[direction];
                ++step;
                if (place == home) closed = back == home_back;
            }
            points.end_at(out);
            if ((steps_left_ -= step) < 0) {
                poll();
                steps_left_ = 16 * BLOCK;
            }
        }
    }
};

// The borders of many masks, one mask after the other; each border's last number is that of its mask.
Polylines joined(const std::vector<Polylines>& parts) {
    int64_t count = 0, length = 0;
    for (const Polylines& part : parts) {
        count += static_cast<int64_t>(std::get<1>(part).size()) - 1;
        length += static_cast<int64_t>(std::get<0>(part).size());
    }
    Flat<int32_t> points(length), hierarchy(4 * count), groups(count);
    Flat<int64_t> offsets(count + 1);
    int64_t at = 0, first = 0;
    for (size_t z = 0; z < parts.size(); ++z) {
        const auto& [own, own_offsets, own_links, none] = parts[z];
        const int64_t n = static_cast<int64_t>(own_offsets.size()) - 1;
        if (own.size()) std::memcpy(points.data() + 2 * at, own.data(), own.size() * sizeof(int32_t));
        for (int64_t i = 0; i < n; ++i) {
            offsets[first + i] = at + own_offsets[i];
            groups[first + i] = static_cast<int32_t>(z);
            for (int64_t k = 4 * i; k < 4 * i + 4; ++k)
                hierarchy[4 * first + k] = own_links[k] < 0 ? -1 : own_links[k] + static_cast<int32_t>(first);
        }
        at += static_cast<int64_t>(own.size()) / 2;
        first += n;
    }
    offsets[count] = at;
    return {std::move(points), std::move(offsets), std::move(hierarchy), std::move(groups)};
}

}  // namespace

Polylines trace_contours(View mask, int mode, bool simple, int threads) {
    if (mask.ndim == 2) {
        const PackedMask packed(mask, threads);
        const Tracer traced(packed, Retrieve(mode), simple);
        return in_order(traced.points, traced.borders, Flat<int32_t>(0));
    }
    std::vector<Polylines> found(mask.shape[0]);
    parallel_for(mask.shape[0], threads, [&](int64_t z) {
        const PackedMask packed(mask.at(0, z), 1);
        const Tracer traced(packed, Retrieve(mode), simple);
        found[z] = in_order(traced.points, traced.borders, Flat<int32_t>(0));
    });
    return joined(found);
}

}  // namespace fastmed
