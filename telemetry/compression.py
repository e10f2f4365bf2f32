"""Content encodings: bytes on the wire <-> bytes, inflated under a bound whatever they claim.  Pure."""

import zlib

import zstandard

from telemetry.errors import Malformed, TooLarge, Unsupported

ENCODINGS = ("identity", "gzip", "zstd")


def inflate(data: bytes, encoding: str | None, *, size_bytes_max: int) -> bytes:
    """Undo one Content-Encoding, reading at most `size_bytes_max`.

    Raises `Unsupported`, `TooLarge` or `Malformed` (torn, trailing bytes, a second frame).
    """
    name = (encoding or "identity").strip().lower()
    if name == "identity":
        inflated = data
    elif name == "gzip":
        inflated = _gunzip(data, size_bytes_max)
    elif name == "zstd":
        inflated = _unzstd(data, size_bytes_max)
    else:
        raise Unsupported(f"content encoding {name[:40]!r} is not spoken here; send one of {', '.join(ENCODINGS)}")
    if len(inflated) > size_bytes_max:
        raise TooLarge(f"body is over {size_bytes_max} bytes once inflated: split the batch")
    return inflated


def deflate(data: bytes, encoding: str, *, level: int = 3) -> bytes:
    """Apply one Content-Encoding."""
    if encoding == "identity":
        return data
    if encoding == "gzip":
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        return packer.compress(data) + packer.flush()
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=level).compress(data)
    raise Unsupported(f"content encoding {encoding!r} is not spoken here")


def _gunzip(data: bytes, size_bytes_max: int) -> bytes:
    unpacker = zlib.decompressobj(31)
    try:
        inflated = unpacker.decompress(data, size_bytes_max + 1)
    except zlib.error as e:
        raise Malformed(f"broken gzip body: {e}") from e
    if len(inflated) > size_bytes_max:
        return inflated
    if not unpacker.eof:
        raise Malformed("broken gzip body: it ends early")
    if unpacker.unused_data:
        raise Malformed("broken gzip body: bytes after the first member")
    return inflated


def _unzstd(data: bytes, size_bytes_max: int) -> bytes:
    try:
        end = _zstd_frame_end(data)
        with zstandard.ZstdDecompressor(max_window_size=8 * 2**20).stream_reader(data) as reader:
            inflated = bytes(reader.read(size_bytes_max + 1))
    except (zstandard.ZstdError, IndexError) as e:
        raise Malformed(f"broken zstd body: {e}") from e
    if end != len(data) and len(inflated) <= size_bytes_max:
        raise Malformed("broken zstd body: it is torn, or bytes follow the first frame")
    return inflated


def _zstd_frame_end(data: bytes) -> int:
    """Where the first frame ends, by its block headers (RFC 8878, 3.1.1.2): the library skips what follows."""
    frame = zstandard.get_frame_parameters(data)
    at = zstandard.frame_header_size(data)
    last = False
    while not last:
        if at + 3 > len(data):
            return -1
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        at += 3 + (1 if kind == 1 else size)
    return at + (4 if frame.has_checksum else 0)
