"""xz and zstd with two threads: large buffers, allocated in one thread and freed in another; files compared."""

import random

from run import digest, file_digest

NEEDS = {'/usr/bin/xz': 'xz-utils', '/usr/bin/zstd': 'zstd'}
SERVED = ('xz', 'zstd')
# They allocate few blocks, some of them large.
LEAST_BLOCKS = 500


def work(run):
    source = random.Random(5)
    words = [source.randbytes(source.randrange(3, 30)) for _ in range(4000)]
    data = b''.join(source.choices(words, k=1_500_000 * run.scale))
    with open(run.path('data'), 'wb') as file:
        file.write(data)
    results = {'data': digest(data)}
    for tool, arguments, end in (('xz', ['-1', '-T2', '--block-size=2MiB'], 'xz'), ('zstd', ['-q', '-9', '-T2'], 'zst')):
        run.call([f'/usr/bin/{tool}', '-k', '-f', *arguments, 'data'])
        results[f'{tool} packed'] = file_digest(run.path(f'data.{end}'))
        results[f'{tool} unpacked'] = digest(run.call([f'/usr/bin/{tool}', '-d', '-c', '-T2', f'data.{end}']))
        if results[f'{tool} unpacked'] != results['data']:
            results[f'{tool} round trip'] = 'not what went in'
    return results
