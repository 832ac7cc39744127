// Selection networks, made when they are needed: the compare-exchange steps that bring the k-th of many values to one
// wire. The same few steps work on whole vectors of windows at a time, without a branch on the data.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fastmed {

struct Network {
    struct Step {
        uint16_t low, high;  // afterwards `low` holds the smaller value, `high` the larger
    };
    static constexpr int64_t MAX_WIRES = 65535;

    std::vector<Step> steps;
    std::vector<uint16_t> inputs;   // wires that are read at all
    std::vector<uint16_t> outputs;  // where the results stand, in order

    using Wires = std::vector<uint16_t>;

    // All of `rows` values in ascending order.
    static Network sorting(int64_t rows) {
        Network n;
        n.outputs = n.sort(range(0, rows));
        n.prune();
        return n;
    }

    // `lists` ascending lists of `length` as one; wire of element i of list w: w * length + i.
    static Network merging(int64_t lists, int64_t length) {
        Network n;
        std::vector<Wires> all;
        for (int64_t w = 0; w < lists; ++w) all.push_back(range(w * length, length));
        n.outputs = n.merge_all(all);
        n.prune();
        return n;
    }

    // The value of `rank` (from 0) among such lists; or all of the ranks from `rank` to `last`, in order.
    static Network selecting(int64_t lists, int64_t length, int64_t rank) { return selecting(lists, length, rank, rank); }
    static Network selecting(int64_t lists, int64_t length, int64_t rank, int64_t last) {
        Network n;
        std::vector<Wires> chains = n.chains_across(lists, length);
        int64_t below = 0;
        for (int64_t j = 0; j < int64_t(chains.size()); ++j) {  // drop what cannot be a result
            Wires kept;
            for (int64_t i = 0; i < int64_t(chains[j].size()); ++i) {
                const int64_t smaller = (i + 1) * (j + 1) - 1, larger = (length - i) * (lists - j) - 1;
                if (larger > lists * length - 1 - rank) ++below;
                else if (smaller <= last) kept.push_back(chains[j][i]);
            }
            chains[j] = kept;
        }
        const Wires merged = n.merge_all(chains);
        n.outputs = Wires(merged.begin() + (rank - below), merged.begin() + (last + 1 - below));
        n.prune();
        return n;
    }

    // Of its results those from `first` to `last`.
    Network part(int64_t first, int64_t last) const {
        Network n;
        n.steps = steps;
        n.outputs = Wires(outputs.begin() + first, outputs.begin() + last + 1);
        n.prune();
        return n;
    }

private:
    static Wires range(int64_t first, int64_t count) {
        Wires w(count);
        for (int64_t i = 0; i < count; ++i) w[i] = uint16_t(first + i);
        return w;
    }
    void exchange(uint16_t low, uint16_t high) { steps.push_back({low, high}); }

    // Sorting each rank across the lists leaves the chains ascending too (a matrix with sorted columns keeps them when
    // its rows are sorted): element i of chain j is then at least as large as (i+1)(j+1)-1 others.
    std::vector<Wires> chains_across(int64_t lists, int64_t length) {
        std::vector<Wires> chains(lists);
        for (int64_t i = 0; i < length; ++i) {
            Wires row;
            for (int64_t w = 0; w < lists; ++w) row.push_back(uint16_t(w * length + i));
            row = sort(row);
            for (int64_t j = 0; j < lists; ++j) chains[j].push_back(row[j]);
        }
        return chains;
    }

    Wires sort(const Wires& w) {
        if (w.size() <= 1) return w;
        const auto half = w.begin() + w.size() / 2;
        return merge(sort(Wires(w.begin(), half)), sort(Wires(half, w.end())));
    }

    // Batcher's odd-even merge, for lists of any two lengths (Knuth, vol. 3, 5.3.4).
    Wires merge(const Wires& a, const Wires& b) {
        if (a.empty()) return b;
        if (b.empty()) return a;
        if (a.size() == 1 && b.size() == 1) {
            exchange(a[0], b[0]);
            return {a[0], b[0]};
        }
        const Wires even = merge(every_second(a, 0), every_second(b, 0)), odd = merge(every_second(a, 1), every_second(b, 1));
        Wires out{even[0]};
        for (size_t i = 0; i < std::max(even.size() - 1, odd.size()); ++i) {
            const bool has_odd = i < odd.size(), has_even = i + 1 < even.size();
            if (has_odd && has_even) exchange(odd[i], even[i + 1]);
            if (has_odd) out.push_back(odd[i]);
            if (has_even) out.push_back(even[i + 1]);
        }
        return out;
    }
    static Wires every_second(const Wires& w, size_t from) {
        Wires out;
        for (size_t i = from; i < w.size(); i += 2) out.push_back(w[i]);
        return out;
    }

    Wires merge_all(std::vector<Wires> chains) {
        while (chains.size() > 1) {  // the two shortest first
            std::sort(chains.begin(), chains.end(), [](const Wires& a, const Wires& b) { return a.size() > b.size(); });
            const Wires a = chains.back(), b = chains[chains.size() - 2];
            chains.resize(chains.size() - 2);
            chains.push_back(merge(a, b));
        }
        return chains[0];
    }

    // Steps that no output depends on go; what is left reads `inputs`.
    void prune() {
        uint16_t last = 0;  // not MAX_WIRES: looking at all of those took 40 us, three times the median of 64 x 64
        for (const Step& s : steps) last = std::max({last, s.low, s.high});
        for (uint16_t w : outputs) last = std::max(last, w);
        std::vector<char> live(last + 1, 0);
        for (uint16_t w : outputs) live[w] = 1;
        std::vector<Step> kept;
        for (auto s = steps.rbegin(); s != steps.rend(); ++s) {
            if (!live[s->low] && !live[s->high]) continue;
            live[s->low] = live[s->high] = 1;
            kept.push_back(*s);
        }
        steps.assign(kept.rbegin(), kept.rend());
        for (int64_t w = 0; w <= last; ++w)
            if (live[w]) inputs.push_back(uint16_t(w));
    }
};

}  // namespace fastmed
