// How often values occur: each integer by itself, and floats in bins.
#include <mutex>

#include "../kernels.hpp"
#include "../pieces.hpp"

namespace fastmed {
namespace {

// A thread's own counts, added to those of all when it is done. Neighbours are often equal, and a counter that was just
// written cannot be read at once: so several tables take turns, while they fit into a cache.
class Table {
  public:
    Table(int64_t bins, int64_t* all, std::mutex& one)
        : bins_(bins), turns_(bins <= 4096 ? 4 : bins <= 16384 ? 2 : 1), counts_(bins * turns_), all_(all), one_(&one) {}
    Table(const Table&) = delete;
    ~Table() { add(); }

    template <class Bin, class T> void take(const T* values, int64_t n, Bin&& bin) {
        if (taken_ + n >= (int64_t(1) << 31)) add();
        taken_ += n;
        uint32_t* c = counts_.data();
        if (turns_ == 4) {
            uint32_t *c1 = c + bins_, *c2 = c1 + bins_, *c3 = c2 + bins_;
            int64_t i = 0;
            for (; i + 4 <= n; i += 4) ++c[bin(values[i])], ++c1[bin(values[i + 1])], ++c2[bin(values[i + 2])], ++c3[bin(values[i + 3])];
            for (; i < n; ++i) ++c[bin(values[i])];
        } else if (turns_ == 2) {
            uint32_t* c1 = c + bins_;
            int64_t i = 0;
            for (; i + 2 <= n; i += 2) ++c[bin(values[i])], ++c1[bin(values[i + 1])];
            for (; i < n; ++i) ++c[bin(values[i])];
        } else {
            for (int64_t i = 0; i < n; ++i) ++c[bin(values[i])];
        }
    }

  private:
    void add() {
        std::lock_guard<std::mutex> hold(*one_);
        for (int t = 0; t < turns_; ++t)
            for (int64_t k = 0; k < bins_; ++k) all_[k] += counts_[t * bins_ + k];
        std::fill(counts_.begin(), counts_.end(), 0);
        taken_ = 0;
    }

    int64_t bins_, turns_, taken_ = 0;
    std::vector<uint32_t> counts_;
    int64_t* all_;
    std::mutex* one_;
};

}  // namespace

// counts[value - low]; every value is in there.
void value_counts(View input, int64_t low, View counts, int threads) {
    std::mutex one;
    dispatch(input.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        if constexpr (std::is_integral_v<T>) {
            for_pieces<T>(input, threads, [&] { return Table(counts.shape[0], reinterpret_cast<int64_t*>(counts.data), one); },
                          [low](Table& table, int64_t, const T* values, int64_t n) {
                              table.take(values, n, [low](T v) { return static_cast<int64_t>(v) - low; });
                          });
        }
    });
}

// A value's bin is the last one that begins at or below it; the last bin holds its end, too. What lies outside counts
// nowhere: one counter more takes it.
void bin_counts(View input, Doubles edges, View counts, int threads) {
    const int64_t bins = counts.shape[0];
    const double first = edges[0], end = edges[bins], scale = bins / (end - first);
    std::vector<int64_t> all(bins + 1);
    std::mutex one;
    dispatch(input.dtype, [&](auto t) {
        using T = typename decltype(t)::t;
        const auto bin = [&](T v) -> int64_t {
            const double x = static_cast<double>(v);
            if (!(x >= first && x <= end)) return bins;
            int64_t i = std::min(static_cast<int64_t>((x - first) * scale), bins - 1);
            while (i > 0 && x < edges[i]) --i;
            while (i + 1 < bins && x >= edges[i + 1]) ++i;
            return i;
        };
        for_pieces<T>(input, threads, [&] { return Table(bins + 1, all.data(), one); },
                      [&](Table& table, int64_t, const T* values, int64_t n) { table.take(values, n, bin); });
    });
    int64_t* found = reinterpret_cast<int64_t*>(counts.data);
    for (int64_t k = 0; k < bins; ++k) found[k] += all[k];
}

}  // namespace fastmed
