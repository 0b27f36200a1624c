"""clang: a large C++ source to an object file, which must be the same byte for byte, and a link by lld's threads."""

import os

import source_text
from run import file_digest

NEEDS = {'/usr/bin/clang++-19': 'clang-19', '/usr/bin/ld.lld-19': 'lld-19', '/usr/bin/g++': 'g++'}
SERVED = ('clang', 'lld')
LEAST_BLOCKS = 500_000


def work(run):
    results = {}
    with open(run.path('large.cc'), 'w') as file:
        file.write(source_text.generate(10 * run.scale))
        file.write('#include <cstdio>\n'
                   'int main() { std::printf("%lu\\n", unit0::Work({}) + unit3::Work({{1, "a", {}}, {2, "b", {}}})); }\n')
    run.call(['/usr/bin/clang++-19', '-std=c++20', '-O1', '-g', '-ffile-prefix-map=' + run.directory + '=.',
              '-c', 'large.cc', '-o', 'large.o'])
    results['object'] = file_digest(run.path('large.o'))
    run.call(['/usr/bin/clang++-19', '-fuse-ld=lld', '-Wl,--threads=2', 'large.o', '-o', 'large'])
    results['program'] = file_digest(run.path('large'))
    results['size'] = os.path.getsize(run.path('large'))
    results['output'] = run.call([run.path('large')]).decode()
    return results
