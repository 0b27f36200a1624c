"""git: a generated history of fixed dates through import, commits, gc, fsck, log, blame, grep, clone and merge."""

import random

from run import digest

NEEDS = {'/usr/bin/git': 'git'}
SERVED = ('git',)
LEAST_BLOCKS = 20_000

_WORDS = [f'word{i * 7919 % 1000}' for i in range(1000)]


def _stream(commits):
    """A history for git fast-import: files that are changed a little in each commit, as bytes."""
    source = random.Random(3)
    files = {f'dir{i % 12}/file{i}.txt': [' '.join(source.choices(_WORDS, k=9)) for _ in range(120)] for i in range(120)}
    out = []
    for number in range(commits):
        changed = list(files) if number == 0 else source.sample(sorted(files), 8)
        message = f'Change {number}\n\n{" ".join(source.choices(_WORDS, k=30))}\n'
        out.append('commit refs/heads/main\n')
        out.append(f'committer A U Thor <author@example.com> {1_600_000_000 + number * 600} +0000\n')
        out.append(f'data {len(message)}\n{message}')
        for name in changed:
            lines = files[name]
            lines[source.randrange(len(lines))] = ' '.join(source.choices(_WORDS, k=9))
            text = '\n'.join(lines) + '\n'
            out.append(f'M 100644 inline {name}\ndata {len(text)}\n{text}\n')
    return ''.join(out).encode()


def work(run):
    run.environment.update({
        'GIT_AUTHOR_DATE': '1700000000 +0000', 'GIT_COMMITTER_DATE': '1700000000 +0000', 'GIT_AUTHOR_NAME': 'A U Thor',
        'GIT_AUTHOR_EMAIL': 'author@example.com', 'GIT_COMMITTER_NAME': 'A U Thor',
        'GIT_COMMITTER_EMAIL': 'author@example.com', 'GIT_CONFIG_NOSYSTEM': '1', 'GIT_PAGER': 'cat'})

    def git(*arguments, **options):
        return run.call(['/usr/bin/git', '-c', 'pack.threads=2', '-c', 'gc.auto=0', '-C', run.path('repository'), *arguments],
                        **options)

    results = {}
    run.call(['/usr/bin/git', 'init', '-q', '-b', 'main', run.path('repository')])
    git('fast-import', '--quiet', stdin=_stream(400 * run.scale))
    git('checkout', '-q', '-f', 'main')
    for number in range(15):
        with open(run.path(f'repository/new{number}.txt'), 'w') as file:
            file.write('\n'.join(_WORDS[number:]))
        git('add', '.')
        git('commit', '-q', '-m', f'Add {number}')
    git('checkout', '-q', '-b', 'side', 'HEAD~10')
    with open(run.path('repository/side.txt'), 'w') as file:
        file.write('side\n')
    git('add', '.')
    git('commit', '-q', '-m', 'Side')
    git('merge', '-q', '--no-edit', 'main')
    results['head'] = git('rev-parse', 'HEAD', 'main').decode()
    git('gc', '-q', '--aggressive', '--prune=now')
    results['objects'] = git('rev-list', '--objects', '--all', '--count').decode()
    results['fsck'] = git('fsck', '--full', '--strict').decode()
    results['log'] = digest(git('log', '--stat', '-p', '--all'))
    results['blame'] = digest(git('blame', 'main', '--', 'dir1/file1.txt'))
    results['grep'] = digest(git('grep', '-n', 'word7[0-9]*', 'HEAD~20'))
    results['archive'] = digest(git('archive', '--format=tar', 'HEAD'))
    git('repack', '-q', '-a', '-d', '-f', '--depth=20')
    run.call(['/usr/bin/git', 'clone', '-q', '--no-local', run.path('repository'), run.path('clone')])
    results['clone'] = run.call(['/usr/bin/git', '-C', run.path('clone'), 'rev-parse', 'HEAD']).decode()
    results['status'] = git('status', '--porcelain').decode()
    return results
