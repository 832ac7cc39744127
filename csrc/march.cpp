// Weighted sums of float32 along x, y and z in one trip through memory: a tile of rows marches along z. A plane's rows
// are summed along x and y as they come in, and stand in a ring of as many planes as the sum along z looks at, which
// stays in a second level cache; finished rows go to memory straight from registers. A volume is read once, in runs of
// rows that follow each other in memory, but for the rows around a tile.
#include "march.hpp"

#include <algorithm>
#include <cmath>

#include "parallel.hpp"
#include "rows.hpp"
#include "taps.hpp"

namespace fastmed {
namespace {

constexpr int GROUP = 4;  // planes that share what they load along z
constexpr int64_t RING = int64_t(3) << 18;  // bytes: less than half of a second level cache
constexpr int64_t STEP = 2 * LANES;  // elements of a row at a time

// Two vectors at i of GROUP planes, past the caches; `out` is aligned.
FASTMED_INLINE void stream_block(const float* const* rows, const Taps<float>& t, int64_t i, float* const* out) {
    Floats sum[GROUP][2], part[GROUP][2];
    sum_rows<GROUP, 2, 1>(rows, t.w.data(), t.rising(), i, sum);
    sum_rows<GROUP, 2, -1>(rows + t.length + GROUP - 2, t.w.data() + t.rising(), t.length - t.rising(), i, part);
    for (int r = 0; r < GROUP; ++r)
        for (int u = 0; u < 2; ++u) stream(out[r] + i + u * LANES, sum[r][u] + part[r][u]);
}

class March {
    const Planes& p;
    const Pass &x, &y, &z;
    const Taps<float> tx, ty, tz;
    const Rows<float> rows = rows_of<float>(DType::f32);
    int64_t tile_x, tile_y, tile_z, height, slots, width;
    bool past_caches, direct;

    struct Tile {
        const char* in;
        char* out;
        int64_t z0, nz, y0, ny, x0, nx;
    };
    struct Row {  // of a plane that comes in: where it stands in the plane, and in the scratch
        int64_t source, place;
    };
    struct Scratch {
        Buffer<float> ring, plane, line, ready, constant;
        std::vector<Row> rows;
        std::vector<const float*> list, window, beside;
        std::vector<int64_t> source, last, slot_of;
        std::vector<std::pair<int64_t, int64_t>> border;  // elements of a line outside the image: place, and source or -1
    };

public:
    March(const Planes& planes, const Pass& px, const Pass& py, const Pass& pz, int threads)
        : p(planes), x(px), y(py), z(pz), tx(px, false), ty(py, false), tz(pz, false) {
        slots = tz.length + GROUP - 1;
        choose_tile();
        tile_y = std::min(p.ny, (parts(p.ny, parts(p.ny, tile_y)) + 7) / 8 * 8);  // alike
        height = tile_y + ty.length - 1;
        width = spread<float>(tile_x + 5 * PAD<float>);
        tile_z = std::clamp<int64_t>((int64_t(1) << 23) / (tile_x * tile_y), 1, p.nz);
        const int64_t tiles = p.batch * parts(p.ny, tile_y) * parts(p.nx, tile_x), wanted = 4 * threads;
        if (threads > 1 && tiles < wanted)
            tile_z = std::min(tile_z, std::max(4 * tz.length, parts(p.nz * tiles, wanted) + GROUP - 1));
        tile_z = std::min((tile_z + GROUP - 1) / GROUP * GROUP, p.nz);
        past_caches = worth_streaming(p.out);
        auto aligned = [](int64_t bytes) { return bytes % VECTOR_BYTES == 0; };
        direct = past_caches && aligned(reinterpret_cast<intptr_t>(p.out.data)) && aligned(p.out_y) && aligned(p.out_z) && aligned(4 * p.nx);
        for (int d = 0; d < p.out.ndim - 3; ++d) direct &= aligned(p.out.strides[d]);
    }

    void run(int threads) {
        const int64_t bx = parts(p.nx, tile_x), by = parts(p.ny, tile_y), bz = parts(p.nz, tile_z);
        parallel_for(p.batch * bz * by * bx, threads, [&] { return scratch(); }, [&](Scratch& s, int64_t unit) {
            const int64_t x0 = unit % bx * tile_x, y0 = unit / bx % by * tile_y, z0 = unit / bx / by % bz * tile_z;
            const auto [i, o] = p.offsets(unit / bx / by / bz);
            tile(s, {p.in.data + i, p.out.data + o, z0, std::min(tile_z, p.nz - z0), y0, std::min(tile_y, p.ny - y0), x0, std::min(tile_x, p.nx - x0)});
            if (past_caches) to_memory_done();
        });
    }

private:
    static int64_t parts(int64_t n, int64_t of) { return (n + of - 1) / of; }

    // The tile whose ring has RING bytes and that costs least: what it looks at around itself comes in twice, and short
    // pieces of rows come in slowly.
    void choose_tile() {
        double least = INFINITY;
        for (int64_t count = 1; count == 1 || p.nx / count >= 96; ++count) {
            const int64_t wide = std::min(p.nx, (parts(p.nx, count) + STEP - 1) / STEP * STEP);
            const int64_t high = std::clamp<int64_t>(RING / (slots * wide * int64_t(sizeof(float))) / 8 * 8, 8, (p.ny + 7) / 8 * 8);
            const double cost = double(high + ty.length - 1) / double(high) * (count == 1 ? 1 : 1.1 + double(tx.length + 40) / double(wide));
            if (cost < least) least = cost, tile_x = wide, tile_y = std::min(high, p.ny);
        }
    }

    Scratch scratch() const {
        Scratch s;
        s.ring.resize(slots * tile_y * width);
        s.plane.resize(height * width);
        s.line.resize(tile_x + tx.length + 5 * PAD<float>);
        s.ready.resize(GROUP * width);
        s.constant.resize(width);
        s.list.resize(height);
        s.beside.resize(slots);
        s.window.resize(tx.length);
        s.slot_of.resize(slots);
        return s;
    }

    void tile(Scratch& s, const Tile& t) const {
        prepare(s, t);
        int64_t next = -z.before;  // the plane that comes in next, counted from z0; outside the image another stands for it
        for (int64_t k = 0; k < t.nz; k += GROUP) {
            const int64_t count = std::min<int64_t>(GROUP, t.nz - k);
            for (; next < k + count + tz.length - 1 - z.before; ++next) s.slot_of[(next + z.before) % slots] = slot(s, t, next, k - z.before);
            for (int64_t r = 0; r < t.ny; ++r) leave(s, t, k, count, r);
        }
    }

    void prepare(Scratch& s, const Tile& t) const {
        s.source.assign(slots, -1);
        s.last.assign(slots, -z.before - 1);
        s.rows.clear(), s.border.clear();
        const int64_t first = t.y0 - y.before, count = t.ny + ty.length - 1;
        for (int64_t e = 0; e < count; ++e) {
            const int64_t source = border_index(first + e, p.ny, y.mode), place = source - first;
            const bool other = source != first + e && place >= 0 && place < count && source >= 0;  // which comes in anyway
            s.list[e] = source < 0 ? s.constant.data() : s.plane.data() + (other ? place : e) * width;
            if (source >= 0 && !other) s.rows.push_back({source, e});
        }
        for (int64_t k = 0; k < t.nx + tx.length - 1; ++k) {
            const int64_t i = t.x0 - x.before + k;
            if (i < 0 || i >= p.nx) s.border.push_back({k, border_index(i, p.nx, x.mode)});
        }
    }

    // Where plane z0 + k stands after its sums along x and y; -1: the constant. Planes before `first` may go.
    int64_t slot(Scratch& s, const Tile& t, int64_t k, int64_t first) const {
        const int64_t source = border_index(t.z0 + k, p.nz, z.mode);
        if (source < 0) return -1;
        int64_t place = std::find(s.source.begin(), s.source.end(), source) - s.source.begin();
        if (place == slots) {
            place = std::find_if(s.last.begin(), s.last.end(), [&](int64_t used) { return used < first; }) - s.last.begin();
            s.source[place] = source;
            arrive(s, t, source, s.ring.data() + place * tile_y * width);
        }
        s.last[place] = k;
        return place;
    }

    void arrive(Scratch& s, const Tile& t, int64_t source, float* to) const {
        const char* plane = t.in + source * p.in_z;
        const int64_t a = std::max<int64_t>(0, t.x0 - x.before), b = std::min(p.nx, t.x0 + t.nx + tx.length - 1 - x.before);
        for (size_t k = 0; k < s.rows.size(); ++k) {
            const size_t ahead = k + AHEAD, count = s.rows.size();
            if (ahead < count) fetch(plane + s.rows[ahead].source * p.in_y, a, b);
            else if (source + 1 < p.nz && AHEAD < count) fetch(plane + p.in_z + s.rows[ahead - count].source * p.in_y, a, b);
            const char* row = plane + s.rows[k].source * p.in_y;
            rows.load(row + a * p.in_x, p.in_x, b - a, s.line.data() + (a - (t.x0 - x.before)));
            for (const auto& [at, from] : s.border) s.line[at] = from < 0 ? float(x.cval) : *reinterpret_cast<const float*>(row + from * p.in_x);
            correlate_line(s.line.data(), tx, t.nx, 0.0f, s.window, s.plane.data() + s.rows[k].place * width);
        }
        correlate_rows(s.list.data(), ty, t.ny, t.nx, 0.0f, [&](int64_t r) { return to + r * width; });
    }

    // Rows stand in memory with gaps between the tile's parts of them, which the processor does not foresee: two rows
    // ahead take a Gaussian of sigma 3 from 95 to 79 ms, of sigma 1 from 45 to 37 ms (128 x 512 x 512, one thread).
    static constexpr size_t AHEAD = 2;
    FASTMED_INLINE void fetch(const char* row, int64_t a, int64_t b) const {
        if (p.in_x != sizeof(float)) return;
        for (int64_t i = a; i < b; i += 64 / int64_t(sizeof(float))) prefetch(row + i * p.in_x);
    }

    // Row r of `count` planes from z0 + k on, summed along z.
    void leave(Scratch& s, const Tile& t, int64_t k, int64_t count, int64_t r) const {
        for (int64_t j = 0; j < count + tz.length - 1; ++j) {
            const int64_t slot = s.slot_of[(k + j) % slots];
            s.beside[j] = slot < 0 ? s.constant.data() : s.ring.data() + (slot * tile_y + r) * width;
        }
        char* target = t.out + (t.z0 + k) * p.out_z + (t.y0 + r) * p.out_y + t.x0 * p.out_x;
        if (direct && count == GROUP && t.nx % STEP == 0) {
            float* to[GROUP];
            for (int g = 0; g < GROUP; ++g) to[g] = reinterpret_cast<float*>(target + g * p.out_z);
            for (int64_t i = 0; i < t.nx; i += STEP) stream_block(s.beside.data(), tz, i, to);
            return;
        }
        correlate_rows(s.beside.data(), tz, count, t.nx, 0.0f, [&](int64_t g) { return s.ready.data() + g * width; });
        for (int64_t g = 0; g < count; ++g) {
            const float* row = s.ready.data() + g * width;
            if (past_caches) to_memory(target + g * p.out_z, reinterpret_cast<const char*>(row), t.nx * p.out_x);
            else rows.store(row, t.nx, target + g * p.out_z, p.out_x);
        }
    }
};

}  // namespace

void march(const Planes& planes, const Pass& x, const Pass& y, const Pass& z, int threads) {
    March(planes, x, y, z, threads).run(threads);
}

}  // namespace fastmed
