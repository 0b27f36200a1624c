"""gcc: a large C++ source to an object file, which must be the same byte for byte."""

import source_text
from run import file_digest

NEEDS = {'/usr/bin/g++': 'g++', '/usr/bin/gcc': 'gcc'}
SERVED = ('cc1plus', 'cc1', 'x86_64-linux-gnu-as')
LEAST_BLOCKS = 300_000

_C_UNIT = """
static int twist{n}(int a, int b) {{ for (int i = 0; i < {n} + 2; ++i) a = a * 31 + (b ^ i); return a; }}
int shape{n}(int* v, int n) {{ int s = 0; for (int i = 0; i < n; ++i) switch (v[i] % 5) {{
  case 0: s += twist{n}(v[i], s); break; case 1: s ^= v[i] << {n} % 7; break; case 2: s -= v[i] / ({n} + 1); break;
  default: s = s * {n} + v[i]; }} return s; }}
"""


def work(run):
    results = {}
    with open(run.path('large.cc'), 'w') as file:
        file.write(source_text.generate(10 * run.scale))
    run.call(['/usr/bin/g++', '-std=c++20', '-O1', '-g', f'-ffile-prefix-map={run.directory}=.', '-c', 'large.cc', '-o', 'large.o'])
    results['C++ object'] = file_digest(run.path('large.o'))
    with open(run.path('many.c'), 'w') as file:
        file.write(''.join(_C_UNIT.format(n=n) for n in range(600 * run.scale)))
    run.call(['/usr/bin/gcc', '-O2', '-pipe', '-c', 'many.c', '-o', 'many.o'])
    results['C object'] = file_digest(run.path('many.o'))
    return results
