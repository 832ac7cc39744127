# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Stored pixel values -> values of the volume, one slice at a time, without the GIL.

One pass does byte order, unused bits, sign and rescale. ``_pixels_numpy.py`` is the same in NumPy.
"""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    /* Two bytes, the commonest case: built for AVX2 too, which halves the time of float (no FMA there, so that the
       results are the same on every processor), and takes a fifth of it where all is done in 16 bits. */
    #if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
    #define FASTMED_CLONES __attribute__((target_clones("default", "avx2")))
    #else
    #define FASTMED_CLONES
    #endif
    FASTMED_CLONES
    static void fastmed_to_float(const uint16_t* source, float* target, Py_ssize_t n, int shift, uint32_t mask,
                                 uint32_t sign, double slope, double intercept, int64_t* lowest,
                                 int64_t* highest) {
        int32_t low = INT32_MAX, high = INT32_MIN;
        for (Py_ssize_t i = 0; i < n; i++) {
            int32_t v = (int32_t)(((((uint32_t)source[i]) >> shift) & mask) ^ sign) - (int32_t)sign;
            low = v < low ? v : low;
            high = v > high ? v : high;
            target[i] = (float)((double)v * slope + intercept);
        }
        *lowest = low;
        *highest = high;
    }
    /* The same in 16 bits, modulo 2**16: stored values in an order that has no sign, and what they become. A shift that
       is not known to be 0 is done in 32 bits, at twice the time. */
    #define FASTMED_STORED(S) (uint16_t)(((S ? source[i] >> shift : source[i]) & mask) ^ sign)
    #define FASTMED_BOTH(LOOP) do { if (shift) LOOP(1) else LOOP(0) } while (0)
    FASTMED_CLONES
    static void fastmed_to_int16(const uint16_t* source, uint16_t* target, Py_ssize_t n, int shift, uint16_t mask,
                                 uint16_t sign, uint16_t slope, uint16_t intercept, int64_t* lowest,
                                 int64_t* highest) {
        uint16_t low = UINT16_MAX, high = 0;
    #define LOOP(S)                                                                                      \\
        for (Py_ssize_t i = 0; i < n; i++) {                                                             \\
            uint16_t u = FASTMED_STORED(S);                                                              \\
            low = u < low ? u : low;                                                                     \\
            high = u > high ? u : high;                                                                  \\
            target[i] = (uint16_t)((uint32_t)(uint16_t)(u - sign) * slope + intercept);                  \\
        }
        FASTMED_BOTH(LOOP);
    #undef LOOP
        *lowest = (int64_t)low - sign;
        *highest = (int64_t)high - sign;
    }
    /* Whether any of the stored values, in that order, lies at most `span` above `first`; and which. */
    FASTMED_CLONES
    static int fastmed_any16(const uint16_t* source, Py_ssize_t n, int shift, uint16_t mask, uint16_t sign,
                             uint16_t first, uint16_t span) {
        uint16_t nearest = UINT16_MAX;
    #define LOOP(S)                                                                                      \\
        for (Py_ssize_t i = 0; i < n; i++) {                                                             \\
            uint16_t above = (uint16_t)(FASTMED_STORED(S) - first);                                      \\
            nearest = above < nearest ? above : nearest;                                                 \\
        }
        FASTMED_BOTH(LOOP);
    #undef LOOP
        return nearest <= span;
    }
    FASTMED_CLONES
    static void fastmed_mark16(const uint16_t* source, uint8_t* flags, Py_ssize_t n, int shift, uint16_t mask,
                               uint16_t sign, uint16_t first, uint16_t span) {
    #define LOOP(S)                                                                                      \\
        for (Py_ssize_t i = 0; i < n; i++) flags[i] = (uint16_t)(FASTMED_STORED(S) - first) <= span;
        FASTMED_BOTH(LOOP);
    #undef LOOP
    }
    /* PackBits: how many of the n bytes the segment gives. What it holds beyond them is padding. Away from both ends runs
       are copied 16 bytes at a time, a few too many: most are short, and a call of memcpy costs more than they do. */
    static Py_ssize_t fastmed_unpack(const uint8_t* source, Py_ssize_t length, uint8_t* plane, Py_ssize_t n) {
        Py_ssize_t at = 0, done = 0, count, i;
        while (at < length && done < n) {
            const uint8_t head = source[at++];
            if (head == 128) continue;
            const int literal = head < 128;
            count = literal ? head + 1 : 257 - head;
            if (length - at >= 144 && n - done >= 144) {
                uint8_t run[16];
                if (literal) {
                    for (i = 0; i < count; i += 16) memcpy(plane + done + i, source + at + i, 16);
                } else {
                    memset(run, source[at], 16);
                    for (i = 0; i < count; i += 16) memcpy(plane + done + i, run, 16);
                }
                at += literal ? count : 1;
            } else {
                if (count > n - done) count = n - done;
                if (literal) {
                    if (count > length - at) count = length - at;
                    memcpy(plane + done, source + at, count);
                    at += count;
                } else {
                    if (at >= length) break;
                    memset(plane + done, source[at++], count);
                }
            }
            done += count;
        }
        return done;
    }
    """
    Py_ssize_t fastmed_unpack(const uint8_t*, Py_ssize_t, uint8_t*, Py_ssize_t) noexcept nogil
    void fastmed_to_float(const uint16_t*, float*, Py_ssize_t, int, uint32_t, uint32_t, double, double,
                          int64_t*, int64_t*) noexcept nogil
    void fastmed_to_int16(const uint16_t*, uint16_t*, Py_ssize_t, int, uint16_t, uint16_t, uint16_t, uint16_t,
                          int64_t*, int64_t*) noexcept nogil
    bint fastmed_any16(const uint16_t*, Py_ssize_t, int, uint16_t, uint16_t, uint16_t, uint16_t) noexcept nogil
    void fastmed_mark16(const uint16_t*, uint8_t*, Py_ssize_t, int, uint16_t, uint16_t, uint16_t, uint16_t) noexcept nogil


ctypedef fused stored_t:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused value_t:
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    float
    double


cdef inline stored_t _swapped(stored_t v) noexcept nogil:
    if stored_t is uint16_t:
        return <uint16_t>((v >> 8) | (v << 8))
    elif stored_t is uint32_t:
        return (v >> 24) | ((v >> 8) & 0xFF00) | ((v << 8) & 0xFF0000) | (v << 24)
    elif stored_t is uint64_t:
        v = ((v >> 8) & 0x00FF00FF00FF00FFu) | ((v & 0x00FF00FF00FF00FFu) << 8)
        v = ((v >> 16) & 0x0000FFFF0000FFFFu) | ((v & 0x0000FFFF0000FFFFu) << 16)
        return (v >> 32) | (v << 32)
    else:
        return v


cdef void _swap(stored_t* values, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = _swapped(values[i])


cdef void _narrow(const stored_t* source, value_t* target, Py_ssize_t n, int shift, uint32_t mask, uint32_t sign,
                  double slope, double intercept, int64_t* lowest, int64_t* highest) noexcept nogil:
    # Integers modulo 2**32: right whenever the result fits its type, which the caller sees from lowest and highest.
    cdef Py_ssize_t i
    cdef uint32_t a, b
    cdef int32_t v, low = 0x7FFFFFFF, high = -0x7FFFFFFF - 1
    a = <uint32_t><int64_t>slope if value_t is not float and value_t is not double else 0
    b = <uint32_t><int64_t>intercept if value_t is not float and value_t is not double else 0
    for i in range(n):
        v = <int32_t>(((((<uint32_t>source[i]) >> shift) & mask) ^ sign) - sign)
        low = v if v < low else low
        high = v if v > high else high
        if value_t is float or value_t is double:
            target[i] = <value_t>(<double>v * slope + intercept)
        elif value_t is int64_t:
            target[i] = <int64_t>v * <int64_t>slope + <int64_t>intercept
        else:
            target[i] = <value_t>(<uint32_t>v * a + b)
    lowest[0] = low
    highest[0] = high


cdef void _wide(const stored_t* source, value_t* target, Py_ssize_t n, int shift, uint64_t mask, uint64_t sign,
                double slope, double intercept, int64_t* lowest, int64_t* highest) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t a = 0, b = 0
    cdef int64_t v, low = 0x7FFFFFFFFFFFFFFF, high = -0x7FFFFFFFFFFFFFFF - 1
    if value_t is not float and value_t is not double:
        a = <uint64_t><int64_t>slope
        b = <uint64_t><int64_t>intercept
    for i in range(n):
        v = <int64_t>(((((<uint64_t>source[i]) >> shift) & mask) ^ sign) - sign)
        low = v if v < low else low
        high = v if v > high else high
        if value_t is float or value_t is double:
            target[i] = <value_t>((<double>v if sign else <double><uint64_t>v) * slope + intercept)
        else:
            target[i] = <value_t>(<uint64_t>v * a + b)
    lowest[0] = low
    highest[0] = high


def swap_bytes(unsigned char[::1] raw, int size):
    """Reverse the bytes of each value of `size` bytes, in place."""
    cdef Py_ssize_t n = raw.shape[0] // size if size > 0 else 0
    if n == 0:
        return
    with nogil:
        if size == 2:
            _swap(<uint16_t*>&raw[0], n)
        elif size == 4:
            _swap(<uint32_t*>&raw[0], n)
        elif size == 8:
            _swap(<uint64_t*>&raw[0], n)


def convert(const unsigned char[::1] raw, value_t[::1] target, int size, int shift, int bits, bint signed,
            double slope, double intercept):
    """Fill `target` with ``slope * stored + intercept``.

    `raw` holds little-endian (native) values of `size` bytes; `bits` of them, from bit `shift` on, are the stored
    value, in two's complement where `signed`. `target` may be the same memory if its items have `size` bytes.
    Gives the smallest and largest stored value (of 64 unsigned bits, as if they had a sign).
    """
    cdef Py_ssize_t n = target.shape[0]
    cdef int64_t low = 0, high = 0
    if raw.shape[0] < n * size:
        raise ValueError(f"raw must hold {n * size} bytes, found {raw.shape[0]}")
    if shift < 0 or not 1 <= bits <= 8 * size - shift:
        raise ValueError(f"{bits} bits from bit {shift} do not fit {size} bytes")
    cdef uint64_t mask = (<uint64_t>0 - 1) >> (64 - bits)
    cdef uint64_t sign = (<uint64_t>1 << (bits - 1)) if signed else 0
    cdef uint32_t mask4 = <uint32_t>mask, sign4 = <uint32_t>sign
    if n == 0:
        return 0, 0
    with nogil:
        if size == 1:
            _narrow(<const uint8_t*>&raw[0], &target[0], n, shift, mask4, sign4, slope, intercept, &low, &high)
        elif size == 2:
            if value_t is float:
                fastmed_to_float(<const uint16_t*>&raw[0], &target[0], n, shift, mask4, sign4, slope, intercept,
                                 &low, &high)
            elif value_t is int16_t or value_t is uint16_t:
                fastmed_to_int16(<const uint16_t*>&raw[0], <uint16_t*>&target[0], n, shift, <uint16_t>mask,
                                 <uint16_t>sign, <uint16_t><int64_t>slope, <uint16_t><int64_t>intercept, &low, &high)
            else:
                _narrow(<const uint16_t*>&raw[0], &target[0], n, shift, mask4, sign4, slope, intercept, &low, &high)
        elif size == 4:
            _wide(<const uint32_t*>&raw[0], &target[0], n, shift, mask, sign, slope, intercept, &low, &high)
        elif size == 8:
            _wide(<const uint64_t*>&raw[0], &target[0], n, shift, mask, sign, slope, intercept, &low, &high)
    return low, high


cdef bint _mark(const stored_t* source, uint8_t* flags, Py_ssize_t n, int shift, uint64_t mask, uint64_t sign,
                int64_t low, int64_t high) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t v
    cdef bint found = False
    for i in range(n):
        v = <int64_t>(((((<uint64_t>source[i]) >> shift) & mask) ^ sign) - sign)
        flags[i] = (v >= low) & (v <= high)
        found |= flags[i]
    return found


def mark(const unsigned char[::1] raw, unsigned char[::1] flags, int size, int shift, int bits, bint signed,
         int64_t low, int64_t high):
    """Set `flags`, which must hold zeros, to 1 where the stored value lies between `low` and `high`; see `convert`.

    Gives whether any does. Where none does, `flags` is not touched: of an array of zeros the system then makes no pages.
    """
    cdef Py_ssize_t n = flags.shape[0]
    cdef int64_t first, last
    cdef bint found = False
    if raw.shape[0] < n * size:
        raise ValueError(f"raw must hold {n * size} bytes, found {raw.shape[0]}")
    if shift < 0 or not 1 <= bits <= 8 * size - shift:
        raise ValueError(f"{bits} bits from bit {shift} do not fit {size} bytes")
    cdef uint64_t mask = (<uint64_t>0 - 1) >> (64 - bits)
    cdef uint64_t sign = (<uint64_t>1 << (bits - 1)) if signed else 0
    if n == 0:
        return False
    with nogil:
        if size == 1:
            found = _mark(<const uint8_t*>&raw[0], &flags[0], n, shift, mask, sign, low, high)
        elif size == 2:
            first, last = max(low + <int64_t>sign, 0), min(high + <int64_t>sign, <int64_t>mask)
            found = first <= last and fastmed_any16(<const uint16_t*>&raw[0], n, shift, <uint16_t>mask, <uint16_t>sign,
                                                    <uint16_t>first, <uint16_t>(last - first))
            if found:
                fastmed_mark16(<const uint16_t*>&raw[0], &flags[0], n, shift, <uint16_t>mask, <uint16_t>sign,
                               <uint16_t>first, <uint16_t>(last - first))
        elif size == 4:
            found = _mark(<const uint32_t*>&raw[0], &flags[0], n, shift, mask, sign, low, high)
        elif size == 8:
            found = _mark(<const uint64_t*>&raw[0], &flags[0], n, shift, mask, sign, low, high)
    return bool(found)


cdef void _weave2(const uint8_t* planes, uint8_t* target, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint16_t* words = <uint16_t*>target
    for i in range(n):
        words[i] = <uint16_t>((<uint16_t>planes[i] << 8) | planes[n + i])


cdef void _weave(const uint8_t* planes, uint8_t* target, Py_ssize_t n, int size) noexcept nogil:
    cdef Py_ssize_t i
    cdef int s
    for s in range(size):
        for i in range(n):
            target[i * size + size - 1 - s] = planes[s * n + i]


cdef int _unpack_frame(const uint8_t* frame, Py_ssize_t length, uint8_t* target, Py_ssize_t n, int size) noexcept nogil:
    cdef uint32_t[16] head
    cdef uint8_t* planes = target
    cdef int s, wrong = 0
    cdef Py_ssize_t start, end
    if length < 64:
        return 2
    memcpy(head, frame, 64)
    if head[0] != <uint32_t>size:
        return 2
    if size > 1:
        planes = <uint8_t*>malloc(n * size)
        if planes == NULL:
            return 3
    for s in range(size):
        start = head[1 + s]
        end = head[2 + s] if s + 1 < size else length
        if start < 64 or end < start or end > length:
            wrong = 1 if start >= length or end > length else 2
            break
        if fastmed_unpack(frame + start, end - start, planes + s * n, n) < n:
            wrong = 1
            break
    if size > 1:
        if not wrong:
            if size == 2:
                _weave2(planes, target, n)
            else:
                _weave(planes, target, n, size)
        free(planes)
    return wrong


def unpack_rle(const unsigned char[::1] frame, unsigned char[::1] target, int size):
    """Decode one RLE frame of `size` segments, the most significant byte of each value first, into little-endian values.

    Gives 0; or 1 where the frame ends early, 2 where its header does not fit. Raises MemoryError.
    """
    cdef Py_ssize_t n = target.shape[0] // size if size > 0 else 0
    cdef int wrong
    if not 1 <= size <= 8 or n * size != target.shape[0]:
        raise ValueError(f"target must hold whole values of {size} bytes, found {target.shape[0]}")
    if frame.shape[0] == 0 or n == 0:
        return 0 if n == 0 else 1
    with nogil:
        wrong = _unpack_frame(&frame[0], frame.shape[0], &target[0], n, size)
    if wrong == 3:
        raise MemoryError
    return wrong
