// What border following shares: the steps from pixel to pixel, and OpenCV's order of borders.
#pragma once

#include <cstring>
#include <vector>

#include "flat.hpp"

namespace fastmed {

// Directions are Freeman's: 0 right, 1 up right, 2 up ... 7 down right (y points down). Foreground is 8-connected.
constexpr int DX[8] = {1, 1, 0, -1, -1, -1, 0, 1};
constexpr int DY[8] = {0, -1, -1, -1, 0, 1, 1, 1};

// What to do next at a pixel: looked up by the 3x3 neighbourhood (bit 3 * (dy + 1) + dx + 1) and, in bits 9-11, the
// direction in which the previous pixel of the border lies.
struct Steps {
    static constexpr int BACK = 9;           // the entry's bits 9-11: where the previous pixel lies, after the step
    static constexpr uint16_t LEFT = 1 << 3;   // background was seen on the left: this pixel is the left end of a run
    static constexpr uint16_t RIGHT = 1 << 4;  // ... the right end
    uint16_t entry[8 << BACK] = {};          // bits 0-2: the direction of the step

    constexpr Steps() {
        for (int back = 0; back < 8; ++back)
            for (int around = 0; around < 512; ++around) entry[back << BACK | around] = step(back, around);
    }
    // Turn counter-clockwise, from the previous pixel on, to the first foreground pixel.
    static constexpr uint16_t step(int back, int around) {
        int seen = 0;
        for (int turn = 1; turn <= 8; ++turn) {
            const int d = (back + turn) & 7;
            if (around >> (3 * (DY[d] + 1) + DX[d] + 1) & 1)
                return static_cast<uint16_t>((d ^ 4) << BACK | seen | d);
            if (d == 4) seen |= LEFT;
            if (d == 0) seen |= RIGHT;
        }
        return static_cast<uint16_t>(back << BACK | seen);  // a pixel alone
    }
};
inline constexpr Steps STEPS;

enum class Retrieve : int { external, list, ccomp, tree };  // numbers of MODES in _trace.py

struct Border {
    int64_t begin, end;  // its points
    int32_t parent;
    bool hole;
};

// The borders in OpenCV's order: each before its children, the last found first. Links of the tree by new position.
struct Order {
    std::vector<int32_t> found;      // new position -> number in the scan
    std::vector<int32_t> hierarchy;  // next, previous, first child, parent

    Order(const Border* borders, int32_t n) {
        std::vector<int32_t> child(size_t(n) + 1, -1), next(n), position(size_t(n) + 1, -1);
        for (int32_t i = 0; i < n; ++i) {  // child[0] is the frame's
            const int32_t parent = borders[i].parent + 1;
            next[i] = child[parent];
            child[parent] = i;
        }
        found.reserve(n);
        for (int32_t i = child[0]; i >= 0;) {
            position[i] = static_cast<int32_t>(found.size());
            found.push_back(i);
            if (child[i + 1] >= 0) {
                i = child[i + 1];
                continue;
            }
            while (i >= 0 && next[i] < 0) i = borders[i].parent;
            if (i >= 0) i = next[i];
        }
        hierarchy.assign(4 * size_t(n), -1);
        for (int32_t i = 0; i < n; ++i) {
            int32_t* row = hierarchy.data() + 4 * size_t(position[i]);
            if (next[i] >= 0) {
                row[0] = position[next[i]];
                hierarchy[4 * size_t(row[0]) + 1] = position[i];
            }
            if (child[i + 1] >= 0) row[2] = position[child[i + 1]];
            if (borders[i].parent >= 0) row[3] = position[borders[i].parent];
        }
    }
};

// Points and links of the borders of one mask in OpenCV's order.
inline Polylines in_order(const Flat<int32_t>& found, const Flat<Border>& borders, Flat<int32_t> groups) {
    const Order order(borders.data(), static_cast<int32_t>(borders.size()));
    const size_t n = order.found.size();
    Flat<int32_t> points(found.size()), hierarchy(4 * n);
    Flat<int64_t> offsets(n + 1);
    int64_t at = 0;
    for (size_t i = 0; i < n; ++i) {
        const Border& b = borders[order.found[i]];
        offsets[i] = at;
        const int64_t count = b.end - b.begin;
        std::memcpy(points.data() + 2 * at, found.data() + 2 * b.begin, 2 * count * sizeof(int32_t));
        at += count;
    }
    offsets[n] = at;
    if (n) std::memcpy(hierarchy.data(), order.hierarchy.data(), 4 * n * sizeof(int32_t));
    return {std::move(points), std::move(offsets), std::move(hierarchy), std::move(groups)};
}

}  // namespace fastmed
