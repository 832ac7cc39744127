# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The elements of a DICOM header that are wanted, as raw bytes, where there is no doubt what they are.

One pass over the first bytes of a file, without recursion; every length is compared with the bytes that are left before
it is used. Whatever is unusual (no preamble, big endian, deflated, types that differ from the dictionary's, odd lengths,
tags out of order, sequences that end elsewhere than they say...) is left to pydicom, by saying `UNSURE`.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

UNSURE, AT_PIXELS, MORE, AT_END = 0, 1, 2, 3

DEF MAX_DEPTH = 64
DEF LONGEST_VALUE = 65536

cdef enum:
    S_UNSURE = 0
    S_PIXELS = 1
    S_MORE = 2
    S_END = 3

cdef enum:
    UNDEFINED = 0xFFFFFFFF
    ITEM = 0xFFFEE000
    ITEM_END = 0xFFFEE00D
    SEQUENCE_END = 0xFFFEE0DD

cdef struct Cursor:
    const uint8_t* head
    uint64_t present    # bytes of the file that `head` holds
    uint64_t size       # of the file
    uint64_t at
    bint implicit
    # of the element at the cursor:
    uint32_t tag
    uint16_t vr
    uint64_t length
    uint64_t value


cdef inline uint16_t _u16(const uint8_t* p) noexcept nogil:
    return <uint16_t>(p[0] | (p[1] << 8))


cdef inline uint32_t _u32(const uint8_t* p) noexcept nogil:
    return p[0] | (<uint32_t>p[1] << 8) | (<uint32_t>p[2] << 16) | (<uint32_t>p[3] << 24)


cdef inline uint16_t _vr(char a, char b) noexcept nogil:
    return <uint16_t>(<uint8_t>a | (<uint16_t><uint8_t>b << 8))


cdef inline int _kind(uint16_t vr) noexcept nogil:
    # 2: a length of two bytes, 4: of four, 0: no type of the standard.
    cdef uint8_t a = vr & 0xFF, b = vr >> 8
    if a == 79:  # O
        return 4 if b == 66 or b == 68 or b == 70 or b == 76 or b == 86 or b == 87 else 0      # B D F L V W
    if a == 83:  # S
        if b == 81 or b == 86:                                                                 # Q V
            return 4
        return 2 if b == 72 or b == 76 or b == 83 or b == 84 else 0                            # H L S T
    if a == 85:  # U
        if b == 67 or b == 78 or b == 82 or b == 84 or b == 86:                                # C N R T V
            return 4
        return 2 if b == 73 or b == 76 or b == 83 else 0                                       # I L S
    if a == 65:  # A
        return 2 if b == 69 or b == 83 or b == 84 else 0                                       # E S T
    if a == 68:  # D
        return 2 if b == 65 or b == 83 or b == 84 else 0                                       # A S T
    if a == 70:  # F
        return 2 if b == 68 or b == 76 else 0                                                  # D L
    if a == 76:  # L
        return 2 if b == 79 or b == 84 else 0                                                  # O T
    if (a == 67 and b == 83) or (a == 73 and b == 83) or (a == 80 and b == 78) or (a == 84 and b == 77):
        return 2                                                                               # CS IS PN TM
    return 0


cdef int _element(Cursor* c, bint implicit) noexcept nogil:
    # Read the tag, type and length at the cursor: S_END (1 element read), S_MORE or S_UNSURE.
    cdef const uint8_t* p
    cdef int kind
    if c.size - c.at < 8:
        return S_UNSURE
    if c.present - c.at < 12 and c.present < c.size:
        return S_MORE
    p = c.head + c.at
    c.tag = (<uint32_t>_u16(p) << 16) | _u16(p + 2)
    if implicit or (c.tag >> 16) == 0xFFFE:
        c.vr = 0
        c.length = _u32(p + 4)
        c.value = c.at + 8
    else:
        c.vr = _u16(p + 4)
        kind = _kind(c.vr)
        if kind == 2:
            c.length = _u16(p + 6)
            c.value = c.at + 8
        elif kind == 4:
            if c.size - c.at < 12:
                return S_UNSURE
            c.length = _u32(p + 8)
            c.value = c.at + 12
        else:
            return S_UNSURE
    if c.length != UNDEFINED and c.length > c.size - c.value:
        return S_UNSURE
    return S_END


cdef int _skip_sequence(Cursor* c, bint implicit, int max_depth) noexcept nogil:
    # The cursor stands behind the header of a sequence of undefined length: go behind its end. No recursion: `inside`
    # holds for each level whether it is an item (1) or a sequence (0).
    cdef uint8_t[2 * MAX_DEPTH + 2] inside
    cdef int depth = 1, status
    inside[0] = 0
    while depth > 0:
        status = _element(c, implicit)
        if status != S_END:
            return status
        if inside[depth - 1] == 0:
            if c.tag == SEQUENCE_END and c.length == 0:
                depth -= 1
                c.at = c.value
            elif c.tag == ITEM and c.length == UNDEFINED:
                inside[depth] = 1
                depth += 1
                c.at = c.value
            elif c.tag == ITEM:
                c.at = c.value + c.length
            else:
                return S_UNSURE
        else:
            if c.tag == ITEM_END and c.length == 0:
                depth -= 1
                c.at = c.value
            elif (c.tag >> 16) == 0xFFFE:
                return S_UNSURE
            elif c.length == UNDEFINED:
                if not implicit and c.vr != _vr(83, 81):
                    return S_UNSURE
                inside[depth] = 0
                depth += 1
                c.at = c.value
            else:
                c.at = c.value + c.length
        if depth > 2 * max_depth:
            return S_UNSURE
        if c.at > c.present and c.present < c.size:
            return S_MORE
    return S_END


cdef int _meta(Cursor* c, uint64_t* syntax, uint64_t* syntax_length, uint64_t* media, uint64_t* media_length) noexcept nogil:
    # File meta information: where the transfer syntax and the SOP class stand; the cursor goes behind it.
    cdef uint64_t end
    cdef int status
    cdef uint32_t before = 0
    if c.present < 144 or c.head[128] != 68 or c.head[129] != 73 or c.head[130] != 67 or c.head[131] != 77:
        return S_UNSURE
    c.at = 132
    if _element(c, False) != S_END or c.tag != 0x00020000 or c.length != 4:
        return S_UNSURE
    end = c.value + 4 + _u32(c.head + c.value)
    if end > c.present:
        return S_UNSURE
    c.at = c.value + 4
    while c.at < end:
        status = _element(c, False)
        if status != S_END:
            return S_UNSURE
        if (c.tag >> 16) != 2 or c.tag <= before or c.length == UNDEFINED or c.value + c.length > end:
            return S_UNSURE
        before = c.tag
        if c.tag == 0x00020010:
            syntax[0] = c.value
            syntax_length[0] = c.length
        elif c.tag == 0x00020002:
            media[0] = c.value
            media_length[0] = c.length
        c.at = c.value + c.length
    if c.at != end or c.size - end < 8 or c.present - end < 8 or _u16(c.head + end) == 2:
        return S_UNSURE
    return S_END if syntax_length[0] else S_UNSURE


cdef int _walk(Cursor* c, const uint32_t* tags, const uint16_t* types, Py_ssize_t count, uint64_t* where,
               uint32_t* lengths, int max_depth) noexcept nogil:
    # The elements of the dataset up to the pixel data: where the wanted ones stand (0: they are not there).
    cdef Py_ssize_t next = 0
    cdef uint32_t before = 0
    cdef int status
    while c.at < c.size:
        status = _element(c, c.implicit)
        if status != S_END:
            return status
        if c.tag <= before or (c.tag >> 16) < 8:
            return S_UNSURE
        before = c.tag
        if c.tag == 0x7FE00010 or c.tag == 0x7FE00008 or c.tag == 0x7FE00009:
            return S_PIXELS
        while next < count and tags[next] < c.tag:
            next += 1
        if next < count and tags[next] == c.tag:
            if c.length == UNDEFINED or c.length > LONGEST_VALUE or c.length & 1 or types[next] == 1:
                return S_UNSURE
            if not c.implicit and c.vr != types[next] and types[next] != 0:
                return S_UNSURE
            if c.value + c.length > c.present:
                c.at = c.value + c.length
                return S_MORE
            where[next] = c.value
            lengths[next] = <uint32_t>c.length
        if c.length == UNDEFINED:
            if not c.implicit and c.vr != _vr(83, 81):
                return S_UNSURE
            c.at = c.value
            status = _skip_sequence(c, c.implicit, max_depth)
            if status != S_END:
                return status
        else:
            c.at = c.value + c.length
        if c.at > c.present and c.present < c.size:
            return S_MORE
    return S_END


def read_elements(const unsigned char[::1] head, Py_ssize_t file_size, const unsigned int[::1] tags,
                  const unsigned short[::1] types, int max_depth):
    """Find the elements `tags` (in ascending order) in the first bytes of a file.

    `types` are their value representations, as the two bytes in one little-endian number; 0 takes any, 1 none (an element
    that is there makes the file a case for pydicom). Gives the state, the position at which the reader stands (of the
    pixel data, or up to which more bytes are wanted), the transfer syntax, the media's SOP class, whether values have
    no types, and a list with the bytes of each element or None.
    """
    cdef Cursor c
    cdef uint64_t[128] where
    cdef uint32_t[128] lengths
    cdef uint64_t syntax = 0, syntax_length = 0, media = 0, media_length = 0
    cdef Py_ssize_t count = tags.shape[0], i
    cdef int status
    cdef const char* text
    if count > 128 or types.shape[0] != count or head.shape[0] > file_size:
        raise ValueError("at most 128 tags, as many types, and no more bytes than the file has")
    if head.shape[0] < 144 or count == 0:
        return UNSURE, 0, b"", b"", False, None
    if max_depth > MAX_DEPTH:
        max_depth = MAX_DEPTH
    c.head = &head[0]
    c.present = head.shape[0]
    c.size = file_size
    if _meta(&c, &syntax, &syntax_length, &media, &media_length) != S_END:
        return UNSURE, 0, b"", b"", False, None
    name = bytes(head[syntax:syntax + syntax_length]).rstrip(b"\0 ")
    if name == b"1.2.840.10008.1.2.2" or name == b"1.2.840.10008.1.2.1.99" or not name.startswith(b"1.2.840.10008.1.2"):
        return UNSURE, 0, b"", b"", False, None
    c.implicit = name == b"1.2.840.10008.1.2"
    if c.implicit and _kind(_u16(c.head + c.at + 4)):
        return UNSURE, 0, b"", b"", False, None  # it says that values have no types, and they seem to have
    with nogil:
        for i in range(count):
            where[i] = 0
            lengths[i] = 0
        status = _walk(&c, &tags[0], &types[0], count, where, lengths, max_depth)
    if status == S_UNSURE or status == S_MORE:
        return status, c.at, b"", b"", False, None
    values = [None] * count
    for i in range(count):
        if where[i]:
            text = <const char*>c.head + where[i]
            values[i] = text[:lengths[i]]
    return status, c.at, name, bytes(head[media:media + media_length]).rstrip(b"\0 "), bool(c.implicit), values
