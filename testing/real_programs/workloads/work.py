"""Work for the allocator through Python: prints check sums that depend on every value that was computed."""

import concurrent.futures
import hashlib
import json
import multiprocessing
import queue
import random
import sys
import threading
import zlib


def labour(seed):
    """Builds nested objects, turns them to text and back, compresses, and sums up."""
    source = random.Random(seed)
    tree = {f'key{source.randrange(10 ** 6)}': [source.random() for _ in range(source.randrange(60))] for _ in range(400)}
    text = json.dumps(tree, sort_keys=True)
    packed = zlib.compress(text.encode(), 6)
    again = json.loads(zlib.decompress(packed))
    words = sorted(text.split(','), key=lambda word: (len(word), word))
    return hashlib.sha256(('\n'.join(words) + str(again == tree)).encode()).hexdigest()[:16]


def buffers(seed):
    """Byte arrays that grow and shrink: realloc of large blocks."""
    source = random.Random(seed)
    pool, summary = [bytearray() for _ in range(8)], hashlib.sha256()
    for _ in range(400):
        buffer = source.choice(pool)
        if len(buffer) > 6 << 20:
            del buffer[source.randrange(1000):]
        buffer.extend(source.randbytes(1000) * source.randrange(1, 700))
    for buffer in pool:
        summary.update(buffer)
    return summary.hexdigest()[:16]


def pipeline(count):
    """Objects made in one thread, changed in a second and dropped in a third."""
    first, second, seen = queue.Queue(50), queue.Queue(50), []

    def make():
        source = random.Random(7)
        for number in range(count):
            first.put({number: source.randbytes(source.randrange(3000))})
        first.put(None)

    def change():
        while (item := first.get()) is not None:
            second.put({number: value.hex() for number, value in item.items()})
        second.put(None)

    def drop():
        digest = hashlib.sha256()
        while (item := second.get()) is not None:
            digest.update(repr(item).encode())
        seen.append(digest.hexdigest()[:16])

    threads = [threading.Thread(target=target) for target in (make, change, drop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen[0]


def main():
    scale = int(sys.argv[1])
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        print('threads', *pool.map(labour, range(60 * scale)))
    # Forked from a process that has had threads.
    with multiprocessing.get_context('fork').Pool(2) as pool:
        print('processes', *pool.map(labour, range(60 * scale)))
    print('buffers', *[buffers(seed) for seed in range(2 * scale)])
    print('pipeline', pipeline(4000 * scale))


if __name__ == '__main__':
    main()
