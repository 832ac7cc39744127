// Which values of an image lie above a level, a bit each.
#pragma once

#include <cmath>
#include <limits>

#include "bits.hpp"
#include "parallel.hpp"
#include "view.hpp"

namespace fastmed {

// The bits of an image, row by row along its last axis (it has two or three): set where a value lies above the level.
// NaN does not.
class Above {
  public:
    const int64_t rows, columns, words;

    // `single`: values are rounded to float32 before they are compared.
    Above(const View& image, double level, bool single, int threads)
        : rows(image.size() / std::max<int64_t>(image.shape[image.ndim - 1], 1)), columns(image.shape[image.ndim - 1]),
          words((columns + 63) / 64), bits_(rows * words) {
        dispatch(image.dtype, [&](auto t) { fill<typename decltype(t)::t>(image, level, single, threads); });
    }
    const uint64_t* row(int64_t r) const { return bits_.data() + r * words; }

    // Bit i: the corners of square 64 w + i, below row r, are not all on one side.
    uint64_t crossed(int64_t r, int64_t w) const {
        const uint64_t *a = row(r), *b = row(r + 1);
        const uint64_t a1 = a[w] >> 1 | (w + 1 < words ? a[w + 1] << 63 : 0);
        const uint64_t b1 = b[w] >> 1 | (w + 1 < words ? b[w + 1] << 63 : 0);
        return ((a[w] ^ a1) | (a[w] ^ b[w]) | (a[w] ^ b1)) & squares(w);
    }
    int64_t count_crossed() const {
        int64_t count = 0;
        for (int64_t r = 0; r + 1 < rows; ++r)
            for (int64_t w = 0; w < words; ++w) count += count_bits(crossed(r, w));
        return count;
    }
    // Bit i: square 64 w + i is one, its right corners lie in the image.
    uint64_t squares(int64_t w) const {
        const int64_t count = columns - 1 - 64 * w;
        return count >= 64 ? ~uint64_t(0) : (uint64_t(1) << std::max<int64_t>(count, 0)) - 1;
    }
    int bit(int64_t r, int64_t c) const { return row(r)[c >> 6] >> (c & 63) & 1; }

  private:
    static constexpr int64_t BAND = 32;  // rows that a thread takes at a time
    std::vector<uint64_t> bits_;

    template <class T> void fill(const View& image, double level, bool single, int threads) {
        struct Buffer {
            std::vector<T> values;
            std::vector<uint8_t> flags;
        };
        const int64_t step = image.strides[image.ndim - 1];
        auto make = [&] {
            return Buffer{std::vector<T>(step == sizeof(T) ? 0 : columns), std::vector<uint8_t>(words * 64)};
        };
        parallel_for((rows + BAND - 1) / BAND, threads, make, [&](Buffer& buffer, int64_t i) {
            for (int64_t r = i * BAND; r < std::min(rows, (i + 1) * BAND); ++r) {
                const char* from = row_of(image, r);
                const T* values = reinterpret_cast<const T*>(from);
                if (!buffer.values.empty()) {
                    gather(from, step, columns, buffer.values.data());
                    values = buffer.values.data();
                }
                if (single && !std::is_same<T, float>::value && sizeof(T) > 2)
                    compare_single(values, level, buffer.flags.data());
                else
                    compare(values, level, buffer.flags.data());
                for (int64_t w = 0; w < words; ++w) bits_[r * words + w] = nonzero_bits(buffer.flags.data() + 64 * w);
            }
        });
    }

    static const char* row_of(const View& image, int64_t r) {
        if (image.ndim == 2) return image.data + r * image.strides[0];
        return image.data + r / image.shape[1] * image.strides[0] + r % image.shape[1] * image.strides[1];
    }

    template <class T> void compare_single(const T* __restrict values, double level, uint8_t* __restrict flags) const {
        for (int64_t i = 0; i < columns; ++i) flags[i] = static_cast<double>(static_cast<float>(values[i])) > level;
    }

    // The level in the image's own type where the comparison stays the same.
    template <class T> void compare(const T* __restrict values, double level, uint8_t* __restrict flags) const {
        if constexpr (std::is_same<T, float>::value) {
            float limit = static_cast<float>(level);
            if (limit > level) limit = std::nextafter(limit, -std::numeric_limits<float>::infinity());
            for (int64_t i = 0; i < columns; ++i) flags[i] = values[i] > limit;
        } else if constexpr (sizeof(T) <= 4) {
            if (!(level < std::numeric_limits<T>::max())) return std::fill_n(flags, columns, uint8_t(0)), void();
            if (level < std::numeric_limits<T>::min()) return std::fill_n(flags, columns, uint8_t(1)), void();
            const T limit = static_cast<T>(std::floor(level));
            for (int64_t i = 0; i < columns; ++i) flags[i] = values[i] > limit;
        } else {
            for (int64_t i = 0; i < columns; ++i) flags[i] = static_cast<double>(values[i]) > level;
        }
    }
};

}  // namespace fastmed
