# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Stored pixel values -> values of the volume, one slice at a time, without the GIL.

One pass does byte order, unused bits, sign and rescale. ``_pixels_numpy.py`` is the same in NumPy.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

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
    cdef Py_ssize_t n = raw.shape[0] // size
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
            _narrow(<const uint16_t*>&raw[0], &target[0], n, shift, mask4, sign4, slope, intercept, &low, &high)
        elif size == 4:
            _wide(<const uint32_t*>&raw[0], &target[0], n, shift, mask, sign, slope, intercept, &low, &high)
        elif size == 8:
            _wide(<const uint64_t*>&raw[0], &target[0], n, shift, mask, sign, slope, intercept, &low, &high)
    return low, high
